"""What is sealed opens in its own place, for its own tenant, unchanged, or not at all."""

from __future__ import annotations

import hmac
import random
import traceback
import uuid
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from store.database import Database, TenantId
from store.vault import (
    REMEMBER_SECONDS,
    REMEMBERED,
    Key,
    KeyGone,
    KeyRing,
    Place,
    Tampered,
    Vault,
    open_with,
    seal_with,
)
from tests.servers import RING

SECRET = "Dora Quince, +34600111222"
ROW = uuid.UUID(int=42)
KEY = Key(7, bytes(range(32)))
ALICE, CHARLIE = uuid.UUID(int=1), uuid.UUID(int=2)
HERE = Place("contacts", str(ROW), "person")
NEW = ("new", bytes(range(100, 132)))

places = st.builds(
    Place,
    st.sampled_from(["contacts", "calls", "contactscalls", ""]),
    st.sampled_from([str(ROW), str(ALICE), "", "person"]),
    st.sampled_from(["person", "view", "", "p"]),
)
tenants = st.sampled_from([ALICE, CHARLIE, uuid.UUID(int=0)])


def fault(act: Callable[[], object]) -> tuple[type, str, str]:
    """What a failed opening tells whoever tried: class, words, code."""
    with pytest.raises(Tampered) as refused:
        act()
    return type(refused.value), str(refused.value), refused.value.code


UNIFORM = (Tampered, str(Tampered()), "vault.tampered")


@settings(max_examples=150, deadline=None)
@given(sealed_at=places, opened_at=places, whose=tenants, who=tenants)
def test_a_seal_opens_in_its_own_place_only(sealed_at: Place, opened_at: Place, whose: TenantId, who: TenantId) -> None:
    """Another tenant, table, row or field, or the same letters split elsewhere: the same refusal for each."""
    sealed = seal_with(KEY, whose, sealed_at, SECRET.encode())

    if (sealed_at, whose) == (opened_at, who):
        assert SECRET.encode() == open_with(lambda _: KEY, who, opened_at, sealed)
    else:
        assert UNIFORM == fault(lambda: open_with(lambda _: KEY, who, opened_at, sealed))


def test_every_cell_swapped_with_every_other_is_refused() -> None:
    """Thousands of copied cells, none of which opens where it was put."""
    spots = [
        (tenant, Place(table, str(uuid.UUID(int=row)), field))
        for tenant in (ALICE, CHARLIE)
        for table in ("contacts", "calls", "grants", "users")
        for row in range(5)
        for field in ("name", "value")
    ]
    sealed = [seal_with(KEY, tenant, place, SECRET.encode()) for tenant, place in spots]

    opened = 0
    for here, (tenant, place) in enumerate(spots):
        for there, copied in enumerate(sealed):
            try:
                open_with(lambda _: KEY, tenant, place, copied)
            except Tampered:
                continue
            assert here == there
            opened += 1
    assert len(spots) == opened


@settings(max_examples=50, deadline=None)
@given(plain=st.binary(max_size=300), place=places)
def test_what_went_in_comes_out(plain: bytes, place: Place) -> None:
    """And two seals of one text have nothing in common."""
    one, other = seal_with(KEY, ALICE, place, plain), seal_with(KEY, ALICE, place, plain)

    assert plain == open_with(lambda _: KEY, ALICE, place, one)
    assert one[6:] != other[6:]


def test_every_flipped_bit_and_every_truncation_is_the_same_fault(tenant: TenantId, vault: Vault) -> None:
    """Header, key id, nonce, text or tag: whoever probes learns nothing from the answer."""
    mine = vault.of(tenant)
    sealed = mine.seal("contacts", ROW, "person", SECRET)
    assert SECRET == mine.open("contacts", ROW, "person", sealed)
    flips = [
        sealed[:byte] + bytes([sealed[byte] ^ 1 << bit]) + sealed[byte + 1 :]
        for byte in range(len(sealed))
        for bit in range(8)
    ]
    shorter = [sealed[:size] for size in range(len(sealed))]
    longer = [sealed + b"\0", b"\0" + sealed]

    assert {UNIFORM} == {
        fault(lambda bad=bad: mine.open_bytes("contacts", ROW, "person", bad))  # type: ignore[misc]  # bound now
        for bad in (*flips, *shorter, *longer)
    }


