"""A user's own mailboxes: whose mail stays out of here, and whether colleagues see the rest."""

from __future__ import annotations

from uuid import UUID

from flask import Blueprint, redirect, url_for
from flask.typing import ResponseReturnValue
from marshmallow import fields, validate

from console.desk import desk, here, page
from console.forms import MESSAGES, Filled, Form, Nothing, asked, filled, text
from domain.errors import Malformed
from domain.own_account import OWNER, SEEN_BY
from jobs import privacy

bp = Blueprint("mailboxes", __name__, url_prefix="/console/mailboxes")


class Whom(Form):
    """An address or a domain."""

    whom = text(most=320)


class SeenBy(Form):
    """Who sees what is cached of a mailbox."""

    seen_by = fields.String(required=True, validate=validate.OneOf(("", OWNER)), error_messages=MESSAGES)


@bp.get("")
def index() -> ResponseReturnValue:
    """Show the user's own mailboxes."""
    asked(Nothing())
    return _page()


@bp.post("/<uuid:tie>/keep-out")
def keep_out(tie: UUID) -> ResponseReturnValue:
    """Keep a person or a domain out."""
    form = filled(Whom())
    if form.good:
        try:
            privacy.keep_out(desk().services, here().user, tie, form.value["whom"])
        except Malformed as error:
            form = Filled(errors={"whom": [str(error)]}, given=form.given)
    if not form.good:
        return _page(tie, form), 400
    return redirect(url_for("console.mailboxes.index"), 303)


@bp.post("/<uuid:tie>/let-in/<uuid:row>")
def let_in(tie: UUID, row: UUID) -> ResponseReturnValue:
    """Let somebody in again."""
    if not filled(Nothing()).good:
        raise Malformed("This form has no such field.", code="field.unknown")
    privacy.let_in(desk().services, here().user, tie, row)
    return redirect(url_for("console.mailboxes.index"), 303)


@bp.post("/<uuid:tie>/seen-by")
def seen_by(tie: UUID) -> ResponseReturnValue:
    """Say whether colleagues see a mailbox's mail."""
    form = filled(SeenBy())
    if not form.good:
        raise Malformed("This form cannot be read.", code="field.invalid")
    privacy.show_to(desk().services, here().user, tie, owner_only=form.value["seen_by"] == OWNER)
    return redirect(url_for("console.mailboxes.index"), 303)


def _page(wrong: UUID | None = None, form: Filled | None = None) -> str:
    services, at = desk().services, here()
    mine = privacy.own(services, at.user)
    return page(
        "mailboxes.html",
        boxes=[(tie, privacy.kept_out(services).of(at.tenant.id, tie.id)) for tie in mine],
        private={tie.id for tie in mine if tie.facts.get(SEEN_BY) == OWNER},
        wrong=wrong,
        form=form or Filled(),
    )
