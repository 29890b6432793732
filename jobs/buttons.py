"""What users can press in the CRM's own telephony screen: numbers to dial, and what their phone system lets them do.

Registered when the CRM is connected, and again when people or phone systems came or went since; each user's presses
come to one door of the tenant, with a secret that proves that it was the CRM.
"""

from __future__ import annotations

import hashlib
import uuid

import structlog

from domain.errors import NotAllowed, Refused
from domain.ports import Control
from jobs import steering
from jobs.services import Services
from store.connections import Tie

log = structlog.get_logger()

DOOR = "press.door"  # the cursor that keeps it: only a fingerprint stands in the directory
WORDS: dict[Control, str] = {"dtmf": "keypress"}  # where the door's address says it in the CRM's word


def register(services: Services, tie: Tie) -> int:
    """Tell the CRM where clicks and buttons of every user go; return how many users it took them for."""
    bridge = services.bridge(tie)
    door, secret = _door(services, tie)
    origin = f"{services.settings.origin}/webhooks/zoho"
    urls = {
        control: f"{origin}/control/{door}/{WORDS.get(control, control)}" for control in sorted(controls(services, tie))
    }
    taken = 0
    for user in services.tenants.users(tie.tenant):
        if user.active and user.login_id:
            try:
                bridge.register_dial(url=f"{origin}/dial/{door}", secret=secret, login=user.login_id)
                if urls or tie.facts.get("buttons"):  # nothing to take back where nothing was ever shown
                    bridge.register_controls(urls=urls, secret=secret, login=user.login_id)
                taken += 1
            except (Refused, NotAllowed) as error:  # one user without telephony does not stop the others
                log.info("dial_not_registered", tenant=str(tie.tenant), user=str(user.id), reason=error.code)
    services.connections.set_facts(tie.tenant, tie.id, buttons=_looks(services, tie))
    return taken


def refresh(services: Services, tie: Tie) -> None:
    """Register again if people or phone systems came or went; nothing where the CRM has no telephony screen."""
    if services.tenants.get(tie.tenant).call_writer == "bridge" and tie.facts.get("buttons") != _looks(services, tie):
        register(services, tie)


def controls(services: Services, tie: Tie) -> frozenset[Control]:
    """What one phone system or another of the tenant lets us do to a live call."""
    systems = services.connections.all(tie.tenant, kind="telephony", connected=True)
    return frozenset(control for system in systems for control in steering.can(services, system))


def _door(services: Services, tie: Tie) -> tuple[str, str]:
    """The tenant's door for presses and its secret, made once and kept."""
    secrets = services.connections.secrets(tie.tenant, tie.id, "dial")
    door = services.connections.cursor(tie.tenant, tie.id, DOOR)
    if not door or not secrets or services.directory.find("door", door) is None:
        door = services.directory.new("door", tie.tenant, connection=tie.id)
        secrets = [uuid.uuid4().hex + uuid.uuid4().hex]
        services.connections.add_secret(tie.tenant, tie.id, "dial", secrets[0])
        services.connections.set_cursor(tie.tenant, tie.id, DOOR, door)
    return door, secrets[0]


def _looks(services: Services, tie: Tie) -> str:
    """A digest of who can press what, so that nothing is registered twice for nothing."""
    people = sorted(user.login_id for user in services.tenants.users(tie.tenant) if user.active and user.login_id)
    return hashlib.sha256(" ".join([*people, *sorted(controls(services, tie))]).encode()).hexdigest()
