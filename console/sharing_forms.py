"""What an administrator fills in about contacts that are kept in step."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from marshmallow import ValidationError, fields, post_load, validate

from console.forms import MESSAGES, Form, choice
from console.sync_words import MODULES
from domain.besides import SOURCES
from domain.sharing import DIRECTIONS, OWNERS, Sharing
from domain.telling import Field

TIES: tuple[Field, ...] = ("name", "company", "title")  # numbers and addresses are added up, so nobody has to win
MOST_CHOSEN = 200
VIEWS = {f"view_{module.lower()}": module for module in MODULES}
NO_VIEW = "This view is not there. Please choose one of these, or all records."


def view() -> fields.String:
    """A view of a module, or all its records."""
    return fields.String(load_default=None, validate=validate.Length(max=40, error=NO_VIEW), error_messages=MESSAGES)


class SharingForm(Form):
    """Which way changes travel, whose word counts where both changed, and what takes part."""

    direction = choice(DIRECTIONS, required=True)
    owner_name = choice(OWNERS, load_default="left")
    owner_company = choice(OWNERS, load_default="left")
    owner_title = choice(OWNERS, load_default="left")
    labels = fields.List(fields.String(validate=validate.Length(min=1, max=200)), load_default=list)
    view_contacts, view_leads, view_accounts = view(), view(), view()

    def __init__(
        self, among: frozenset[str], now: Sharing, views: Mapping[str, Collection[str]] = MappingProxyType({})
    ) -> None:
        """`among`: the labels or modules there are, `views`: the views of each; `now`: what is chosen; what is not
        asked here stays."""
        super().__init__()
        self.among, self.now, self.views = among, now, views

    @post_load
    def to_sharing(self, data: dict[str, Any], **_: Any) -> Sharing:
        only = tuple(dict.fromkeys(data["labels"]))
        if len(only) > MOST_CHOSEN or not self.among.issuperset(only):
            raise ValidationError("Please choose among these.", "labels")
        owner = {name: data[f"owner_{name}"] for name in TIES if data[f"owner_{name}"] != "left"}
        return replace(self.now, direction=data["direction"], owner=owner, only=only, views=self._views(data))

    def _views(self, data: Mapping[str, Any]) -> dict[str, str]:
        """Of which modules only a view takes part. Raises ValidationError for one that is not there."""
        chosen = dict(self.now.views)
        for name, module in VIEWS.items():
            told = data[name]
            if told and told not in self.views.get(module, ()):
                raise ValidationError(NO_VIEW, name)
            if told:
                chosen[module] = told
            elif told is not None:
                chosen.pop(module, None)
        return chosen


class LimitForm(Form):
    """How much one run may remove without asking."""

    percent = fields.String(
        required=True,
        validate=validate.Regexp(r"^(100|[1-9]?[0-9])$", error="A whole number from 0 to 100."),
        error_messages=MESSAGES,
    )

    @post_load
    def to_percent(self, data: dict[str, Any], **_: Any) -> int:
        return int(data["percent"])


class Besides(Form):
    """Read what Google knows beside contacts, or stop and forget it."""

    source = choice(tuple(one.slug for one in SOURCES), required=True)
    do = choice(("read", "stop"), required=True)


class HeldForm(Form):
    """What becomes of a run that would remove too much."""

    chore = fields.String(required=True, validate=validate.Regexp(r"^[a-z.]{1,40}$"), error_messages=MESSAGES)
    do = choice(("continue", "leave"), required=True)


class Pause(Form):
    """Pause a connection's contacts, or go on."""

    do = choice(("pause", "resume"), required=True)
