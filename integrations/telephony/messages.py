"""Text messages that come as forms: what the vendors that send them so have in common.

Which fields there are, and which of them says that a message came or went, is each vendor's own business. None of them
says in the form when it was: a message is of the moment its news reached us.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from marshmallow import EXCLUDE, Schema, fields
from marshmallow.validate import Length, Regexp

from domain.call import Direction, Stage, TextNews
from domain.errors import Malformed
from integrations.telephony.form import LINK

TEXT_CHARACTERS = 16_000  # several times the most a message holds, however many parts it came in
MOST_MEDIA = 10
CHANNEL = re.compile(r"[a-z][a-z_]{1,31}:(\+[0-9]{7,15})")  # whatsapp:+15552229999, rcs:...
MEDIA_LINK = re.compile(rf"{LINK}\Z")


class Message(Schema):
    """What any message has; a vendor's own schema says under which names."""

    class Meta:
        unknown = EXCLUDE  # they may add fields; we keep only what we have a purpose for

    ref = fields.String(required=True, validate=Regexp(r"[!-9;-~]{1,64}\Z"))
    sender = fields.String(required=True, validate=Length(max=256))
    receiver = fields.String(required=True, validate=Length(max=256))
    text = fields.String(validate=Length(max=TEXT_CHARACTERS))


def renamed(form: Mapping[str, str], names: Mapping[str, str]) -> dict[str, str]:
    """Give a form's fields the names `Message` has for them; the rest is left behind."""
    return {ours: form[theirs] for theirs, ours in names.items() if theirs in form}


def news(
    data: Mapping[str, Any],
    event_id: str,
    direction: Direction,
    media: Iterable[str] = (),
    *,
    unsaid: bool = False,
    stage: Stage = "",
    failed: str = "",
) -> TextNews:
    """Tell what a form said as a message of ours. Raises Malformed for a link that is none."""
    links = tuple(media)[:MOST_MEDIA]
    if not all(map(MEDIA_LINK.match, links)):
        raise Malformed("Missing or not as agreed: the address of a picture or file.", code="field.invalid")
    return TextNews(
        id=event_id,
        message_ref=data["ref"],
        direction=direction,
        sender=number(data["sender"]),
        receiver=number(data["receiver"]),
        text=data.get("text") or "",
        media=links,
        unsaid=unsaid,
        stage=stage,
        failed=failed,
    )


def number(address: str) -> str:
    """The number in a channel's address; anything else as it stands."""
    found = CHANNEL.fullmatch(address)
    return found[1] if found else address
