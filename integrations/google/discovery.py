"""Which calls Google's APIs know: one leaf resource for each, made once a process and shared by everybody.

A leaf carries no credentials and opens no connection; whoever uses one brings both: `execute(request, user)` in
`transport`. Parsing the document and walking to the leaf costs ten times what a call costs, hence the cache.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any, NoReturn

from googleapiclient.discovery import build_from_document  # type: ignore[attr-defined]  # its stubs forgot it
from googleapiclient.discovery_cache import get_static_doc


class _Nobody:
    """Stands where googleapiclient wants a transport, so that a call nobody lent a connection to cannot leave."""

    def request(self, *_: Any, **__: Any) -> NoReturn:
        raise RuntimeError("a Google call needs its user: use transport.execute(request, user)")

    def close(self) -> None:
        """Nothing is open."""


@cache
def leaf(root: str, api: str, version: str, path: str) -> Any:
    """Return the resource at the dotted `path`, such as "users.messages"; `root` replaces Google's own when given."""
    resource: Any = _service(root, api, version)
    for name in path.split("."):
        resource = getattr(resource, name)()
    return resource


def batch_address(root: str, api: str, version: str) -> str:
    """Where up to a hundred calls of one API go in one request."""
    return f"{_document(root, api, version)['rootUrl']}batch/{api}/{version}"


@cache
def _service(root: str, api: str, version: str) -> Any:
    return build_from_document(_document(root, api, version), http=_Nobody())


@cache
def _document(root: str, api: str, version: str) -> dict[str, Any]:
    text = get_static_doc(api, version)  # type: ignore[no-untyped-call]  # its stubs name no types
    if text is None:
        raise LookupError(f"googleapiclient ships no description of {api} {version}")
    document: dict[str, Any] = json.loads(text)
    document.pop("mtlsRootUrl", None)  # else an environment variable could send calls there
    if root:
        document["rootUrl"] = root + "/"
    return document
