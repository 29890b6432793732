"""Which field of the CRM gets what of a call, or of a person: the tenant's own mapping, checked before it is used.

A rule is a field and a template; a rule for a queue stands before the one for all calls. `faults` says why a mapping
cannot work, `fill` what the fields come to, leaving out what a field cannot hold. Nothing is read or written here.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence, Set
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, tzinfo
from typing import Any

from domain import template
from domain.template import NAMES, Name, Slot, Template, Value

MOST_RULES = 60
TEXTS = frozenset({"text", "textarea"})
SHAPES = {"email": re.compile(r"[^@\s,;<>()]+@[^@\s,;<>()]+\.[^@\s,;<>()]+"), "website": re.compile(r"https?://\S+")}
SHAPES["phone"] = re.compile(r"[+]?[0-9a-zA-Z\s\-().;,#*/]+")
NUMBERS, MOMENTS = frozenset({"integer", "double"}), frozenset({"date", "datetime"})
KINDS = TEXTS | SHAPES.keys() | NUMBERS | MOMENTS | {"picklist", "boolean"}
FITTING = {"email": ("agent_email",), "website": ("recording",), "phone": ("number", "line", "extension")}
TRUE, FALSE = frozenset({"yes", "true"}), frozenset({"no", "false"})
LINES = re.compile(r"\s*[\r\n]+\s*")
DIGITS, LETTERS = re.compile(r"[^0-9]"), re.compile(r"[^\W\d_]")
SHORTEST_LINE = 3  # digits


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """What a mapping is about: which names it has, and which of them alone fill a field of a kind of its own."""

    one: str
    many: str
    names: Mapping[str, Name]
    fitting: Mapping[str, tuple[str, ...]]
    kinds: Set[str]  # of fields that can be filled
    example: str  # a name that may have nothing to say


CALLS = Topic(one="call", many="calls", names=NAMES, fitting=FITTING, kinds=KINDS, example="queue")


@dataclass(frozen=True, slots=True, kw_only=True)
class CrmField:
    """A field of the CRM as the CRM describes it. `kind`: one of KINDS, or the CRM's own word."""

    name: str
    label: str = ""
    kind: str = "text"
    length: int = 255
    choices: tuple[str, ...] = ()
    mandatory: bool = False
    writable: bool = True
    ours: bool = False  # we write it already
    points_to: str = ""  # the module a look-up leads to

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> CrmField:
        return cls(**{**data, "choices": tuple(data.get("choices", ()))})


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What a field gets; `queue`: only of calls in that queue, or on that line of ours, and then an empty template
    means nothing at all."""

    field: CrmField
    template: str
    queue: str = ""

    @property
    def key(self) -> tuple[str, str]:
        return self.field.name, self.queue.casefold()


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Why something cannot work, in a sentence. `place`: which rule, where it is about one."""

    sentence: str
    field: str = ""
    place: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """What the fields come to, and what was left out or cut, by field."""

    values: Mapping[str, Any] = field(default_factory=dict)
    problems: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldMap:
    """A tenant's mapping."""

    rules: tuple[Rule, ...] = ()
    on: bool = False

    def of(self, queue: str, line: str = "") -> Iterator[Rule]:
        """The rules for a call in that queue and on that line, each field once."""
        chosen: dict[str, Rule] = {}
        for rule in self.rules:
            if not rule.queue:
                chosen.setdefault(rule.field.name, rule)
        chosen |= {rule.field.name: rule for rule in self.rules if rule.queue and holds(rule.queue, queue, line)}
        return (rule for rule in chosen.values() if rule.template.strip())

    def as_data(self) -> dict[str, Any]:
        """Plain JSON values, for sealing."""
        rules = [{"field": asdict(one.field), "template": one.template, "queue": one.queue} for one in self.rules]
        return {"on": self.on, "rules": rules}

    @classmethod
    def from_data(cls, data: Mapping[str, Any] | None) -> FieldMap:
        """Undo `as_data`."""
        rules = [
            Rule(field=CrmField.from_data(one["field"]), template=one["template"], queue=one["queue"])
            for one in (data or {}).get("rules", ())
        ]
        return cls(rules=tuple(rules), on=bool((data or {}).get("on")))


