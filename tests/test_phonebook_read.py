"""What people typed in at the phone system: read, joined, named, held when it vanishes, and never told back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from domain.besides import PHONES, TYPED_IN, side_of
from domain.contact import Gone, Line, Person, Record, merge, one_person
from domain.errors import NotAllowed, Refused, TryLater
from domain.limited_use import kinds_in
from domain.plan import Held
from domain.sharing import Sharing
from integrations import telephony_vendors
from integrations.telephony.standard import phonebook as adapter
from jobs import holding, leaving, passages, sync_contacts, worker
from jobs.connect import add_phone_system
from jobs.erase import erase
from jobs.phonebook import write_phonebook
from jobs.read_phonebook import CHORE, read_phonebook
from jobs.services import Services
from store import own_ids
from store.chores import Chore
from store.connections import Tie
from store.database import TenantId
from store.embedded import Postgres
from store.merging import PHONEBOOK
from tests import house
from tests.phone_stage import Platform, playing

NO_CHORE: Any = Chore  # which is not asked anything
NOTHING = {"adopt": 0, "join": 0, "refresh": 0, "drop": 0, "skipped": 0}
ANA, BEN, EVA = "+34600111001", "+34600111002", "+34600111003"


def entry(name: str, *numbers: str, id: str = "", **more: Any) -> dict[str, Any]:
    told = {"name": name, "company": "", "numbers": [{"number": one, "label": "work"} for one in numbers], "emails": []}
    return told | ({"id": id} if id else {}) | more


def person(given: str, family: str, number: str = "") -> Person:
    return Person(given=given, family=family, lines=(Line.read(number),) if number else ())


@dataclass
class Office:
    """A tenant with two phone systems of one make, and hands at both."""

    services: Services
    platform: Platform
    tenant: TenantId
    crm: Tie
    google: Tie
    pbx: Tie
    other: Tie

    def type_in(self, *entries: Any, at: str = "here") -> list[str]:
        return list(self.platform.stage("entries", key=at, entries=list(entries))["ids"])

    def take_out(self, *ids: str) -> None:
        self.platform.http.delete(f"{self.platform.origin}/_stage/entries", json={"key": "here", "ids": list(ids)})

    def kept(self, what: str, at: str = "here") -> list[Any]:
        shown = self.platform.http.get(f"{self.platform.origin}/_stage/{what}", params={"key": at}).json()
        return list(shown[what])

    def ours(self, at: str = "here") -> dict[str, list[str]]:
        """What we wrote: names and their numbers."""
        return {card["name"]: [line["number"] for line in card["numbers"]] for card in self.kept("phonebook", at)}

    def say(self, *people: tuple[str, Person], by: Tie | None = None, module: str = "Contacts") -> None:
        told = [Record(module=module, remote_id=id, person=one) for id, one in people]
        sync_contacts.take(self.services, by or self.crm, told, complete=False, go_on=True)

    def drop(self, id: str) -> None:
        gone = [Gone(module="Contacts", remote_id=id)]
        sync_contacts.take(self.services, self.crm, gone, complete=False, go_on=True)

    def read(self, tie: Tie | None = None, **more: bool) -> dict[str, int]:
        return read_phonebook(
            self.services, self.services.connections.get(self.tenant, (tie or self.pbx).id), NO_CHORE, **more
        )

    def write(self, tie: Tie | None = None) -> dict[str, int]:
        return write_phonebook(self.services, tie or self.pbx, NO_CHORE, go_on=True)

    def who(self, number: str) -> list[str]:
        hub = self.services.hub
        return [one.person.name for one in hub.people(self.tenant, hub.who(self.tenant, number)).values()]

    def known(self) -> int:
        return self.services.hub.known(self.tenant, self.pbx.id, [TYPED_IN])

    def pause(self, paused: bool) -> None:
        self.services.connections.set_facts(self.tenant, self.pbx.id, **Sharing(paused=paused).as_facts())


@pytest.fixture(scope="module")
def opened(db_urls: Postgres, work_url: str, mail_url: str) -> Iterator[Services]:
    with house.services(db_urls, work_url, mail_url, ALLOWED_PRIVATE_HOSTS="127.0.0.1") as services:
        yield services


@pytest.fixture(scope="module")
def play() -> Iterator[Platform]:
    with playing() as platform:
        yield platform


@pytest.fixture
def office(opened: Services, play: Platform, tenant: TenantId) -> Office:
    play.fresh()
    for key in ("here", "there"):
        play.stage("accounts", key=key, door_url="http://127.0.0.1:9/none", secret=play.secret)
    opened.tenants.set(tenant, region="ES")
    find = opened.connections.get
    user = house.administrator(opened, tenant)
    crm = opened.connections.first(tenant, "crm")
    assert crm is not None
    google = find(tenant, house.google_account(opened, tenant, "contacts"))
    ties = [
        add_phone_system(opened, user=user, vendor="standard", account={"base_url": play.origin, "api_key": key}).tie
        for key in ("here", "there")
    ]
    return Office(opened, play, tenant, crm, google, *(find(tenant, tie) for tie in ties))


# ---- reading -------------------------------------------------------------------------------------------------------


def test_whoever_was_typed_in_is_known_when_they_call(office: Office) -> None:
    """Numbers are read as dialled in the tenant's country, with label and extension; twice changes nothing."""
    office.type_in(
        {
            "name": " Ana Ruiz ",
            "company": "Ruiz SL",
            "numbers": [{"number": "600 111 001", "label": "mobile", "extension": "12"}, {"number": "ask Eva"}],
            "emails": ["ana@ruiz.example"],
        },
        entry("Taller Paco", BEN, company="Taller Paco"),
    )
    assert NOTHING | {"adopt": 2} == office.read()

    (ana,) = office.services.hub.people(office.tenant, office.services.hub.who(office.tenant, ANA)).values()
    lines = (
        Line(raw="600 111 001", e164=ANA, extension="12", label="mobile"),
        Line(raw="ask Eva"),
    )
    assert Person(family="Ana Ruiz", company="Ruiz SL", lines=lines, emails=("ana@ruiz.example",)) == ana.person
    assert {PHONES} == {side for sides in ana.source.values() for side in sides}
    assert ["Taller Paco"] == office.who(BEN)
    assert NOTHING == office.read() == office.read()


