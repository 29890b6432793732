"""The marketplace: an extension is installed, updated or removed, and its owner's server is told.

CRM runs the extension's own install action, which posts whatever its author wrote; Desk posts to an address of the
manifest and hashes the body with the manifest's secret.
"""

import base64
import hashlib
import hmac
import json
from urllib.parse import urlencode

from integrations.zoho.sandbox import outbound
from integrations.zoho.sandbox.answers import Json
from integrations.zoho.sandbox.orgs import Org

DESK = {"installed": "onInstall", "updated": "onUpdate", "removed": "onUninstall"}


def tell(org: Org, now: float, sent: Json) -> list[int]:
    """Tell `endpoint` what happened, `times` over; return how each was answered."""
    make = _desk if sent.get("package") == "desk" else _crm
    headers, body = make(org, now, sent)
    return [outbound.post(sent["endpoint"], body, headers)[0] for _ in range(int(sent.get("times", 1)))]


def _crm(org: Org, now: float, sent: Json) -> tuple[dict[str, str], bytes]:
    """What the install action of the extension's author sends; Deluge writes numbers and truth values as it likes."""
    told = {
        "event": "removed" if sent["event"] == "removed" else "installed",
        "organizationId": org.zgid,
        "isInstall": str(sent["event"] == "installed").lower(),
        "at": sent.get("at", int(now * 1000)),
    } | sent.get("body", {})
    form = sent.get("form", False)
    kind = "application/x-www-form-urlencoded" if form else "application/json"
    text = urlencode(told) if form else json.dumps(told)
    return {"Content-Type": kind, "X-Linekeeper-Secret": str(sent.get("secret", ""))}, text.encode()


def _desk(org: Org, now: float, sent: Json) -> tuple[dict[str, str], bytes]:
    context = hashlib.sha256(f"{org.zgid} {sent.get('installation', 1)}".encode()).hexdigest()[:32]
    body = json.dumps({"event": DESK[sent["event"]], "orgId": int(org.zgid), "securityContext": context}).encode()
    right = hmac.digest(str(sent.get("secret", "")).encode(), body, hashlib.sha256)
    spelt = base64.b64encode(right).decode() if sent.get("spelling") == "base64" else right.hex()
    return {"Content-Type": "application/json", "HASH": spelt}, body
