"""A connection that was kept and is gone: what may be repeated goes once more, what would be felt twice never does."""

from __future__ import annotations

import pytest
import requests

from domain.errors import TryLater, Unanswered
from integrations.guard import dropped
from integrations.telephony.edge import send
from tests.zoho_double import Line, answer, cut_off, not_reached

URL = "https://pbx.alice.example/calls"


def test_a_question_is_asked_again_on_a_new_connection() -> None:
    line = Line([cut_off(), answer(200, {})])
    assert 200 == send(line, "GET", URL).status_code
    assert 2 == len(line.asked)
    assert line.asked[0] == line.asked[1]


def test_not_more_often_than_once() -> None:
    line = Line([cut_off(), cut_off(), answer(200, {})])
    with pytest.raises(TryLater):
        send(line, "GET", URL)
    assert 2 == len(line.asked)


def test_what_would_be_felt_twice_is_sent_once() -> None:
    line = Line([cut_off(), answer(200, {})])
    with pytest.raises(Unanswered):
        send(line, "POST", URL, once=True)
    assert 1 == len(line.asked)


@pytest.mark.parametrize(
    "error", [requests.ReadTimeout(), requests.ConnectTimeout(), not_reached()], ids=["silent", "slow", "refused"]
)
def test_who_does_not_answer_is_not_asked_twice(error: requests.RequestException) -> None:
    line = Line([error, answer(200, {})])
    with pytest.raises(TryLater):
        send(line, "GET", URL)
    assert (1, False) == (len(line.asked), dropped(error))
