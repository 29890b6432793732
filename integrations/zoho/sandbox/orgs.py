"""Who is on the stage: organisations with users and rows, client applications, and the knobs of misbehaviour."""

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from integrations.zoho.sandbox.clock import DAY, show_time
from integrations.zoho.sandbox.metadata import MODULES, Field, Module
from integrations.zoho.sandbox.tables import Row, Table
from integrations.zoho.sandbox.views import View

# Concurrency, credits a day, further credits for each user, cap: https://www.zoho.com/crm/developer/docs/api/v8/api-limits.html
EDITIONS = {
    "Free": (5, 5_000, 0, 5_000),
    "Standard": (10, 50_000, 250, 100_000),
    "Professional": (15, 50_000, 500, 3_000_000),
    "Enterprise": (20, 50_000, 1_000, 5_000_000),
    "Ultimate": (25, 50_000, 2_000, 10**12),
}
CHOICES = {  # what the knobs with names may be turned to
    "bearer": ("strict", "lenient"),
    "search_phone": ("digits", "raw"),
    "phonebridge_mode": ("docs", "field"),
    "repeat_ended": ("second_row", "ignore"),
    "loose_json": ("both", "loose"),
}
PHONEBRIDGE_STATES = {"available", "other_provider", "not_registered"}


@dataclass(slots=True)
class Knobs:
    """How the understudy misbehaves, all off; `POST /_stage/knobs` turns them by these names."""

    bearer: str = "strict"  # strict: `Bearer` is refused; lenient: accepted
    expires_in_ms: bool = False  # the older token answer: expires_in_sec beside expires_in in milliseconds
    access_denied_status: int = 200  # the throttled token answer has been seen with 200 and with 400
    legacy_202: bool = False  # a batch in which everything failed answers 202 instead of 400
    mandatory: dict[str, list[str]] = field(default_factory=dict)  # module -> fields an administrator made mandatory
    closed_choices: dict[str, list[str]] = field(default_factory=dict)  # module -> pick lists that take no other value
    unique: dict[str, list[str]] = field(default_factory=dict)  # module -> fields that may not repeat
    cti_fields_writable: bool = False  # CTI_Entry, Caller_ID, Dialled_Number: unconfirmed, so not by default
    search_lag: float = 0.0  # seconds until the search index knows a write
    search_phone: str = "digits"  # digits: spelling does not matter; raw: only the same spelling is found
    coql_rows: int = 200  # rows one query may ask for: 200 in one text of Zoho's, 2,000 in another
    coql_long_text: bool = False  # whether a where clause may name a multi-line field
    bulk_looks: int = 2  # looks at a bulk read job before it can be done
    bulk_seconds: float = 0.0  # and seconds on the stage's clock
    bulk_rows: int = 200_000  # rows in one file
    bulk_fails: bool = False  # every job ends as FAILURE
    notify_copies: int = 1  # deliver each notification so many times
    notify_drop_every: int = 0  # lose every n-th notification
    notify_delay: float = 0.0  # seconds on the stage's clock before a notification leaves
    notify_delay_every: int = 1  # delay only every n-th, so that they overtake each other
    phonebridge_mode: str = "docs"  # docs: every documented state; field: missed and unattended states are refused
    repeat_ended: str = "second_row"  # what a repeated `ended` does: second_row, or ignore
    loose_json: str = "both"  # both: {name:x} and {"name":"x"} are read; loose: strict JSON is refused
    credits: int | None = None  # credits a day, instead of the edition's
    concurrency: int | None = None  # requests in flight for each org and client, instead of the edition's
    sub_concurrency: int = 10  # heavy requests in flight
    retry_after: int | None = None  # seconds; Zoho documents no Retry-After
    latency: float = 0.0  # seconds every API answer takes


@dataclass(frozen=True, slots=True)
class Client:
    """An application of the API console; a data centre without a secret is not switched on."""

    client_id: str
    secrets: dict[str, str]
    redirect_uris: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class User:
    """A person with an account; lives in the data centre of the organisation."""

    id: str
    zuid: str
    email: str
    full_name: str
    admin: bool
    zone: ZoneInfo
    phone: str | None
    org: str
    active: bool = True

    @property
    def first_name(self) -> str:
        """Everything before the last word of the name."""
        return self.full_name.rpartition(" ")[0]

    @property
    def last_name(self) -> str:
        """The last word of the name."""
        return self.full_name.rpartition(" ")[2]

    def short(self) -> dict[str, str]:
        """Write the user as records do."""
        return {"name": self.full_name, "id": self.id, "email": self.email}


