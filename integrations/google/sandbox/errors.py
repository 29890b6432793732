"""How Google says no: the JSON envelope of its APIs and the flat one of its OAuth endpoints.

Shapes from https://developers.google.com/workspace/gmail/api/guides/handle-errors and google.rpc.Status.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

ERROR_INFO = "type.googleapis.com/google.rpc.ErrorInfo"
STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ALREADY_EXISTS",
    410: "FAILED_PRECONDITION",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
}
REASONS = {400: "invalidArgument", 401: "authError", 403: "forbidden", 404: "notFound", 429: "rateLimitExceeded"}


class GoogleError(Exception):
    """An API call refused, in the envelope every Google API shares."""

    def __init__(
        self,
        code: int,
        message: str,
        reason: str = "",
        *,
        status: str = "",
        domain: str = "global",
        details: Sequence[Mapping[str, Any]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.headers = dict(headers or {})
        reason = reason or REASONS.get(code, "backendError")
        error: dict[str, Any] = {
            "code": code,
            "message": message,
            "errors": [{"message": message, "domain": domain, "reason": reason}],
            "status": status or STATUSES.get(code, "UNKNOWN"),
        }
        if details:
            error["details"] = [dict(detail) for detail in details]
        self.body = {"error": error}


class OAuthError(Exception):
    """A token request refused (RFC 6749, section 5.2)."""

    def __init__(self, error: str, description: str, code: int = 400) -> None:
        super().__init__(description)
        self.code = code
        self.body = {"error": error, "error_description": description}


class ConsentError(Exception):
    """A consent that ends on Google's own error page: the product never hears of it, its `state` just grows old."""

    def __init__(self, error: str, description: str, code: int = 400) -> None:
        super().__init__(description)
        self.error, self.description, self.code = error, description, code


def error_info(reason: str, service: str, **metadata: str) -> dict[str, Any]:
    """Build the machine-readable detail that names the reason for good."""
    return {"@type": ERROR_INFO, "reason": reason, "domain": service, "metadata": {"service": service, **metadata}}


def bad(message: str) -> GoogleError:
    """Say that the request itself is wrong."""
    return GoogleError(400, message)


def not_found() -> GoogleError:
    """Say that there is no such thing, or none the caller may see."""
    return GoogleError(404, "Requested entity was not found.")


def failed_precondition(message: str) -> GoogleError:
    """Say that the request was right once but the world has moved on."""
    return GoogleError(400, message, "failedPrecondition", status="FAILED_PRECONDITION")


def unauthenticated() -> GoogleError:
    """Say that the bearer token is missing, expired, revoked or invented."""
    return GoogleError(
        401,
        "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid "
        "authentication credential. See https://developers.google.com/identity/sign-in/web/devconsole-project.",
        headers={"WWW-Authenticate": 'Bearer realm="https://accounts.google.com/", error="invalid_token"'},
    )


def insufficient_scope(service: str, needed: Sequence[str]) -> GoogleError:
    """Say that the token is good but was never granted this."""
    realm, scopes = "https://accounts.google.com/", " ".join(needed)
    return GoogleError(
        403,
        "Request had insufficient authentication scopes.",
        "insufficientPermissions",
        details=[error_info("ACCESS_TOKEN_SCOPE_INSUFFICIENT", service)],
        headers={"WWW-Authenticate": f'Bearer realm="{realm}", error="insufficient_scope", scope="{scopes}"'},
    )