def test_a_change_and_a_removal_travel_into_the_hub(office: Office) -> None:
    ana, ben = office.type_in(entry("Ana", ANA), entry("Ben", BEN))
    office.read()
    office.type_in(entry("Ana", EVA, id=ana))
    office.take_out(ben)

    assert NOTHING | {"refresh": 1, "drop": 1} == office.read()
    assert ([], [], ["Ana"]) == (office.who(ANA), office.who(BEN), office.who(EVA))
    assert NOTHING == office.read()


def test_they_join_who_has_the_number_and_the_name(office: Office) -> None:
    """A name in one piece is the same name; who has another one shares a telephone and nothing else."""
    office.say(("1", person("Ana", "Ruiz", ANA)), ("2", person("Ben", "Roth", BEN)))
    office.type_in(entry("ana ruiz", ANA, EVA), entry("Dora Diaz", BEN))

    assert NOTHING | {"adopt": 1, "join": 1} == office.read()
    assert ["Ana Ruiz"] == office.who(EVA)
    assert {"Ben Roth", "Dora Diaz"} == set(office.who(BEN))


def test_their_ids_are_kept_as_fingerprints(office: Office) -> None:
    """A platform may use a number, or an address, for one."""
    office.type_in(entry("Ana", ANA, id=ANA))
    office.read()

    ((key, link),) = office.services.hub.links(office.tenant, office.pbx.id).items()
    assert TYPED_IN == link.module
    assert ANA.strip("+") not in key[1]
    assert 64 == len(key[1])


