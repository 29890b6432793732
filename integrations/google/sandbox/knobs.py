"""Everything about the understudy's temper that a test or a scenario may turn; the defaults are as documented."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args, get_type_hints

DAY = 86_400


@dataclass(slots=True)
class Knobs:
    """The settings behind `POST /_stage/knobs`."""

    # OAuth
    access_token_seconds: int = 3_599
    testing: bool = False  # consent screen "External, Testing": refresh tokens live seven days
    unasked_refresh_token: bool = False  # whether a code brings one where no consent page was shown: not documented
    time_based_access_seconds: int = 0  # the user granted access for a while: `refresh_token_expires_in`

    # Gmail
    gmail_quota: Literal["new", "old", "off"] = "new"  # projects from 2026-05-01, projects before, no limit
    gmail_quota_answer: Literal["429", "403"] = "429"
    history_retention_seconds: int = 7 * DAY  # "typically at least a week, sometimes only hours"
    rewrite_message_id: bool = False  # a sent message gets a Message-ID of Google's own

    # Pub/Sub push
    push_duplicates: int = 0  # how many extra copies of every notification arrive
    push_drop: int = 0  # how many of the coming notifications are lost
    push_reorder: bool = False  # every notification waits for the next one and arrives after it
    push_delay_seconds: float = 0  # by the stage's clock
    push_one_a_second: bool = False  # excess within a second (by the stage's clock) is dropped
    push_tries: int = 5
    push_history_id: Literal["string", "number"] = "string"

    # People
    contact_lag_seconds: float = 0  # until a write shows up in a sync request
    contact_search: Literal["stale", "fresh"] = "stale"  # stale: sees what there was at the last empty (warm-up) query
    expired_sync_token: Literal["400", "410"] = "400"
    directory_deletions: Literal["silent", "told"] = "silent"  # its method tells of them, its schema says it does not
    concurrent_mutations: Literal["allow", "fail"] = "allow"
    critical_reads_per_minute: int = 0  # 0: no limit. Operators report 90, Google's console is the authority
    full_syncs_per_minute: int = 0  # 0: no limit. First pages of full syncs, per user

    def turn(self, values: dict[str, Any]) -> None:
        """Set several at once, or none when a name or a value is not one we know."""
        hints = get_type_hints(type(self))
        for name, value in values.items():
            if name not in hints:
                raise ValueError(f"there is no knob {name!r}; there are {sorted(hints)}")
            if choices := get_args(hints[name]):
                if value not in choices:
                    raise ValueError(f"{name} must be one of {choices}")
            elif hints[name] is float:
                if isinstance(value, bool) or not isinstance(value, int | float):
                    raise ValueError(f"{name} must be a number")
            elif type(value) is not hints[name]:
                raise ValueError(f"{name} must be a {hints[name].__name__}")
        for name, value in values.items():
            setattr(self, name, value)

    def reset(self) -> None:
        """Go back to the documented behaviour."""
        for field in fields(self):
            setattr(self, field.name, field.default)

    def show(self) -> dict[str, Any]:
        """List every knob and how it stands."""
        return asdict(self)
