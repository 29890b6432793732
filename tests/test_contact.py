"""A person in the hub is what all sides say of them, and nothing anybody said is dropped."""

from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.contact import NAMES, Line, Person, fold_email, keys, merge, prefixes
from domain.contact import words as words_of

words = st.sampled_from(["", "Dora", "Quince", "Ōta", "Quince & Sons", "Łukasz"])
lines = st.builds(
    Line.read,
    raw=st.sampled_from(["", "600 111 222", "+34600111222", "020 7946 0001", "+34600111222 ext. 12", "ring the bell"]),
    label=st.sampled_from(["", "mobile"]),
    region=st.sampled_from(["ES", "GB"]),
)
people = st.builds(
    Person,
    given=words,
    family=words,
    company=words,
    title=words,
    lines=st.lists(lines, max_size=3).map(tuple),
    emails=st.lists(st.sampled_from(["dora@quince.example", "Dora@Quince.example", "d@x.example"]), max_size=3).map(
        tuple
    ),
)
sides = st.tuples(st.sampled_from(["zoho", "google", "standard"]), people)
DORA = Person(
    given="Dora",
    family="Quince",
    company="Quince & Sons",
    lines=(Line.read("600 111 222", "mobile", "ES"),),
    emails=("Dora@Quince.example",),
)


@settings(max_examples=60, deadline=None)
@given(said=st.lists(sides, max_size=5), data=st.data())
def test_the_order_of_the_sides_does_not_matter(said: list[tuple[str, Person]], data: st.DataObject) -> None:
    """Whoever was read first, the view is the same, provenance included."""
    assert merge(said) == merge(data.draw(st.permutations(said)))


@settings(max_examples=60, deadline=None)
@given(said=st.lists(sides, min_size=1, max_size=5))
def test_nothing_is_dropped(said: list[tuple[str, Person]]) -> None:
    """Every number and address of every side is in the view, once, and every field says who said it."""
    view = merge(said)

    assert set().union(*(keys(person) for _, person in said)) == keys(view.person)
    assert {line.e164 or line.raw for _, person in said for line in person.lines} == {
        line.e164 or line.raw for line in view.person.lines
    }
    assert len({line.e164 or line.raw for line in view.person.lines}) == len(view.person.lines)
    assert len({fold_email(address) for address in view.person.emails}) == len(view.person.emails)
    for name in ("company", "title"):
        assert bool(getattr(view.person, name)) == any(getattr(person, name) for _, person in said)
    told = {name for name in (*NAMES, "lines", "emails") if getattr(view.person, name)}
    assert told == view.source.keys()
    for name, who in view.source.items():
        assert set(who) <= {side for side, person in said if getattr(person, name)}


@settings(max_examples=40, deadline=None)
@given(said=st.lists(sides, min_size=1, max_size=5))
def test_a_name_is_somebodys_whole_name(said: list[tuple[str, Person]]) -> None:
    """Half a name from each side would be nobody's name."""
    view = merge(said).person

    assert (view.given, view.family) in {(person.given, person.family) for _, person in said}


@settings(max_examples=40, deadline=None)
@given(person=people)
def test_a_person_survives_being_written_down(person: Person) -> None:
    """What was sealed as JSON is read as the same person."""
    assert person == Person.from_data(json.loads(json.dumps(person.as_data())))


def test_the_owner_of_a_field_goes_first() -> None:
    """Zoho's spelling stands unless the tenant said otherwise; numbers and addresses come from everybody."""
    google = Person(given="D.", family="Quince", title="Buyer", emails=("dora@private.example",))

    view = merge([("google", google), ("zoho", DORA)])
    other = merge([("google", google), ("zoho", DORA)], first=("google", "zoho"))

    assert ("Dora", "Buyer") == (view.person.given, view.person.title)
    assert ("Dora@Quince.example", "dora@private.example") == view.person.emails
    assert {
        "given": ("zoho",),
        "family": ("zoho",),
        "company": ("zoho",),
        "title": ("google",),
        "lines": ("zoho",),
        "emails": ("zoho", "google"),
    } == view.source
    assert "D." == other.person.given


def test_the_same_person_is_known_by_number_or_address() -> None:
    """However the number was written and whatever the capitals."""
    other = Person(lines=(Line.read("+34 600 11 12 22"),), emails=(" dora@quince.EXAMPLE ",))

    assert {("number", "+34600111222"), ("email", "dora@quince.example")} == keys(DORA) == keys(other)


@pytest.mark.parametrize(
    "person",
    [
        Person(given="Dora", family="Quince"),
        Person(lines=(Line.read("201"), Line.read("anonymous"), Line.read(""))),
        Person(emails=("", "  ")),
    ],
    ids=["a name", "no numbers", "no addresses"],
)
def test_people_do_not_meet_by_accident(person: Person) -> None:
    """A name, an inside line or an empty field is shared by strangers."""
    assert frozenset() == keys(person)


@pytest.mark.parametrize(
    ("person", "found", "not_found"),
    [
        (DORA, {"do", "dora", "qu", "quince", "so", "sons"}, {"d", "", "ora", "DO"}),
        (Person(given="Maximiliana"), {"ma", "maximili"}, {"maximilia"}),
        (Person(title="Buyer"), set(), {"bu"}),
        (Person(family="Ōta"), {"ōt", "ōta"}, {"ot"}),
    ],
)
def test_a_name_is_found_by_its_beginnings(person: Person, found: set[str], not_found: set[str]) -> None:
    """Two letters to eight, of each word of name and company, without capitals."""
    assert found <= prefixes(person)
    assert set() == not_found & prefixes(person)


def test_the_whole_word_is_searched_by() -> None:
    """The index stops at eight letters, the words themselves do not; a title is not what people search by."""
    assert ["dora", "quince", "quince", "&", "sons"] == words_of(dataclasses.replace(DORA, title="Buyer"))


def test_what_to_call_somebody() -> None:
    """The name, else the company, else nothing."""
    assert "Dora Quince" == DORA.name
    assert "Quince & Sons" == Person(company="Quince & Sons").name
    assert "" == Person().name