@dataclass(slots=True)
class Org:
    """A customer's CRM in one data centre."""

    name: str  # what the stage calls it
    dc: str
    zgid: str
    company_name: str
    zone: ZoneInfo
    edition: str
    phonebridge: str
    country: str  # ISO 3166; empty: nobody filled it in
    phone: str
    prefix: str  # the first seven digits of every id it hands out
    opened_at: datetime
    users: dict[str, User] = field(default_factory=dict)  # by id
    tables: dict[str, Table] = field(default_factory=lambda: {name: Table(MODULES[name]) for name in MODULES})
    views: dict[str, View] = field(default_factory=dict)  # by id
    integrated: set[str] = field(default_factory=set)  # client ids PhoneBridge is switched on for
    spent: deque[tuple[float, int]] = field(default_factory=deque)  # (when, credits), the last 24 hours
    spent_sum: int = 0
    _last_id: int = 200_000

    def new_id(self) -> str:
        """Hand out the next 19-digit id."""
        self._last_id += 1
        return f"{self.prefix}{self._last_id:012d}"

    @property
    def admin(self) -> User:
        """The first administrator, whom the stage acts as when it names nobody."""
        return next((user for user in self.users.values() if user.admin), next(iter(self.users.values())))

    def user_by_email(self, email: str) -> User | None:
        """Find a user by address."""
        return next((user for user in self.users.values() if user.email.lower() == email.lower()), None)

    def user_by_zuid(self, zuid: str) -> User | None:
        """Find a user by the number PhoneBridge calls `zohouser`."""
        return next((user for user in self.users.values() if user.zuid == zuid), None)

    def limits(self, knobs: Knobs) -> tuple[int, int]:
        """Say how many requests may be in flight and how many credits a day has."""
        concurrency, base, each, cap = EDITIONS[self.edition]
        budget = min(base + each * len(self.users), cap)
        return knobs.concurrency or concurrency, budget if knobs.credits is None else knobs.credits

    def spend(self, cost: int, budget: int, now: float) -> int | None:
        """Take credits of the rolling 24 hours; say how many are left, or None when they do not suffice."""
        while self.spent and self.spent[0][0] <= now - DAY:
            self.spent_sum -= self.spent.popleft()[1]
        if self.spent_sum + cost > budget:
            return None
        self.spent.append((now, cost))
        self.spent_sum += cost
        return budget - self.spent_sum

    def may_write(self, column: Field, knobs: Knobs) -> bool:
        """Say whether the API lets somebody write a field; what it does not let through it ignores."""
        return not column.read_only and (not column.cti or knobs.cti_fields_writable)

    def name_of(self, module: Module, row: Row) -> str | None:
        """Say what a record is called where another one points to it."""
        value = row.values.get(module.display)
        return None if value is None else str(value)

    def find(self, row_id: str, module: str = "se_module") -> tuple[Table, Row] | None:
        """Find a row by id, in one module or in whichever has it."""
        asked = (
            self.tables.values() if module == "se_module" else [self.tables[module]] if module in self.tables else []
        )
        for table in asked:
            if row_id in table.rows:
                return table, table.rows[row_id]
        return None

    def show(self, module: Module, row: Row, zone: ZoneInfo, fields: list[str] | None = None) -> dict[str, Any]:
        """Write a record as an answer does: these fields, or all; times in the reader's zone."""
        names = list(module.fields) if fields is None else [name for name in fields if name in module.fields]
        shown = {name: self.show_value(module.fields[name], row.get(name), zone) for name in ["id", *names]}
        if "What_Id" in module.fields:
            shown["$se_module"] = row.values.get("$se_module")
        return shown

    def show_value(self, column: Field, value: Any, zone: ZoneInfo) -> Any:
        """Write one value."""
        if isinstance(value, datetime):
            return show_time(value, zone)
        if not isinstance(value, dict):
            return value
        if column.data_type == "ownerlookup":
            user = self.users.get(value["id"])
            return user.short() if user else value
        found = self.find(value["id"], column.lookup)
        shown = {"name": self.name_of(found[0].module, found[1]) if found else None, "id": value["id"]}
        return shown | ({"module": value["module"]} if "module" in value else {})
