"""Entries of a catalogue page become quotes, or say why they cannot."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind.venues.catalogue.messages import (
    CERTAIN,
    BadItem,
    CatalogueMarket,
    PageError,
    decode_market,
    decode_page,
)

RECORDED = (
    Path(__file__).resolve().parents[4] / "shared" / "data" / "venue-messages" / "polymarket" / "recorded"
)


def entry(**changes: Any) -> dict[str, Any]:
    return {
        "conditionId": "0x" + "ab" * 32,
        "outcomes": '["Yes", "No"]',
        "outcomePrices": '["0.505", "0.495"]',
        "bestBid": 0.5,
        "bestAsk": 0.51,
        "liquidityNum": 20328.3747,
        "unknown": {"nested": [1, None]},
        **changes,
    }


def read(**changes: Any) -> CatalogueMarket:
    return decode_market(json.dumps(entry(**changes)).encode())


def test_the_first_outcome_has_its_book_and_the_others_their_own_price() -> None:
    market = read()
    assert market == CatalogueMarket(
        condition=bytes.fromhex("ab" * 32),
        bids=(500_000, 490_000),
        asks=(510_000, 500_000),
        liquidity=20_328_374_700,
        tradable=True,
    )


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"conditionId": "0x12"}, "MALFORMED_FRAME"),
        ({"conditionId": 5}, "MALFORMED_FRAME"),
        ({"conditionId": "0x" + "zz" * 32}, "MALFORMED_FRAME"),
        ({"outcomes": "Yes, No"}, "MALFORMED_FRAME"),
        ({"outcomes": '["Yes"]', "outcomePrices": '["1"]'}, "INVALID_OUTCOME_COUNT"),
        ({"outcomePrices": '["1"]'}, "INVALID_OUTCOME_COUNT"),
        ({"outcomePrices": None}, "INVALID_OUTCOME_COUNT"),
        ({"outcomePrices": '["0.5", "NaN"]'}, "PARAMETER_OUT_OF_BOUNDS"),
        ({"outcomePrices": '["0.5", "a"]'}, "MALFORMED_FRAME"),
        ({"outcomePrices": '["0.5", "1.01"]'}, "PARAMETER_OUT_OF_BOUNDS"),
        ({"bestBid": -0.1}, "PARAMETER_OUT_OF_BOUNDS"),
        ({"bestAsk": 1.1}, "PARAMETER_OUT_OF_BOUNDS"),
        ({"bestBid": None}, "NON_POSITIVE_PRICE"),
        ({"bestBid": 0, "bestAsk": 0}, "NON_POSITIVE_PRICE"),
        ({"bestBid": 0.51, "bestAsk": 0.51}, "CROSSED_SOURCE"),
        ({"bestBid": 0.52}, "CROSSED_SOURCE"),
        ({"liquidityNum": -1}, "PARAMETER_OUT_OF_BOUNDS"),
    ],
)
def test_an_entry_that_cannot_be_used_names_its_code(changes: dict[str, Any], code: str) -> None:
    with pytest.raises(BadItem) as bad:
        read(**changes)
    assert bad.value.code == code


@settings(max_examples=300, deadline=None)
@given(
    bid=st.integers(0, CERTAIN - 1),
    spread=st.integers(1, CERTAIN),
    price=st.integers(0, CERTAIN),
)
def test_every_quote_lies_within_the_payout_and_has_the_venues_price_in_its_middle(
    bid: int, spread: int, price: int
) -> None:
    ask = min(CERTAIN, bid + spread)
    texts = [str(Decimal(one) / CERTAIN) for one in (bid, ask, price)]
    body = json.dumps(entry(outcomePrices=json.dumps(["0", texts[2]])))
    body = body.replace('"bestBid": 0.5', f'"bestBid": {texts[0]}')
    body = body.replace('"bestAsk": 0.51', f'"bestAsk": {texts[1]}')
    market = decode_market(body.encode())
    assert (market.bids[0], market.asks[0]) == (bid, ask)
    assert all(0 <= low < high <= CERTAIN for low, high in zip(market.bids, market.asks, strict=True))
    assert abs(market.bids[1] + market.asks[1] - 2 * price) <= 1


@settings(max_examples=200, deadline=None)
@given(body=st.binary(max_size=300))
def test_bytes_of_chance_are_an_error_of_the_page_or_of_the_entry(body: bytes) -> None:
    try:
        entries = decode_page(body)
    except PageError:
        return
    for one in entries:
        with pytest.raises(BadItem):
            decode_market(one)


def test_a_closed_market_is_read_but_not_tradable() -> None:
    assert not read(closed=True).tradable
    assert not read(acceptingOrders=False).tradable
    assert read(liquidityNum=None, liquidity="5.5").liquidity == 5_500_000
    assert read(liquidityNum=None).liquidity == 0


@pytest.mark.skipif(not RECORDED.is_dir(), reason="no recorded messages")
def test_recorded_entries_are_read() -> None:
    market = decode_market((RECORDED / "gamma_market.json").read_bytes())
    assert (market.bids, market.asks) == ((500_000, 490_000), (510_000, 500_000))
    [event] = json.loads((RECORDED / "gamma_event.json").read_bytes())
    for one in event["markets"]:
        shown = decode_market(json.dumps(one).encode())
        assert abs(sum(shown.bids) + sum(shown.asks) - 2 * CERTAIN) <= 2 * 10_000
    closed = (RECORDED / "gamma_market_closed_binary_accepting_true.json").read_bytes()
    try:
        assert not decode_market(closed).tradable
    except BadItem as bad:
        assert bad.code in ("NON_POSITIVE_PRICE", "CROSSED_SOURCE")
