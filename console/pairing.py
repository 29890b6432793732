"""A code for the frame in Zoho: whoever is signed in here takes it there, once and at once."""

from __future__ import annotations

import secrets
from datetime import timedelta

from flask import Blueprint
from flask.typing import ResponseReturnValue

from console.desk import desk, here, page
from console.forms import Nothing, asked, filled
from domain.errors import Malformed

SIGNS = "ABCDEFGHJKMNPQRSTVWXYZ23456789"  # none that is taken for another
LENGTH = 10  # 49 bits, for five minutes
GOOD_FOR = timedelta(minutes=5)

bp = Blueprint("pairing", __name__, url_prefix="/console/widget")


@bp.get("")
def index() -> ResponseReturnValue:
    """Say what the code is for."""
    asked(Nothing())
    return page("pairing.html", code="")


@bp.post("")
def make() -> ResponseReturnValue:
    """Show a new code; the one before it is not good any more."""
    if not filled(Nothing()).good:
        raise Malformed("This form has no such field.", code="field.unknown")
    services, at = desk().services, here()
    services.directory.strike_user("widget_code", at.tenant.id, at.user.id)
    code = "".join(secrets.choice(SIGNS) for _ in range(LENGTH))
    services.directory.put("widget_code", code, at.tenant.id, user=at.user.id, expires_at=services.now() + GOOD_FOR)
    return page("pairing.html", code=f"{code[:5]}-{code[5:]}")