def test_another_tenant_cannot_open_it(tenant: TenantId, neighbour: TenantId, vault: Vault) -> None:
    """Not in the same place either, and it cannot even find the key the seal names."""
    sealed = vault.of(tenant).seal("contacts", ROW, "person", SECRET)

    assert SECRET == vault.of(tenant).open("contacts", ROW, "person", sealed)
    assert UNIFORM == fault(lambda: vault.of(neighbour).open("contacts", ROW, "person", sealed))
    assert (Tampered, "vault.no_such_key") == fault(lambda: vault.of(uuid.uuid4()).seal("a", ROW, "b", "c"))[::2]


def test_the_kinds_of_sealed_text(tenant: TenantId, vault: Vault) -> None:
    """An empty cell is an empty text; JSON keeps its letters, and half a character is none."""
    mine = vault.of(tenant)

    assert "" == mine.open("contacts", ROW, "person", None)
    assert mine.open_json("contacts", ROW, "person", None) is None
    assert {"name": "Łukasz"} == mine.open_json(
        "contacts", ROW, "person", mine.seal_json("contacts", ROW, "person", {"name": "Łukasz"})
    )
    strange = mine.seal_json("contacts", ROW, "person", {"name": "Ada \ud83d", "many": 2**70})
    assert {"name": "Ada ?", "many": 2**70} == mine.open_json("contacts", ROW, "person", strange)


def test_a_fingerprint_is_the_same_however_often_it_is_asked_for(
    tenant: TenantId, neighbour: TenantId, vault: Vault
) -> None:
    """In the order of the question, remembered or not; of half a character too."""
    mine = vault.of(tenant)
    asked = [
        ("number", "+34600111222"),
        ("email", "ada@shop.example"),
        ("number", "+34600111222"),
        ("prefix", "ad\ud83d"),
    ]

    told = [mine.fingerprint(*one) for one in asked]

    assert told == mine.fingerprints(asked) == mine.fingerprints(asked)
    assert told[0] == told[2] == hmac.digest(vault.active(tenant, "index").secret, b"number\0+34600111222", "sha256")
    assert 3 == len(set(told))
    assert told != vault.of(neighbour).fingerprints(asked) != mine.fingerprints(asked)
    assert told[:2] == [mine.fingerprinting(kind)(value) for kind, value in asked[:2]]


def test_what_is_remembered_of_fingerprints_is_bounded(tenant: TenantId, vault: Vault) -> None:
    """For all tenants together: a process that serves thousands grows no further."""
    mine = vault.of(tenant)
    for start in range(0, 4 * REMEMBERED, REMEMBERED):
        mine.fingerprints(("number", str(number)) for number in range(start, start + REMEMBERED))

    assert len(vault._lately) <= 2 * REMEMBERED


def test_a_destroyed_key_is_gone_everywhere_within_a_minute(tenant: TenantId, db: Database, vault: Vault) -> None:
    """Here at once, in a process that remembers it a minute later, and for good."""
    now = [0.0]
    elsewhere = Vault(db, KeyRing(RING), clock=lambda: now[0])
    sealed = vault.of(tenant).seal("contacts", ROW, "person", SECRET)
    assert SECRET == elsewhere.of(tenant).open("contacts", ROW, "person", sealed)

    with db.tenant(tenant) as connection:
        assert 3 == vault.destroy(connection, tenant)

    with pytest.raises(KeyGone):
        vault.of(tenant).open("contacts", ROW, "person", sealed)
    with pytest.raises(Tampered):
        vault.of(tenant).seal("contacts", ROW, "person", SECRET)
    now[0] = REMEMBER_SECONDS - 1
    assert SECRET == elsewhere.of(tenant).open("contacts", ROW, "person", sealed)
    now[0] = REMEMBER_SECONDS
    with pytest.raises(KeyGone):
        elsewhere.of(tenant).open("contacts", ROW, "person", sealed)
    with db.tenant(tenant) as connection:
        kept = connection.execute(text("SELECT count(*) FROM tenant_keys WHERE wrapped IS NOT NULL")).scalar_one()
        assert 0 == kept
        assert 0 == vault.destroy(connection, tenant)


def test_a_renewed_key_seals_and_the_old_one_still_opens(tenant: TenantId, db: Database, vault: Vault) -> None:
    """Until the old one is destroyed."""
    mine = vault.of(tenant)
    old = mine.seal("contacts", ROW, "person", SECRET)
    with db.tenant(tenant) as connection:
        vault.renew(connection, tenant, "data")
    new = mine.seal("contacts", ROW, "person", SECRET)

    assert old[:6] != new[:6]
    assert [SECRET, SECRET] == [mine.open("contacts", ROW, "person", sealed) for sealed in (old, new)]