BAD: dict[str, Any] = {
    "no object": 7,
    "an id that is none": entry("X", EVA) | {"id": None},
    "an endless id": entry("X", EVA, id="x" * 129),
    "a name that is none": entry("X", EVA) | {"name": {"first": "X"}},
    "half a character": entry("X\ud800", EVA),
    "numbers that are none": entry("X") | {"numbers": "600"},
    "a number without a number": entry("X") | {"numbers": [{"label": "work"}]},
    "an endless number": entry("X", "6" * 65),
    "too many numbers": entry("X", *[EVA] * 101),
    "nobody": entry(" "),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_an_entry_that_cannot_be_read_is_skipped_and_the_rest_is_read(office: Office, bad: Any) -> None:
    office.type_in(bad, entry("Ana", ANA))

    assert NOTHING | {"adopt": 1, "skipped": 1} == office.read()
    assert (["Ana"], []) == (office.who(ANA), office.who(EVA))


def test_who_cannot_be_read_any_more_stays_as_they_were(office: Office) -> None:
    (ana,) = office.type_in(entry("Ana", ANA))
    office.read()
    office.type_in(entry("Ana", id=ana) | {"numbers": [None]})

    assert NOTHING | {"skipped": 1} == office.read()
    assert ["Ana"] == office.who(ANA)


def test_an_id_that_comes_twice_counts_once() -> None:
    """The first counts; else two entries would take turns for ever."""
    told = [entry("Ana", ANA, id="1"), entry("Ben", BEN, id="1")]

    assert ["1", ""] == [card.remote_id for card in adapter._each(told, "ES")]


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ({"action": "status", "status": 503}, TryLater),
        ({"action": "html"}, TryLater),
        ({"action": "drop_after"}, TryLater),
        ({"action": "status", "status": 403}, NotAllowed),
    ],
    ids=["out of order", "a page for people", "broken off", "not allowed"],
)
def test_a_bad_answer_removes_nobody(office: Office, fault: dict[str, Any], expected: type[Exception]) -> None:
    office.type_in(entry("Ana", ANA))
    office.read()
    office.platform.stage("faults", match="GET /contacts", times=2, **fault)

    with pytest.raises(expected):
        office.read()
    office.platform.fresh()
    assert (["Ana"], NOTHING) == (office.who(ANA), office.read())


def test_a_platform_that_only_lets_us_write_is_left_in_peace(office: Office) -> None:
    office.platform.fault("GET /contacts", "status", status=404)

    assert {} == office.read()


