"""What people fill in about Google's applications: a switch, and the side panel in Meet."""

from __future__ import annotations

from marshmallow import fields, validate

from console.forms import Form


class Waiting(Form):
    """Whether the frame asks again."""

    again = fields.String(load_default="", validate=validate.Equal("1"))


class Ticket(Form):
    """Which frame asks."""

    frame = fields.String(required=True, validate=validate.Length(min=1, max=512))


class FramePress(Form):
    """A button in a frame, which brings the frame's own token."""

    frame_token = fields.String(required=True)


class FrameDial(FramePress):
    """A number to dial, or a call whose number it is."""

    number = fields.String(load_default="", validate=validate.Length(max=200))
    call = fields.UUID(load_default=None)
    key = fields.String(required=True, validate=validate.Length(min=1, max=64))


class Switch(Form):
    """On or off."""

    on = fields.String(required=True, validate=validate.OneOf(("yes", "no"), error="Please say yes or no."))
