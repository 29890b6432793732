"""A notification is read strictly and believed only with the channel's token."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import Malformed, Unauthentic
from integrations.zoho.notifications import MAX_IDS, read_notification

TOLD: dict[str, Any] = {
    "server_time": 1774780000000,
    "query_params": {},
    "module": "Contacts",
    "resource_uri": "https://www.zohoapis.eu/crm/v2/Contacts",
    "ids": ["4150868000000200001", "4150868000000200002", "4150868000000200001"],
    "affected_fields": [{"4150868000000200001": ["Phone"]}],
    "operation": "update",
    "channel_id": "1000000068001",
    "token": "shared-with-zoho",
}


def read(**changed: Any) -> Any:
    return read_notification(json.dumps({**TOLD, **changed}).encode())


def test_a_notification_says_which_records_changed():
    told = read()

    assert (told.channel, told.module, told.operation) == ("1000000068001", "Contacts", "update")
    assert told.ids == ("4150868000000200001", "4150868000000200002")  # each once


def test_the_token_decides_and_is_not_shown():
    told = read()
    assert told.believed("shared-with-zoho")
    assert not told.believed("shared-with-zohO")
    assert not told.believed("")
    assert "shared-with-zoho" not in repr(told)


@pytest.mark.parametrize(
    ("told", "meant"), [("create", "insert"), ("insert", "insert"), ("edit", "update"), ("delete", "delete")]
)
def test_every_version_spells_the_operation_its_way(told, meant):
    assert read(operation=told).operation == meant


def test_numbers_for_ids_are_understood():
    assert read(ids=[4150868000000200001], channel_id=1000000068001).ids == ("4150868000000200001",)


def test_ten_thousand_records_are_read_and_one_more_is_not():
    assert len(read(ids=[str(number) for number in range(MAX_IDS)]).ids) == MAX_IDS
    with pytest.raises(Malformed):
        read(ids=[str(number) for number in range(MAX_IDS + 1)])


WRONG: dict[str, dict[str, Any]] = {
    "no ids": {"ids": None},
    "ids not a list": {"ids": "4150868000000200001"},
    "id a path": {"ids": ["../org"]},
    "id true": {"ids": [True]},
    "id nested": {"ids": [["1"]]},
    "operation unknown": {"operation": "drop"},
    "operation a list": {"operation": ["update"]},
    "module a path": {"module": "Contacts/../org"},
    "module missing": {"module": None},
    "channel text": {"channel_id": "mine"},
    "channel missing": {"channel_id": None},
}


@pytest.mark.parametrize("token", [None, 7, "", "x" * 257, "\u00e9", ["shared-with-zoho"]])
def test_without_a_token_nobody_is_believed(token):
    """Whatever else is wrong with it."""
    for more in ({}, {"ids": None}):
        with pytest.raises(Unauthentic):
            read(**({"token": token} | more))


@pytest.mark.parametrize("changed", WRONG.values(), ids=WRONG.keys())
def test_a_wrong_shape_is_malformed(changed):
    with pytest.raises(Malformed):
        read(**changed)


@pytest.mark.parametrize(
    "body", [b"", b"null", b"[]", b"7", b"\xff\xfe", b"[" * 200_000, b"1" * 5000, b" " * 5_000_000]
)
def test_what_is_no_notification_is_malformed(body):
    with pytest.raises(Malformed):
        read_notification(body)


JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=3))


@given(st.dictionaries(st.sampled_from(sorted(TOLD)), JSON))
def test_nothing_but_a_notification_or_malformed_comes_out(changed):
    try:
        told = read(**changed)
    except (Malformed, Unauthentic):
        return
    assert all(id.isdigit() for id in told.ids)
