"""What a key of a tenant's own programs may be good for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

Scope = Literal["dial", "calls.read", "contacts.read", "contacts.write", "hints"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
PURPOSES: Mapping[Scope, str] = {
    "dial": "Have an agent's telephone ring and dial, and steer a call while it lives",
    "calls.read": "Read the calls, and what changed since they were read last",
    "contacts.read": "Read the contacts, and what changed since they were read last",
    "contacts.write": "Change contacts where your connections may be written; what was overwritten can be put back",
    "hints": "Ask who a caller is, and whom a call should go to",
}
