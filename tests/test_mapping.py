"""What goes into which field: templates that can be read, faults named in a sentence, values a field can hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from domain import template
from domain.mapping import CrmField, FieldMap, Rule, faults, fill, unfilled
from domain.template import Value

MADRID = ZoneInfo("Europe/Madrid")
AT = datetime(2026, 3, 29, 9, 15, 4, tzinfo=UTC)
CALL: Mapping[str, Value] = {
    "caller": "Dana Sol",
    "number": "+34600111222",
    "queue": "sales",
    "direction": "Inbound",
    "result": "Missed",
    "started": AT,
    "answered": None,
    "seconds": 90,
    "minutes": 2,
    "note": "wants an offer\nby Monday",
    "recording": "https://linekeeper.example/recordings/abc",
    "agent_email": "bob@alice.example",
}
TEXT = CrmField(name="Queue_Name", label="Queue", length=20)
PICK = CrmField(name="Call_Result", label="Call Result", kind="picklist", choices=("Missed", "Interested"))
NUMBER = CrmField(name="Minutes", kind="double")
WHOLE = CrmField(name="Seconds", kind="integer")
WHEN = CrmField(name="Answered_At", label="Answered at", kind="datetime")
DAY = CrmField(name="Day", kind="date")
TICK = CrmField(name="Tick", kind="boolean")
LINK = CrmField(name="Link", kind="website", length=450)
MAIL = CrmField(name="Mail", kind="email", length=100)
PHONE = CrmField(name="Phone", kind="phone", length=30)
LOOKUP = CrmField(name="Deal", kind="lookup")
OURS, LOCKED = CrmField(name="Owner", ours=True), CrmField(name="Closed", writable=False)
DEMANDED = CrmField(name="Branch", label="Branch", mandatory=True)
THERE = (TEXT, PICK, NUMBER, WHOLE, WHEN, DAY, TICK, LINK, MAIL, PHONE, LOOKUP, OURS, LOCKED)


def mapped(*rules: tuple[CrmField, str] | tuple[CrmField, str, str]) -> FieldMap:
    return FieldMap(on=True, rules=tuple(Rule(field=one[0], template=one[1], queue="".join(one[2:])) for one in rules))


FILLS: dict[str, tuple[CrmField, str, Any, str]] = {
    "names and words": (TEXT, "{caller} – {queue}", "Dana Sol – sales", ""),
    "what stands there otherwise": (TEXT, "{disposition|none yet}", "none yet", ""),
    "nothing": (TEXT, "{disposition}", None, ""),
    "one line": (replace(TEXT, length=90), "{note}", "wants an offer by Monday", ""),
    "a text of lines": (replace(TEXT, kind="textarea", length=90), "{note}", "wants an offer\nby Monday", ""),
    "too long": (TEXT, "{caller} from {number}", "Dana Sol from +34600", "Cut to the 20 characters the field holds."),
    "a choice, spelt as the list does": (PICK, "{result|interested}", "Missed", ""),
    "no choice": (PICK, "{queue}", None, "“sales” is not in the field’s list."),
    "no choice, but what stands there otherwise": (
        PICK, "{queue|interested}", "Interested", "“sales” is not in the field’s list."
    ),
    "a number": (NUMBER, "{minutes}", 2.0, ""),
    "a whole number": (WHOLE, "{seconds}", 90, ""),
    "a moment": (WHEN, "{started}", "2026-03-29T09:15:04+00:00", ""),
    "a moment there was not": (WHEN, "{answered}", None, ""),
    "a day by the tenant's clock": (DAY, "{started}", "2026-03-29", ""),
    "a moment in a text": (TEXT, "{started}", "2026-03-29 11:15", ""),
    "a tick": (TICK, "yes", True, ""),
    "a link": (LINK, "{recording}", "https://linekeeper.example/recordings/abc", ""),
    "half a link": (replace(LINK, length=20), "{recording}", None, "It has 41 characters; the field holds 20."),
    "a number to call": (PHONE, "{number}", "+34600111222", ""),
    "empty where it is demanded": (DEMANDED, "{disposition}", None, "It comes out empty, and Zoho demands it."),
}  # fmt: skip


@pytest.mark.parametrize(("target", "text", "value", "problem"), FILLS.values(), ids=FILLS)
def test_a_field_gets_what_it_can_hold(target: CrmField, text: str, value: Any, problem: str) -> None:
    """What it cannot hold is left out or cut, and said."""
    found = fill(mapped((target, text)), "sales", CALL, MADRID)

    assert ({} if value is None else {target.name: value}) == found.values
    assert ({target.name: problem} if problem else {}) == found.problems


def test_a_queue_has_rules_of_its_own() -> None:
    """Its own stand before the general ones, whatever the capitals; an empty one leaves the field alone."""
    rules = mapped((TEXT, "{queue|none}"), (TEXT, "Sales!", "Sales"), (PICK, "missed"), (PICK, "", "support"))

    assert {"Queue_Name": "Sales!", "Call_Result": "Missed"} == fill(rules, "sales", CALL, MADRID).values
    assert {"Queue_Name": "sales"} == fill(rules, "support", CALL, MADRID).values
    assert {"Queue_Name": "sales", "Call_Result": "Missed"} == fill(rules, "", CALL, MADRID).values
    assert rules == FieldMap.from_data(rules.as_data())
    assert FieldMap() == FieldMap.from_data(None)


FAULTS: dict[str, tuple[CrmField, str, str, str]] = {
    "a field there is not": (CrmField(name="Gone"), "x", "", "Zoho has no such field of calls, or not any more."),
    "a field of ours": (OURS, "x", "", "Linekeeper fills this field itself."),
    "one nobody may write": (LOCKED, "x", "", "Zoho lets no program write this field."),
    "one that points elsewhere": (LOOKUP, "x", "", "A field of this kind (lookup) cannot be filled with a text."),
    "an unknown name": (TEXT, "{secret}", "", "There is no {secret}."),
    "code": (TEXT, "{caller.__class__}", "", "There is no {caller.__class__}."),
    "an open brace": (TEXT, "{caller", "", "A brace is open: a name stands between { and }."),
    "nothing": (TEXT, " ", "", "Say what stands there, or take the row out."),
    "nothing for a queue": (TEXT, "", "sales", ""),
    "huge": (TEXT, "x" * 501, "", "At most 500 characters."),
    "too long for ever": (
        TEXT, "x" * 21, "", "Cut to the 20 characters the field holds. It is the same for every call."
    ),
    "no choice for ever": (PICK, "Sold", "", "“Sold” is not in the field’s list."),
    "words none of which is a choice": (
        PICK, "{direction}", "", "None of what {direction} says (Inbound, Outbound) is in the field’s list."
    ),
    "dispositions none of which is one": (
        PICK, "{disposition}", "", "None of what {disposition} says (Sold, Call again) is in the field’s list."
    ),
    "some of which are": (PICK, "{result}", "", ""),
    "an otherwise that is no choice": (PICK, "{queue|Sold}", "", "“Sold” is not in the field’s list."),
    "words for a number": (NUMBER, "{queue}", "", "This field holds a number: {seconds}, {minutes}, {waited}."),
    "more than a number": (NUMBER, "{minutes} min", "", "This field holds a number: {seconds}, {minutes}, {waited}."),
    "no number": (WHOLE, "many", "", "This is no whole number."),
    "words for a time": (WHEN, "{caller}", "", "This field holds a time: {started}, {answered}, {ended}."),
    "words for a tick": (TICK, "{result}", "", "This field is ticked or not: yes or no."),
    "neither": (TICK, "perhaps", "", "This is neither yes nor no."),
    "a name as a link": (LINK, "{caller}", "", "This field holds something else: {recording}."),
    "no link": (LINK, "javascript:alert(1)", "", "This is no link."),
    "no address": (MAIL, "bob", "", "This is no address."),
    "an address": (MAIL, "{agent_email}", "", ""),
    "demanded and perhaps empty": (
        DEMANDED, "{queue}", "",
        "Zoho demands this field, and this may come out empty. Say what stands there then: {queue|none}.",
    ),
    "demanded, with an otherwise": (DEMANDED, "{queue|none}", "", ""),
    "demanded, and perhaps not in the list": (
        replace(PICK, mandatory=True), "{result}", "",
        "Zoho demands this field, and this may not be in its list. Say which stands there then: {queue|Other}.",
    ),
    "demanded, left out for a queue": (
        DEMANDED, "", "sales", "Zoho demands this field of every call, so it cannot be left empty."
    ),
}  # fmt: skip


@pytest.mark.parametrize(("target", "text", "queue", "sentence"), FAULTS.values(), ids=FAULTS)
def test_what_cannot_work_is_refused_with_a_sentence(target: CrmField, text: str, queue: str, sentence: str) -> None:
    there = [*(one for one in THERE if one.name != target.name), *([target] if target.name != "Gone" else [])]
    rules = mapped((target, text, queue), *([(target, "HQ")] if queue and target.mandatory else []))
    words = {"disposition": ("Sold", "Call again")}

    assert ([sentence] if sentence else []) == [one.sentence for one in faults(rules, there, words)]


def test_what_is_demanded_and_has_no_source_is_named() -> None:
    """By its label; a value for all calls is enough, one for a queue is not."""
    there = (*THERE, DEMANDED)

    assert ["Zoho demands Branch of every call. Give it a value."] == [
        one.sentence for one in faults(mapped((TEXT, "{queue}")), there, {})
    ]
    assert [DEMANDED] == unfilled(mapped((DEMANDED, "HQ", "sales")), there)
    assert [] == unfilled(mapped((DEMANDED, "HQ")), there)
    assert ["This field is filled twice for the same calls."] == [
        one.sentence for one in faults(mapped((TEXT, "a"), (TEXT, "b")), THERE, {})
    ]
    assert ["At most 60 rules."] == [
        one.sentence for one in faults(mapped(*[(TEXT, "a", str(n)) for n in range(61)]), THERE, {})
    ]


def test_a_template_names_what_there_is() -> None:
    """Every name has a sentence, and what stands behind the bar may hold anything but braces."""
    made = template.read("{caller|somebody: at 5} {queue}")
    assert isinstance(made, template.Template)
    assert ["caller", "queue"] == [slot.name for slot in made.slots]
    assert "somebody: at 5 sales" == made.filled({"queue": "sales"}, UTC)
    assert all(one.sentence for one in template.NAMES.values())
