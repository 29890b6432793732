"""Changing an activity in Zoho around what people wrote: read it, change only ours, write it if nobody did meanwhile.

The condition is Zoho's `If-Unmodified-Since`, answered ALREADY_MODIFIED
(https://www.zoho.com/crm/developer/docs/api/v8/update-records.html). What each record came to is read here too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from domain.errors import FieldRefused, Refused, TryLater
from domain.ports import Written
from domain.said import MOST_CHARACTERS, replaced
from integrations.zoho.client import CRM, Body, ZohoClient, code_of, refusal, rows_of

TRIES = 3  # against somebody who is saving at the same moment
GONE = "INVALID_DATA"  # what Zoho says of an id it does not have, or has no more
CHANGED = "zoho.already_modified"


@dataclass(frozen=True, slots=True)
class Change:
    """What a row shall say anew; `ours`: whether our words are still ours to change."""

    fields: Body
    ours: bool = True


def with_words(row: Body, changed: Body, said: Sequence[str] | None, words: str) -> Change:
    """Add our new words to a change; `said` is what may stand there of ours, None leaves the text alone."""
    if said is None:
        return Change(changed)
    text = str(row.get("Description") or "")
    told = replaced(text, said, words)
    if told is None:
        return Change(changed, ours=False)
    if len(told) > MOST_CHARACTERS:
        raise Refused("The text of the activity is full.", code="activity.full")
    return Change(changed if told == text else changed | {"Description": told})


def rewrite(
    client: ZohoClient, module: str, remote_id: str, names: Sequence[str], change: Callable[[Body], Change]
) -> bool:
    """Read a row and write what `change` makes of it; False when our words in it are a person's now."""
    for _ in range(TRIES):
        row = _read(client, module, remote_id, names)
        wanted = change(row)
        if not wanted.fields:
            return wanted.ours
        try:
            _write(client, module, remote_id, wanted.fields, row.get("Modified_Time"))
        except Refused as error:
            if error.code != CHANGED:
                raise
        else:
            return wanted.ours
    raise TryLater("Somebody is working on this activity in Zoho.")


def _read(client: ZohoClient, module: str, remote_id: str, names: Sequence[str]) -> Body:
    fields = ",".join(("Description", "Modified_Time", *names))
    rows = rows_of(client.read(f"{CRM}/{module}/{remote_id}", {"fields": fields}), "data")
    if not rows:
        raise refusal(GONE)
    return rows[0]


def _write(client: ZohoClient, module: str, remote_id: str, fields: Body, read_at: Any) -> None:
    try:
        since = datetime.fromisoformat(str(read_at)).astimezone(UTC)
    except ValueError:
        since = None
    data = {"data": [fields], "trigger": []}
    answer = client.write(
        "PUT", f"{CRM}/{module}/{remote_id}", json=data, unmodified_since=since, repeatable=True, items="data"
    )
    if (code := refused(answer)) is not None:
        error, named = refusal(code), field_of(answer["data"][0])
        if isinstance(error, Refused) and named in fields:
            raise FieldRefused(str(error), code=error.code, field=named)
        raise error


def field_of(item: Body) -> str:
    """The field Zoho names in a refusal; \"\" for none."""
    details = item.get("details")
    named = details.get("api_name") if isinstance(details, dict) else None
    return named if isinstance(named, str) else ""


def refused(answer: Body) -> str | None:
    """Return the code of the one record that was asked about, None when it was done. Raises TryLater."""
    told = answer.get("data")
    if not isinstance(told, list) or len(told) != 1 or not isinstance(told[0], dict):
        raise TryLater("Zoho did not say what became of the record.")
    return None if told[0].get("status") == "success" else code_of(told[0])


def written(item: Any) -> Written:
    """Read what became of one record of a batch."""
    if not isinstance(item, dict):
        return Written(refused="UNKNOWN")
    details = item.get("details")
    if item.get("status") == "success" and isinstance(details, dict) and details.get("id"):
        return Written(remote_id=str(details["id"]))
    return Written(refused=code_of(item))