@pytest.fixture
def rotated(db: Database, tenant: TenantId, neighbour: TenantId, monkeypatch: pytest.MonkeyPatch) -> Iterator[Vault]:
    """A process whose ring has a new first key; everything is wrapped as before when the test is over.

    Of everybody there is only those of the test: hundreds of others may have lived here before.
    """
    everybody = db.tenants
    monkeypatch.setattr(db, "tenants", lambda: [one for one in everybody() if one in (tenant, neighbour)])
    yield Vault(db, KeyRing([NEW, *RING]))
    Vault(db, KeyRing([*RING, NEW])).rewrap()


def test_the_key_ring_rotates_online(tenant: TenantId, neighbour: TenantId, db: Database, rotated: Vault) -> None:
    """New keys wrapped, old ring key retired, nothing sealed anew, and a process with both opens all along."""
    both = Vault(db, KeyRing([*RING, NEW]))
    sealed = {who: both.of(who).seal("contacts", ROW, "person", SECRET) for who in (tenant, neighbour)}
    mark = both.own_fingerprint("door", "x")

    assert 6 <= rotated.rewrap()
    assert 0 == rotated.rewrap()

    with db.tenant(tenant) as connection:
        assert {"new"} == set(connection.execute(text("SELECT kid FROM tenant_keys")).scalars())
    only_new = Vault(db, KeyRing([NEW]))
    for process in (both, Vault(db, KeyRing([*RING, NEW])), rotated, only_new):
        assert {SECRET} == {process.of(who).open("contacts", ROW, "person", sealed[who]) for who in sealed}
        assert mark == process.own_fingerprint("door", "x")
    only_old = Vault(db, KeyRing(RING))
    assert "vault.no_such_key" == fault(lambda: only_old.of(tenant).open("contacts", ROW, "person", sealed[tenant]))[2]


@pytest.mark.parametrize("ring", [[("test", bytes(32))], [("other", RING[0][1])]], ids=["other bytes", "other id"])
def test_a_wrong_ring_is_named_by_id_never_by_key(
    ring: list[tuple[str, bytes]], tenant: TenantId, db: Database
) -> None:
    """An operator learns which key is missing; the log learns no key."""
    wrong = Vault(db, KeyRing(ring))

    with pytest.raises(Tampered, match="'test'") as refused:
        wrong.of(tenant).seal("contacts", ROW, "person", SECRET)

    told = "".join(traceback.format_exception(refused.value)) + repr(wrong.ring)
    for _, key in (*ring, *RING):
        assert key.hex() not in told
        assert repr(key) not in told


def test_a_fingerprint_tells_nothing_to_others(tenant: TenantId, neighbour: TenantId, vault: Vault) -> None:
    """Equal for equal values of one tenant and kind, different for everything else."""
    number = "+34600111222"
    marks = {
        vault.of(tenant).fingerprint("number", number),
        vault.of(neighbour).fingerprint("number", number),
        vault.of(tenant).fingerprint("email", number),
        vault.of(tenant).fingerprint("number", number[:-1]),
        vault.own_fingerprint("number", number),
    }

    assert 5 == len(marks)
    assert {32} == {len(mark) for mark in marks}
    assert vault.of(tenant).fingerprint("number", number) in marks


def test_what_belongs_to_no_tenant_is_sealed_too(db: Database, vault: Vault) -> None:
    """A consent in progress opens in its own place, in every process alike."""
    place = Place("consent_requests", "s1", "ticket")
    sealed = vault.seal_own(place, SECRET)

    assert SECRET == Vault(db, KeyRing(RING)).open_own(place, sealed)
    assert UNIFORM == fault(lambda: vault.open_own(Place("consent_requests", "s2", "ticket"), sealed))
    assert vault.derive("cookies") == Vault(db, KeyRing(RING)).derive("cookies") != vault.derive("certificates")


def test_no_key_is_ever_shown(tenant: TenantId, vault: Vault) -> None:
    """Whatever of the vault is printed, formatted or put in an error."""
    key = vault.active(tenant, "data")
    shown = "".join(f"{thing!r} {thing}" for thing in (key, vault.ring, vault, vault.of(tenant)))

    assert f"Key({key.id})" in shown
    assert "KeyRing(test)" in shown
    for secret in (key.secret, RING[0][1]):
        assert secret.hex() not in shown
        assert repr(secret) not in shown


def test_sealing_a_guess_many_times_gives_no_two_alike(tenant: TenantId, vault: Vault) -> None:
    """Nobody finds out by sealing guesses what a cell holds."""
    guesses = [random.choice(["yes", "no"]) for _ in range(200)]

    assert 200 == len({vault.of(tenant).seal("contacts", ROW, "person", guess) for guess in guesses})
