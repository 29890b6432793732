"""What a request costs of the credits Zoho gives an organisation for 24 hours.

https://www.zoho.com/crm/developer/docs/api/v8/api-limits.html
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from integrations.zoho.client import BULK, CRM

RECORDS_A_CREDIT = 10
BULK_JOB = 50


def credits(method: str, url: str, options: Mapping[str, Any]) -> int:
    """Count them: PhoneBridge is not part of the CRM's API, tombstones are two, records are one for ten.

    Having a module written out is fifty.
    """
    path = url.partition("://")[2].partition("/")[2].partition("?")[0]
    if f"/{path}".startswith(f"{BULK}/"):
        return BULK_JOB if method == "POST" else 1
    if not f"/{path}".startswith(f"{CRM}/"):
        return 0
    if path.endswith("/deleted"):
        return 2
    sent = options.get("json")
    records = sent.get("data") if isinstance(sent, Mapping) else None
    return max(1, math.ceil(len(records) / RECORDS_A_CREDIT)) if isinstance(records, list) else 1
