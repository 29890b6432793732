"""Google's batch endpoint: many HTTP requests in one multipart body, answered in one.

Each part is carried out on its own and pays its own quota; the parts share nothing but the outer Authorization header.
https://developers.google.com/workspace/gmail/api/guides/batch
"""

from __future__ import annotations

import secrets
from email import message_from_bytes
from email.message import Message
from email.parser import Parser
from http import HTTPStatus

from flask import Flask, Response, request

from .errors import GoogleError, bad

MOST_CALLS = 100
NEVER_PASSED_ON = frozenset({"content-length", "host", "transfer-encoding", "accept-encoding"})
VERBS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})


def install(app: Flask) -> None:
    """Open the batch endpoints."""

    @app.post("/batch")
    @app.post("/batch/gmail/v1")
    @app.post("/batch/people/v1")
    def batch() -> Response:
        head = f"Content-Type: {request.headers.get('Content-Type', '')}\r\n\r\n".encode()
        outer = message_from_bytes(head + request.get_data())
        if outer.get_content_type() != "multipart/mixed" or not outer.is_multipart():
            raise bad("Failed to parse batch request, error: the body must be multipart/mixed.")
        parts = [part for part in outer.walk() if part is not outer]
        if len(parts) > MOST_CALLS:
            raise bad(f"The batch request contains {len(parts)} calls, which exceeds the limit of {MOST_CALLS}.")
        boundary = f"batch_{secrets.token_urlsafe(24)}"
        answers = [carry_out(app, part) for part in parts]
        body = b"".join(b"--" + boundary.encode() + b"\r\n" + answer + b"\r\n" for answer in answers)
        content_type = f"multipart/mixed; boundary={boundary}"
        return Response(body + b"--" + boundary.encode() + b"--\r\n", content_type=content_type)


def carry_out(app: Flask, part: Message) -> bytes:
    """Perform one part through the app's own front door and write its answer as a part."""
    text = part.get_payload(decode=True)
    if part.get_content_type() != "application/http" or not isinstance(text, bytes):
        raise bad("Failed to parse batch request, error: every part must be application/http.")
    first, _, rest = text.decode().lstrip().replace("\r\n", "\n").partition("\n")
    verb, _, target = first.partition(" ")
    path = target.split(" ")[0]
    if verb not in VERBS or not path.startswith("/"):
        raise bad("Failed to parse batch request, error: a part must start with a method and a path.")
    inner = Parser().parsestr(rest)
    headers = {"authorization": request.headers.get("Authorization", "")}  # a part may bring its own
    headers |= {name.lower(): value for name, value in inner.items() if name.lower() not in NEVER_PASSED_ON}
    try:
        answer = app.test_client(use_cookies=False).open(
            path, method=verb, headers=headers, data=str(inner.get_payload() or "").encode()
        )
        status, body, kind = answer.status, answer.get_data(), answer.headers.get("Content-Type", "application/json")
        answer.close()
    except ConnectionResetError:  # a planted fault cut this one off: inside a batch that looks like a backend failing
        code = HTTPStatus.SERVICE_UNAVAILABLE
        refusal = GoogleError(code, "The service is currently unavailable.")
        status, body, kind = f"{code} {code.phrase}", app.json.dumps(refusal.body).encode(), "application/json"
    content_id = part.get("Content-ID", "")
    named = f"Content-ID: <response-{content_id.strip().strip('<>')}>\r\n" if content_id else ""
    head = (
        f"Content-Type: application/http\r\n{named}\r\nHTTP/1.1 {status}\r\n"
        f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
