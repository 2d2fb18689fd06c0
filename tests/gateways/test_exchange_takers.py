"""What kind of order took a trade: the same in the stream, in the tape and behind a restart, and bounded."""

from __future__ import annotations

from pathlib import Path

from gateway_world import PRICE, SYMBOL, opened, placed, request
from hypothesis import given
from hypothesis import strategies as st

from tradewind.gateways.exchange_takers import AT_MARKET, MarketTakers
from tradewind.gateways.model import Kind, PublicTrade
from tradewind.venues.market_data import Side


async def test_market_and_limit_takers_are_told_apart_and_survive_a_restart(tmp_path: Path) -> None:
    heard: list[PublicTrade] = []
    async with opened(tmp_path / "data") as exchange:
        exchange.listen_market(SYMBOL, None, heard.append)
        for _ in range(3):
            await placed(exchange, "demo", request(Side.SELL, PRICE))
        await placed(exchange, "other", request(Side.BUY, PRICE))
        await placed(exchange, "other", request(Side.BUY, kind=Kind.MARKET))
        await placed(exchange, "other", request(Side.BUY, PRICE))
        told = exchange.trades(SYMBOL)
        assert told == heard
        assert [one.taker_kind for one in told] == [Kind.LIMIT, Kind.MARKET, Kind.LIMIT]
        assert exchange.ticker(SYMBOL).last == told[-1]
    async with opened(tmp_path / "data") as again:
        assert again.trades(SYMBOL) == told


async def test_a_stop_that_fired_took_at_the_market(tmp_path: Path) -> None:
    async with opened(tmp_path / "data") as exchange:
        await placed(exchange, "demo", request(Side.SELL, PRICE))
        await placed(exchange, "other", request(Side.BUY, PRICE))
        await placed(exchange, "demo", request(Side.SELL, PRICE + 10))
        await placed(exchange, "demo", request(Side.SELL, PRICE + 20))
        await placed(exchange, "other", request(Side.BUY, kind=Kind.STOP, trigger_ticks=PRICE + 5))
        await placed(exchange, "other", request(Side.BUY, PRICE + 10))
        kinds = [one.taker_kind for one in exchange.trades(SYMBOL)]
        assert kinds == [Kind.LIMIT, Kind.LIMIT, Kind.MARKET]


@given(
    kinds=st.lists(st.sampled_from([None, *Kind]), max_size=200),
    kept=st.integers(1, 50),
)
def test_the_last_trades_are_remembered_and_no_more(kinds: list[Kind | None], kept: int) -> None:
    takers = MarketTakers(kept)
    for number, kind in enumerate(kinds, 1):
        assert takers.add(1, number, kind) is (Kind.MARKET if kind in AT_MARKET else Kind.LIMIT)
    for number in range(max(1, len(kinds) - kept + 1), len(kinds) + 1):
        expected = Kind.MARKET if kinds[number - 1] in AT_MARKET else Kind.LIMIT
        assert takers.kind(1, number) is expected
    assert len(takers._numbers.get(1, ())) <= kept
    assert takers.kind(2, 1) is Kind.LIMIT
