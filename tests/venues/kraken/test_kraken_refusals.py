"""What Kraken's error texts become."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradewind.gateways.kraken.errors import TEXTS
from tradewind.venues.codes import RejectCode
from tradewind.venues.kraken.refusals import TABLE, meaning_of, refusal_of, unknown_texts

KNOWN = {
    "EAPI:Invalid key": RejectCode.NOT_AUTHORISED,
    "EAPI:Invalid signature": RejectCode.NOT_AUTHORISED,
    "EAPI:Invalid nonce": RejectCode.INVALID_NONCE,
    "EAPI:Rate limit exceeded": RejectCode.RATE_LIMITED,
    "EService:Throttled: 1700000000": RejectCode.RATE_LIMITED,
    "EGeneral:Permission denied": RejectCode.NOT_AUTHORISED,
    "EGeneral:Invalid arguments": RejectCode.INVALID_REQUEST,
    "EGeneral:Invalid arguments:volume": RejectCode.BAD_NUMBER,
    "EGeneral:Temporary lockout": RejectCode.NOT_AUTHORISED,
    "EQuery:Unknown asset pair": RejectCode.UNKNOWN_SYMBOL,
    "EOrder:Invalid order": RejectCode.INVALID_REQUEST,
    "EOrder:Insufficient funds": RejectCode.INSUFFICIENT_FUNDS,
    "EOrder:Order minimum not met": RejectCode.BELOW_MIN_QTY,
    "EGeneral:Invalid arguments:volume minimum not met": RejectCode.BELOW_MIN_QTY,
    "EOrder:Cost minimum not met": RejectCode.BELOW_MIN_NOTIONAL,
    "EOrder:Tick size check failed": RejectCode.OFF_TICK,
    "EOrder:Orders limit exceeded": RejectCode.TOO_MANY_ORDERS,
    "EOrder:Rate limit exceeded": RejectCode.RATE_LIMITED,
    "EOrder:Unknown order": RejectCode.UNKNOWN_ORDER,
    "EOrder:Post only order": RejectCode.POST_ONLY_WOULD_TAKE,
    "EService:Market in cancel_only mode": RejectCode.CANCEL_ONLY,
    "EService:Market in post_only mode": RejectCode.POST_ONLY_MODE,
    "EService:Deadline elapsed": RejectCode.DEADLINE_PASSED,
    "ESession:Invalid session": RejectCode.NOT_LIVE,
}
UNCERTAIN = ["EService:Unavailable", "EService:Busy", "EService:Timeout", "EGeneral:Internal error"]


@pytest.mark.parametrize("text", sorted(KNOWN))
def test_a_definite_refusal_has_its_code_and_keeps_the_text(text: str) -> None:
    refusal = refusal_of([text])
    assert refusal is not None
    assert (refusal.code, refusal.raw) == (KNOWN[text], text)


@pytest.mark.parametrize("text", UNCERTAIN)
def test_a_text_that_is_known_to_come_behind_an_execution_is_uncertain(text: str) -> None:
    assert refusal_of([text]) is None


def test_one_uncertain_text_makes_the_whole_answer_uncertain() -> None:
    assert refusal_of(["EOrder:Insufficient funds", "EService:Unavailable"]) is None
    assert refusal_of([]) is None


@given(st.text(max_size=60))
def test_a_text_that_no_row_begins_is_uncertain_and_counted(text: str) -> None:
    if any(text.startswith(start) for start in TABLE):
        return
    before = unknown_texts.get(text, 0)
    assert meaning_of(text).code is None
    assert len(unknown_texts) <= 256
    assert unknown_texts.get(text, 0) in {before, before + 1}


@given(st.sampled_from(sorted(TABLE)), st.text(max_size=20))
def test_the_longest_beginning_decides(start: str, more: str) -> None:
    longest = max((one for one in TABLE if (start + more).startswith(one)), key=len)
    assert meaning_of(start + more) is TABLE[longest]


def test_every_text_of_the_gateway_has_a_row() -> None:
    missing = [text for text in TEXTS.values() if not any(text.startswith(start) for start in TABLE)]
    assert missing == []