def holds(wanted: str, queue: str, line: str) -> bool:
    """Say whether a call is in the queue that is wanted, or on the line."""
    digits = DIGITS.sub("", wanted)
    same_line = len(digits) >= SHORTEST_LINE and not LETTERS.search(wanted) and digits == DIGITS.sub("", line)
    return same_line or wanted.casefold() == queue.casefold()


# ---- can it work? -------------------------------------------------------------------------------------------------


def faults(
    mapping: FieldMap, there: Collection[CrmField], words: Mapping[str, Sequence[str]], topic: Topic = CALLS
) -> list[Fault]:
    """Say what cannot work with the fields there are. `words`: what names can say here, such as the dispositions."""
    if len(mapping.rules) > MOST_RULES:
        return [Fault(sentence=f"At most {MOST_RULES} rules.")]
    known = {one.name: one for one in there}
    found: list[Fault] = []
    seen: set[tuple[str, str]] = set()
    for place, rule in enumerate(mapping.rules):
        if rule.key in seen:
            found.append(Fault(sentence=f"This field is filled twice for the same {topic.many}.", place=place))
        seen.add(rule.key)
        target = known.get(rule.field.name)
        if sentence := _fault(replace(rule, field=target), words, topic) if target else _unknown(topic):
            found.append(Fault(sentence=sentence, field=rule.field.name, place=place))
    return found + [Fault(sentence=_demands(one, topic), field=one.name) for one in unfilled(mapping, there)]


def _unknown(topic: Topic) -> str:
    return f"Zoho has no such field of {topic.many}, or not any more."


def _demands(target: CrmField, topic: Topic) -> str:
    demanded = f"Zoho demands {target.label or target.name} of every {topic.one}"
    return f"{demanded}. Give it a value." if target.kind in topic.kinds else f"{demanded}, and no text can fill it."


def unfilled(mapping: FieldMap, there: Collection[CrmField]) -> list[CrmField]:
    """The mandatory fields nobody fills."""
    filled = {rule.field.name for rule in mapping.rules if not rule.queue and rule.template.strip()}
    return [one for one in there if one.mandatory and one.writable and not one.ours and one.name not in filled]


def _fault(rule: Rule, words: Mapping[str, Sequence[str]], topic: Topic) -> str:
    target = rule.field
    if target.ours:
        return "Linekeeper fills this field itself."
    if not target.writable:
        return "Zoho lets no program write this field."
    if target.kind not in topic.kinds:
        return f"A field of this kind ({target.kind}) cannot be filled with a text."
    if not rule.template.strip():
        if not rule.queue:
            return "Say what stands there, or take the row out."
        return "Zoho demands this field of every call, so it cannot be left empty." if target.mandatory else ""
    made = template.read(rule.template, topic.names)
    if isinstance(made, str):
        return made
    if made.fixed is not None:
        value, problem = _value(target, made.fixed.strip(), made.fixed.strip())
        return f"{problem} It is the same for every {topic.one}." if problem and value is not None else problem
    if sentence := _misfit(target, made, words, topic):
        return sentence
    demanded, say = "Zoho demands this field, and this may", "stands there then: {" + topic.example
    if target.mandatory and made.may_be_empty(topic.names):
        return f"{demanded} come out empty. Say what {say}|none}}."
    if target.mandatory and target.kind == "picklist" and not _always_in_list(target, made.only, topic):
        return f"{demanded} not be in its list. Say which {say}|Other}}."
    return ""


def _always_in_list(target: CrmField, only: Slot | None, topic: Topic) -> bool:
    known = {choice.casefold() for choice in target.choices}
    can = {word.casefold() for word in topic.names[only.name].among} if only is not None else set()
    return only is not None and bool(only.otherwise or (can and can <= known))


