"""The files bulk read is writing, and how often each organisation fetched one."""

from collections import defaultdict, deque
from dataclasses import dataclass, field

from integrations.zoho.sandbox.metadata import Module


@dataclass(slots=True)
class Job:
    """One file that is being written."""

    id: str
    org: str
    module: Module
    fields: list[str]
    rows: list[list[str]]
    page: int
    more: bool
    user: dict[str, str]
    made_at: float
    looks: int = 0

    @property
    def token(self) -> str:
        """What the next job is asked for with."""
        return f"{self.id}.{self.page + 1}"


@dataclass(slots=True)
class Exports:
    """Every job, and when each organisation fetched a file in the last minute."""

    jobs: dict[str, Job] = field(default_factory=dict)
    fetched: defaultdict[str, deque[float]] = field(default_factory=lambda: defaultdict(deque))
