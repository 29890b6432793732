"""A phone system's door and the vendor who knocks at it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from flask.testing import FlaskClient
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from integrations.telephony.standard.signature import sign
from jobs.connect import NewDoor
from jobs.services import Services
from store.database import TenantId
from store.tables import deliveries, directory, effects, ledger
from tests import house

JSON = {"content-type": "application/json"}
REFUSED = {"code", "status", "title", "type"}


@dataclass
class Door:
    """Alice's door, and the vendor who knocks at it."""

    client: FlaskClient
    tools: Services
    tenant: TenantId
    path: str
    secret: str
    made: NewDoor

    @classmethod
    def of(cls, tools: Services, tenant: TenantId) -> Door:
        """Tie a phone system to Alice's tenant."""
        made = house.phone_system(tools, house.administrator(tools, tenant))
        return cls(house.front(tools), tools, tenant, house.path_of(made), made.secret, made)

    def knock(self, body: bytes, event: str = "e1", /, *, path: str = "", **headers: str | None) -> TestResponse:
        """Knock as the vendor would; a header given as None is left out."""
        told = JSON | sign(self.secret, event, body, datetime.now(UTC))
        told |= {name.replace("_", "-"): value for name, value in headers.items() if value is not None}
        for name in [name for name, value in headers.items() if value is None]:
            del told[name.replace("_", "-")]
        return self.client.post(path or self.path, data=body, headers=told)

    def written(self) -> tuple[int, ...]:
        """How many rows of everything a knock could leave."""
        with self.tools.db.tenant(self.tenant) as connection:
            return tuple(
                connection.execute(select(func.count()).select_from(table)).scalar_one()
                for table in (deliveries, effects, ledger, directory)
            )


def event(type: str = "call.ringing", /, **data: Any) -> bytes:
    call = {"call_id": "c1", "direction": "inbound", "from": "+34600111222", "to": "+34910000000"} | data
    return json.dumps({"type": type, "timestamp": "2026-03-29T09:15:04Z", "data": call}).encode()


BODY = event()