def test_a_phonebook_that_is_too_long_is_not_read(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does it count as silence of the phone system, which would close the way for calls."""
    office.type_in(entry("Ana", ANA))
    monkeypatch.setattr(adapter, "MOST_BYTES", 40)

    with pytest.raises(Refused) as refused:
        office.read()
    assert "phonebook.too_large" == refused.value.code


# ---- nobody is told their own words ----------------------------------------------------------------------------------


def test_what_we_wrote_is_not_taken_for_theirs(office: Office) -> None:
    """Not while its contact is there, and not when contact, link and connection have gone."""
    office.say(("1", person("Ana", "Ruiz", ANA)))
    assert {"put": 1, "remove": 0} == office.write()
    assert NOTHING == office.read()

    office.drop("1")  # the phone system has yet to hear of it
    assert ["Ana Ruiz"] == list(office.ours())
    assert NOTHING == office.read()
    leaving.end(office.services, office.pbx, actor="user:alice")
    account = {"base_url": office.platform.origin, "api_key": "here"}
    again = office.services.connections.add(office.tenant, "telephony", "standard", label="PBX", account=account)

    assert NOTHING == office.read(office.services.connections.get(office.tenant, again))
    assert ([], 0) == (office.who(ANA), office.services.hub.count(office.tenant))


def test_an_id_that_was_not_drawn_is_ours_while_its_contact_is_there(office: Office) -> None:
    """And an id of the platform's own may look like one of ours."""
    theirs = "8c5f3f0e-6a0b-4c55-9a0e-3a4f2b1c0d9e"
    office.type_in(entry("Ana", ANA, id=theirs))
    assert NOTHING | {"adopt": 1} == office.read()

    vault = office.services.vault.of(office.tenant)
    (ours,) = office.services.hub.who(office.tenant, ANA)
    assert own_ids.is_drawn(vault, ours)
    assert not own_ids.is_drawn(vault, UUID(theirs))
    assert {str(ours)} == office.services.hub.own_ids(office.tenant, [str(ours), theirs, "7", ""])


def test_who_stands_there_already_is_not_written_there(office: Office) -> None:
    """Nor what only that phonebook says of somebody; the tenant's other phone system hears all of it."""
    office.say(("1", person("Ana", "Ruiz", ANA)))
    office.type_in(entry("Ana Ruiz", ANA, EVA), entry("Ben", BEN))
    before = office.kept("typed")
    office.read()

    assert {"put": 1, "remove": 0} == office.write()
    assert {"Ana Ruiz": [ANA]} == office.ours()
    assert {"put": 2, "remove": 0} == office.write(office.other)
    assert {"Ana Ruiz": [ANA, EVA], "Ben": [BEN]} == office.ours("there")
    for _ in range(2):
        assert NOTHING == office.read() == office.read(office.other)
        assert {"put": 0, "remove": 0} == office.write() == office.write(office.other)
    assert before == office.kept("typed")


def test_both_phonebooks_may_know_somebody(office: Office) -> None:
    """Each is told what the other says, and a change over there arrives."""
    office.type_in(entry("Ana", ANA))
    (there,) = office.type_in(entry("Ana", ANA, BEN), at="there")
    office.read()
    office.read(office.other)
    office.write()
    office.write(office.other)
    assert ({"Ana": [ANA, BEN]}, {"Ana": [ANA]}) == (office.ours(), office.ours("there"))

    office.type_in(entry("Ana", ANA, EVA, id=there), at="there")
    office.read(office.other)
    assert {"put": 1, "remove": 0} == office.write()
    assert {"Ana": [ANA, EVA]} == office.ours()
    assert {"put": 0, "remove": 0} == office.write(office.other) == office.write()


def test_who_is_left_only_to_that_phonebook_leaves_what_we_wrote(office: Office) -> None:
    """The entry somebody typed in stays, and goes on naming them."""
    office.say(("1", person("Ana", "Ruiz", ANA)))
    office.type_in(entry("Ana Ruiz", ANA))
    office.read()
    office.write()
    office.drop("1")

    assert {"put": 0, "remove": 1} == office.write()
    assert ({}, ["Ana Ruiz"]) == (office.ours(), office.who(ANA))
    assert NOTHING == office.read()


def test_an_entry_of_theirs_cannot_be_replaced_by_us(office: Office) -> None:
    """The understudy keeps what was typed in apart from what it is told."""
    (theirs,) = office.type_in(entry("Ana", ANA))
    system = office.services.phone_system(office.pbx)

    with pytest.raises(Refused):
        system.put_contacts([(theirs, person("X", "Y", BEN))], [])
    system.put_contacts([], [theirs])
    assert ["Ana"] == [one["name"] for one in office.kept("typed")]


# ---- the tenant's own word -----------------------------------------------------------------------------------------


def test_it_is_the_tenants_own_word_and_no_word_of_googles(office: Office) -> None:
    """Without Google's consent a person goes out as the phonebook knows them, and not back into it."""
    assert (PHONES, "standard") == (side_of("standard", TYPED_IN), side_of("standard", "anything"))
    assert set() == set(kinds_in([(PHONES,)]))
    office.type_in(entry("Ana Ruiz", ANA))
    office.read()
    office.say(
        ("g1", person("Ana", "Ruiz", ANA)), ("g2", person("Ana", "Ruiz", ANA)), by=office.google, module="contacts"
    )
    office.say(("o1", person("Ana", "Ruiz", ANA)), by=office.google, module="otherContacts")
    given_before = datetime(2999, 1, 1, tzinfo=UTC)
    assert office.services.grants.stop(office.tenant, office.google.id, "withdrawn", given_before=given_before)

    (ana,) = office.services.hub.who(office.tenant, ANA)
    (told,) = passages.people(office.services, office.tenant, "calls", [ana]).values()
    assert {PHONES} == {side for sides in told.source.values() for side in sides}
    assert {"put": 0, "remove": 0} == office.write()


def test_its_words_come_after_everybody_elses() -> None:
    view = merge([(PHONES, Person(family="ana r")), ("zoho", person("Ana", "Ruiz"))])

    assert ("Ana Ruiz", ("zoho",)) == (view.person.name, view.source["family"])
    assert one_person(Person(family="Ana Ruiz"), person("Ana", "Ruiz"))
    assert not one_person(Person(family="Ana Ruiz"), person("Eva", "Ruiz"))


def test_erased_is_erased(office: Office) -> None:
    """They stand in the phone system still, and the next reading does not bring them back."""
    office.type_in(entry("Ana", ANA), entry("Ben", BEN))
    office.read()
    assert ["Ana"] == office.who(ANA)
    erase(office.services, office.tenant, numbers=[ANA])

    assert NOTHING == office.read() == office.read()
    assert ([], ["Ben"], 1) == (office.who(ANA), office.who(BEN), office.known())


def test_disconnecting_forgets_what_the_phonebook_told(office: Office) -> None:
    """Whom the other phone system was told leaves it."""
    office.type_in(entry("Ana", ANA))
    office.read()
    office.write(office.other)
    assert (["Ana"], ["Ana"]) == (office.who(ANA), list(office.ours("there")))
    leaving.end(office.services, office.pbx, actor="user:alice")

    assert ([], 0) == (office.who(ANA), office.known())
    sync_contacts.act(office.services, office.tenant)
    assert {} == office.ours("there")


# ---- the chore -----------------------------------------------------------------------------------------------------


def chores(office: Office, tie: UUID) -> dict[str, Chore]:
    return {one.kind: one for one in office.services.chores.all(office.tenant) if one.connection == tie}


def test_the_worker_reads_it_and_other_vendors_have_no_such_chore(office: Office) -> None:
    office.type_in(entry("Ana", ANA))
    worker.visit(office.services, office.tenant, "contacts")
    assert ["Ana"] == office.who(ANA)
    assert office.services.settings.contacts_sync_seconds == chores(office, office.pbx.id)[CHORE].every_seconds

    (user,) = office.services.tenants.users(office.tenant)
    without = [slug for slug, one in telephony_vendors().items() if not one.traits.phonebook]
    assert {"asterisk", "plivo", "twilio"} <= set(without)
    for slug in without:
        tie = add_phone_system(office.services, user=user, vendor=slug, account={}).tie
        assert not {CHORE, "write.phonebook"} & chores(office, tie).keys()


def test_paused_it_is_left_alone(office: Office) -> None:
    office.type_in(entry("Ana", ANA))
    office.say(("1", person("Ben", "Roth", BEN)))
    office.pause(True)
    paused = office.services.connections.get(office.tenant, office.pbx.id)
    assert ({}, {}, {}) == (office.read(), office.write(paused), office.ours())

    office.pause(False)
    assert NOTHING | {"adopt": 1} == office.read()
    assert {"put": 1, "remove": 0} == office.write()


def test_when_half_of_it_vanishes_somebody_is_asked(office: Office) -> None:
    """Counted without what we wrote there; nothing is removed meanwhile, and continued they go."""
    ids = office.type_in(*(entry(f"P{n}", f"+346002000{n:02}") for n in range(30)))
    office.say(*((str(n), person("Q", str(n), f"+346003000{n:02}")) for n in range(30)))
    office.read()
    office.write()
    office.take_out(*ids[:15])
    with pytest.raises(Held) as held:
        office.read()
    assert (15, 30) == (held.value.removing, held.value.known)

    office.services.chores.hurry(office.tenant, CHORE)
    worker.visit(office.services, office.tenant, "contacts")
    assert (15, 30) == tuple(chores(office, office.pbx.id)[CHORE].held[name] for name in ("removing", "known"))
    assert 30 == office.known()
    holding.decide(office.services, office.pbx, CHORE, go_on=True, actor="user:alice")
    worker.visit(office.services, office.tenant, "contacts")

    assert ({}, 15) == (chores(office, office.pbx.id)[CHORE].held, office.known())
    assert 30 == office.services.hub.known(office.tenant, office.pbx.id, [PHONEBOOK])


def test_another_country_reads_its_numbers_again(office: Office) -> None:
    """A number without a country code is another number there."""
    office.type_in(entry("Ana", "600 111 001"))
    office.read()
    office.services.tenants.set(office.tenant, region="PT")

    assert NOTHING | {"refresh": 1} == office.read()
    assert [] == office.who(ANA)
