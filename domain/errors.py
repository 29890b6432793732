"""What can go wrong, named after the remedy.

    Trouble                      anything we name ourselves; carries a stable `code`
    ├── Upstream                 an outside system's doing
    │   ├── TryLater             429, 5xx, not reached: the same work runs again after `wait` seconds
    │   │   └── NotNow           we did not even ask: the work waits, and this was not one of its tries
    │   ├── Unanswered           sent, but nobody knows whether it was done: read back before doing it again
    │   ├── ConsentLost          refused after renewal: stop, show the administrator a button
    │   ├── NotAllowed           this feature is off (scope, licence, role): pause it, say why
    │   └── Refused              asking again gets the same answer: record it, never retry
    ├── Unauthentic              a knock we do not believe: 401, always the same body
    ├── Malformed                a knock we believe and cannot read: 400
    ├── Forbidden                a target or an action we will not touch: 403
    └── Missing                  not there, or not yours: 404, the same answer for both

Adapters turn status codes into these at their edge; jobs and pages never look at a status code.
"""

from __future__ import annotations


class Trouble(Exception):
    """Something we have a name for. The message is one plain sentence and never holds personal data."""

    code = "trouble"

    def __init__(self, message: str = "", *, code: str = "") -> None:
        super().__init__(message or self.__doc__ or self.code)
        if code:
            self.code = code


class Upstream(Trouble):
    """An outside system did not do what we asked."""

    code = "upstream"


class TryLater(Upstream):
    """The outside system is busy or out of reach."""

    code = "upstream.busy"

    def __init__(self, message: str = "", *, code: str = "", wait: float = 0.0) -> None:
        super().__init__(message, code=code)
        self.wait = wait  # seconds the other side asked for; 0 = it did not say


class NotNow(TryLater):
    """The way to the outside system is closed for now, so nothing was sent."""

    code = "upstream.waits"


class Unanswered(Upstream):
    """The request left and no answer came back, so nobody knows whether it was done."""

    code = "upstream.unanswered"


class ConsentLost(Upstream):
    """The consent behind this connection is gone; an administrator has to grant it again."""

    code = "consent.lost"


class NotAllowed(Upstream):
    """The connection may not use this feature."""

    code = "feature.off"


class Refused(Upstream):
    """The outside system refused this and would refuse it again."""

    code = "upstream.refused"


class FieldRefused(Refused):
    """The outside system refused one field of what it was told."""

    code = "upstream.field_refused"

    def __init__(self, message: str = "", *, code: str = "", field: str = "") -> None:
        super().__init__(message, code=code)
        self.field = field  # by its name over there


class Unauthentic(Trouble):
    """The request could not be authenticated."""

    code = "unauthentic"


class Malformed(Trouble):
    """The request could not be understood."""

    code = "malformed"


class Forbidden(Trouble):
    """This is not allowed."""

    code = "forbidden"


class Missing(Trouble):
    """There is nothing here."""

    code = "not_found"