def _misfit(target: CrmField, made: Template, words: Mapping[str, Sequence[str]], topic: Topic) -> str:
    """Say why a template with names in it can never give what the field holds."""
    only, kind = made.only, target.kind
    if kind == "boolean":
        return "This field is ticked or not: yes or no."
    if kind in NUMBERS | MOMENTS:
        wanted = "number" if kind in NUMBERS else "moment"
        fitting = [name for name, one in topic.names.items() if one.kind == wanted]
        if only is None or only.name not in fitting:
            return _holds(f"a {'number' if kind in NUMBERS else 'time'}", fitting, topic)
        return _otherwise(target, only)
    if kind in SHAPES:
        fitting = [*topic.fitting.get(kind, ())]
        if only is None or only.name not in fitting:
            return _holds("something else", fitting, topic)
        return _otherwise(target, only)
    if kind == "picklist" and only is not None:
        can = topic.names[only.name].among or tuple(words.get(only.name, ()))
        known = {choice.casefold() for choice in target.choices}
        if can and not any(word.casefold() in known for word in can):
            return f"None of what {{{only.name}}} says ({', '.join(can[:8])}) is in the field’s list."
        return _otherwise(target, only)
    return ""


def _holds(what: str, fitting: Sequence[str], topic: Topic) -> str:
    if not fitting:
        return f"This field holds {what}, and nothing known of a {topic.one} is that."
    return f"This field holds {what}: {template.named(fitting)}."


def _otherwise(target: CrmField, slot: Slot) -> str:
    if not slot.otherwise:
        return ""
    return _value(target, slot.otherwise, slot.otherwise)[1]


# ---- what the fields come to --------------------------------------------------------------------------------------


def fill(
    mapping: FieldMap, queue: str, values: Mapping[str, Value], zone: tzinfo, topic: Topic = CALLS, line: str = ""
) -> Filled:
    """Fill the fields; one that comes out empty, or as something its field cannot hold, is left out."""
    found: dict[str, Any] = {}
    problems: dict[str, str] = {}
    for rule in mapping.of(queue, line):
        made = template.read(rule.template, topic.names)
        if isinstance(made, str):
            problems[rule.field.name] = made
            continue
        only = values.get(made.only.name) if made.only is not None else None
        value, problem = _value(rule.field, made.filled(values, zone).strip(), only, zone)
        if value is None and problem and made.only is not None and made.only.otherwise:
            value, _ = _value(rule.field, made.only.otherwise, made.only.otherwise, zone)
        if value is not None:
            found[rule.field.name] = value
        elif rule.field.mandatory and not problem:
            problem = "It comes out empty, and Zoho demands it."
        if problem:
            problems[rule.field.name] = problem
    return Filled(values=found, problems=problems)


def _value(target: CrmField, text: str, only: Value, zone: tzinfo = UTC) -> tuple[Any, str]:
    """What a field holds of a text, and what is wrong with it. `only`: the value itself, where it is all there is."""
    if not text:
        return None, ""
    kind = target.kind
    if kind in MOMENTS:
        if not isinstance(only, datetime):
            return None, "This is no time."
        at = only.astimezone(UTC) if kind == "datetime" else only.astimezone(zone)
        return (at.isoformat(timespec="seconds") if kind == "datetime" else at.date().isoformat()), ""
    if kind in NUMBERS:
        return _number(text, whole=kind == "integer")
    if kind == "boolean":
        word = text.casefold()
        return (word in TRUE, "") if word in TRUE | FALSE else (None, "This is neither yes nor no.")
    if kind == "picklist":
        choice = next((one for one in target.choices if one.casefold() == text.casefold()), None)
        return choice, "" if choice is not None else f"“{text[:60]}” is not in the field’s list."
    if kind != "textarea":
        text = LINES.sub(" ", text)
    if kind in SHAPES and not SHAPES[kind].fullmatch(text):
        return None, f"This is no {'address' if kind == 'email' else 'link' if kind == 'website' else 'number'}."
    if len(text) <= target.length:
        return text, ""
    if kind in SHAPES:  # half of a link leads nowhere
        return None, f"It has {len(text)} characters; the field holds {target.length}."
    return text[: target.length].rstrip(), f"Cut to the {target.length} characters the field holds."


def _number(text: str, *, whole: bool) -> tuple[int | float | None, str]:
    try:
        number = int(text) if whole else float(text)
    except ValueError:
        return None, f"This is no {'whole ' if whole else ''}number."
    return number, ""
