"""What is special about Binance USD-M, over sockets: listen keys, positions, timers, batches."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from tradewind.gateways.binance import usdm_account
from tradewind.gateways.faults import Fault as WireFault
from tradewind.gateways.faults import Plan, Rule
from tradewind.gateways.model import Order, PlaceRequest
from tradewind.venues.binance_usdm.connector import UsdmVenue
from tradewind.venues.codes import RejectCode
from tradewind.venues.market_data import Known, MarkPrice, Side
from tradewind.venues.protocol import (
    FINAL_PHASES,
    Acked,
    Armed,
    CancelledAll,
    Disarmed,
    FillEvent,
    Found,
    FundsEvent,
    Incomplete,
    MarginCallEvent,
    OrderEvent,
    OrderPhase,
    PositionEvent,
    Rejected,
    StreamState,
    TimeInForce,
    Uncertain,
)

from .usdm_bench import UsdmBench

OTHER = "ETH/USDT-PERP"
OTHER_PRICE = 300_000
"""Ticks of 0.01: 3,000."""


@pytest.fixture
async def one() -> AsyncIterator[UsdmBench]:
    bench = await UsdmBench.open()
    yield bench
    await bench.close()


def heard(bench: UsdmBench, kind: type) -> list[Any]:
    return [event for event in bench.events if isinstance(event, kind)]


def states(bench: UsdmBench) -> list[bool]:
    return [event.live for event in heard(bench, StreamState)]


def tell(bench: UsdmBench, event: dict[str, object]) -> None:
    """Let the venue say something to everybody who listens to the account."""
    for connection in connections(bench):
        connection.socket.send(msgspec.json.encode(event), "test")


def connections(bench: UsdmBench) -> list[Any]:
    key = bench.connector.listen_keys.key  # type: ignore[union-attr]
    topic = bench.gateway.streams.hub._topics.get(key)
    return [] if topic is None else list(topic.connections)


async def told(bench: UsdmBench) -> None:
    """Wait until every execution was told, and check that none came twice."""

    async def complete() -> bool:
        return len(heard(bench, FillEvent)) == len(await bench.true_fills())

    await bench.until_true(complete, "every execution is told")
    assert len({fill.key for fill in heard(bench, FillEvent)}) == len(heard(bench, FillEvent))


async def back(bench: UsdmBench, downs: int) -> None:
    await bench.until(
        lambda: states(bench).count(False) >= downs and bench.connector.live, "the stream came back"
    )


# ---- listen keys -------------------------------------------------------------------------------------------


async def test_an_expired_listen_key_brings_a_new_one_and_loses_nothing(one: UsdmBench) -> None:
    keys = one.gateway.listen_keys
    first = one.connector.listen_keys.key  # type: ignore[union-attr]
    order = await one.place(Side.BUY, one.middle_ticks, 3 * one.usual_lots)
    found = keys.find(first, one.exchange.now_ns())
    assert found is not None
    found.until_ns = one.exchange.now_ns()
    tell(one, {"e": "listenKeyExpired", "E": 1, "listenKey": first})
    await one.take(Side.SELL, one.middle_ticks, one.usual_lots)
    await back(one, 1)
    assert one.connector.listen_keys.key not in {"", first}  # type: ignore[union-attr]
    await one.take(Side.SELL, one.middle_ticks, one.usual_lots)
    await told(one)
    answer = await one.run(one.venue.query(one.reference(order.client_id)))
    assert isinstance(answer, Found)
    assert answer.state.filled_lots == 2 * one.usual_lots


async def test_a_listen_key_is_kept_alive_and_replaced_when_the_venue_forgot_it(one: UsdmBench) -> None:
    connector, keys = one.connector.listen_keys, one.gateway.listen_keys
    assert connector is not None
    found = keys.find(connector.key, one.exchange.now_ns())
    assert found is not None
    before_ns = found.until_ns = found.until_ns - 1_000_000_000
    assert await connector.keep()
    assert found.until_ns > before_ns
    keys._forget(one.account)
    assert not await connector.keep()
    await back(one, 1)
    assert connector.key != found.key
    await one.place(Side.BUY, one.middle_ticks)
    await one.until(lambda: bool(heard(one, OrderEvent)), "events come over the new one")


async def test_the_listen_key_is_given_up_at_the_end() -> None:
    bench = await UsdmBench.open()
    key = bench.connector.listen_keys.key  # type: ignore[union-attr]
    keys, exchange = bench.gateway.listen_keys, bench.exchange
    assert keys.find(key, exchange.now_ns()) is not None
    await bench.stack.aclose()
    assert keys.find(key, exchange.now_ns()) is None
    await bench.close()


async def test_a_rotation_loses_and_repeats_nothing_and_is_never_down(one: UsdmBench) -> None:
    rotation = one.connector.rotation
    for number in range(1, 3):
        order = await one.place(Side.BUY, one.middle_ticks - number, 3 * one.usual_lots)
        rotation.rotate("test")
        for _ in range(3):
            await one.take(Side.SELL, one.middle_ticks - number, one.usual_lots)
        await one.until(lambda number=number: rotation.rotations == number, "the connection is replaced")  # type: ignore[misc]
        await told(one)
        answer = await one.run(one.venue.query(one.reference(order.client_id)))
        assert isinstance(answer, Found)
        assert answer.state.phase is OrderPhase.FILLED
    assert set(states(one)) == {True}


# ---- events ------------------------------------------------------------------------------------------------


async def test_an_unknown_event_stops_new_risk_until_a_reconciliation_has_looked(one: UsdmBench) -> None:
    tell(one, {"e": "SOMETHING_NEW", "E": 1, "T": 1})
    await back(one, 1)
    assert one.connector.mirror.unknown_words == {"event SOMETHING_NEW": 1}
    tell(one, {"e": "TRADE_LITE", "E": 1, "T": 1, "s": "BTCUSDT", "i": 1, "t": 1})
    tell(one, {"e": "ACCOUNT_CONFIG_UPDATE", "E": 1, "T": 1, "ac": {"s": "BTCUSDT", "l": 5}})
    await one.place(Side.BUY, one.middle_ticks)
    assert states(one).count(False) == 1, "what is told elsewhere in full stops nothing"


async def test_hedge_mode_in_an_event_stops_new_risk(one: UsdmBench) -> None:
    row = {"s": "BTCUSDT", "pa": "1", "ep": "60000", "up": "0", "ps": "LONG", "mt": "cross"}
    tell(one, {"e": "ACCOUNT_UPDATE", "E": 1, "T": 1, "a": {"m": "ORDER", "B": [], "P": [row]}})
    await back(one, 1)
    assert heard(one, PositionEvent) == []


async def test_a_margin_call_and_funding_are_told_once(one: UsdmBench) -> None:
    call = {"e": "MARGIN_CALL", "E": 5, "cw": "3.1", "p": [{"s": "BTCUSDT", "ps": "BOTH", "pa": "1"}]}
    tell(one, call)
    wallet = {"a": "USDT", "wb": "100", "cw": "100", "bc": "-0.25"}
    funding = {"e": "ACCOUNT_UPDATE", "E": 6, "T": 6, "a": {"m": "FUNDING_FEE", "B": [wallet], "P": []}}
    tell(one, funding)
    tell(one, funding)
    await one.place(Side.BUY, one.middle_ticks)
    await one.until(lambda: bool(heard(one, OrderEvent)), "everything before the order is told")
    assert [event.symbols for event in heard(one, MarginCallEvent)] == [(one.symbol,)]
    [event] = heard(one, FundsEvent)
    assert (event.asset, event.amount) == ("USDT", Decimal("-0.25"))
    assert states(one) == [True]


# ---- positions and margin ----------------------------------------------------------------------------------


async def test_positions_are_the_exchanges_own_long_short_and_closed(one: UsdmBench) -> None:
    assert await one.run(one.connector.positions()) == []
    await one.hold(3 * one.usual_lots)
    for lots, side, price in (
        (3 * one.usual_lots, None, 0),
        (-2 * one.usual_lots, Side.SELL, one.middle_ticks - 60),
        (0, Side.BUY, one.middle_ticks + 60),
    ):
        if side is not None:
            size = 5 * one.usual_lots if lots else 2 * one.usual_lots
            levels = [(price, 9 * one.usual_lots)]
            await one.quote(*((levels, []) if side is Side.SELL else ([], levels)))
            order = one.order(side, price, size, time_in_force=TimeInForce.IOC)
            assert isinstance(await one.run(one.venue.submit(order, 1)), Acked)
        answer = await one.run(one.connector.positions(one.symbol))
        assert not isinstance(answer, Incomplete), answer
        [truth] = one.exchange.positions(one.account, one.exchange_symbol)
        assert truth.lots == lots
        if not lots:
            assert answer == []
            break
        [found] = answer
        assert (found.symbol, found.lots, found.margin_asset) == (one.symbol, lots, "USDT")
        assert isinstance(found.entry_price, Known)
        assert isinstance(found.margin, Known)
        assert found.entry_price.value == truth.entry_price
        assert found.margin.value >= found.maintenance_margin.value > 0  # type: ignore[union-attr]

    await one.until(lambda: [event.lots for event in heard(one, PositionEvent)][-1:] == [0], "it is closed")
    assert [event.lots for event in heard(one, PositionEvent)] == [
        3 * one.usual_lots, -2 * one.usual_lots, 0
    ]  # fmt: skip


async def test_a_position_whose_news_was_lost_is_told_by_the_reconciliation(one: UsdmBench) -> None:
    one.exchange.faults.replace(
        Plan(rules=(Rule(action=WireFault.DROP_FRAME, surface="stream", name="userDataStream"),))
    )
    order = await one.place(Side.BUY, one.middle_ticks, one.usual_lots)
    taken = PlaceRequest(
        symbol=one.exchange_symbol, side=Side.SELL, price_ticks=one.middle_ticks, lots=one.usual_lots,
        time_in_force=TimeInForce.IOC,
    )  # fmt: skip
    assert isinstance(await one.exchange.place("taker", taken), Order)
    await one.heal()
    one.connector.rotation.current.link.socket.reconnect("test")
    await back(one, 1)
    await told(one)

    def ends() -> list[str]:
        states = [event.state for event in heard(one, OrderEvent)]
        return [state.client_id for state in states if state.phase in FINAL_PHASES]

    await one.until(lambda: bool(heard(one, PositionEvent)) and bool(ends()), "position and order are told")
    assert [event.lots for event in heard(one, PositionEvent)] == [one.usual_lots]
    assert ends() == [order.client_id]


@pytest.mark.parametrize("mode", ["hedge", "multi-assets"])
async def test_an_account_in_a_mode_that_is_not_supported_never_goes_live(
    mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def positions(context: Any, parameters: Any) -> Any:
        return {"dualSidePosition": mode == "hedge"}

    async def assets(context: Any, parameters: Any) -> Any:
        return {"multiAssetsMargin": mode != "hedge"}

    monkeypatch.setattr(usdm_account, "position_mode", positions)
    monkeypatch.setattr(usdm_account, "assets_mode", assets)
    monkeypatch.setattr(UsdmVenue, "open", opened_shortly := _short(UsdmVenue.open))
    bench: Any = UsdmBench
    with pytest.raises(AssertionError, match=mode):
        await bench.open()
    assert opened_shortly.calls == 1


def _short(method: Any) -> Any:
    async def call(self: Any, timeout_s: float = 1.5) -> bool:
        call.calls += 1  # type: ignore[attr-defined]
        return bool(await method(self, timeout_s))

    call.calls = 0  # type: ignore[attr-defined]
    return call


# ---- changes -----------------------------------------------------------------------------------------------


async def test_an_amended_order_keeps_its_number_and_its_fills(one: UsdmBench) -> None:
    order = await one.place(Side.BUY, one.middle_ticks, 4 * one.usual_lots)
    before = await one.run(one.venue.query(one.reference(order.client_id)))
    assert isinstance(before, Found)
    await one.take(Side.SELL, one.middle_ticks, one.usual_lots)
    answer = await one.run(
        one.venue.amend(
            one.reference(order.client_id), 1, price_ticks=one.middle_ticks - 4, lots=3 * one.usual_lots
        )
    )
    assert answer == Acked(before.state.venue_id)
    [truth] = await one.true_orders()
    assert (truth.price_ticks, truth.lots, truth.filled_lots) == (
        one.middle_ticks - 4, 3 * one.usual_lots, one.usual_lots
    )  # fmt: skip
    same = await one.run(one.venue.amend(one.reference(order.client_id), 1, lots=3 * one.usual_lots))
    assert same == Acked(before.state.venue_id), "nothing to change is no failure"


async def test_an_amend_without_an_answer_is_decided_by_its_event_or_by_time(one: UsdmBench) -> None:
    order = await one.place(Side.BUY, one.middle_ticks)
    reference = one.reference(order.client_id)
    lost = Rule(
        surface="rest", name="PUT /fapi/v1/order", action=WireFault.DROP_REPLY, delay_ms=30_000, times=1
    )
    one.exchange.faults.replace(Plan(rules=(lost,)))
    answer = await one.run(one.venue.amend(reference, 1, price_ticks=one.middle_ticks - 3))
    assert isinstance(answer, Acked), "its event came, and the answer did not"
    assert one.connector.changed == {}
    again = await one.run(one.venue.amend(reference, 1, price_ticks=one.middle_ticks - 4))
    assert isinstance(again, Acked), again
    before = msgspec.structs.replace(lost, action=WireFault.RESET, when="before")
    one.exchange.faults.replace(Plan(rules=(before,)))
    answer = await one.run(one.venue.amend(reference, 1, price_ticks=one.middle_ticks - 5))
    assert isinstance(answer, Uncertain), answer
    now = await one.run(one.venue.query(reference))
    assert isinstance(now, Uncertain), "what is there now may still be changed"
    refused = await one.run(one.venue.amend(reference, 1, price_ticks=one.middle_ticks - 6))
    assert isinstance(refused, Rejected)
    assert refused.code == RejectCode.NOT_LIVE

    async def known() -> bool:
        found = await one.run(one.venue.query(reference))
        assert isinstance(found, Found | Uncertain)
        return isinstance(found, Found)

    await one.until_true(known, "behind the receive window nothing can arrive any more")
    [truth] = await one.true_orders()
    assert truth.price_ticks == one.middle_ticks - 4
    assert isinstance(await one.run(one.venue.amend(reference, 1, price_ticks=one.middle_ticks - 6)), Acked)


async def test_a_cancel_of_everything_names_no_order_that_filled_meanwhile(one: UsdmBench) -> None:
    orders = [await one.place(Side.BUY, one.middle_ticks - step) for step in range(3)]
    other = one.order(Side.BUY, OTHER_PRICE, 10, symbol=OTHER)
    assert isinstance(await one.run(one.venue.submit(other, 1)), Acked)
    one.exchange.faults.replace(
        Plan(
            rules=(
                Rule(
                    surface="rest", name="DELETE /fapi/v1/allOpenOrders", action=WireFault.DELAY, delay_ms=400
                ),
            )
        )
    )
    everything = asyncio.ensure_future(one.venue.cancel_all(None, 1))
    await one.take(Side.SELL, one.middle_ticks, one.usual_lots)
    answer = await one.run(everything)
    assert isinstance(answer, CancelledAll), answer
    assert set(answer.client_ids) == {orders[1].client_id, orders[2].client_id, other.client_id}
    assert all(one_.phase in FINAL_PHASES for one_ in await one.true_orders())


async def test_a_batch_gives_each_order_its_own_result(one: UsdmBench) -> None:
    await one.quote([], [(one.middle_ticks + 60, one.usual_lots)])
    good = one.order(Side.BUY, one.middle_ticks)
    crossing = one.order(Side.BUY, one.middle_ticks + 60, post_only=True)
    tiny = one.order(Side.BUY, one.middle_ticks, 0)
    rich = one.order(Side.BUY, one.middle_ticks, 10_000)
    last = one.order(Side.BUY, one.middle_ticks - 1)
    results = await one.run(one.connector.submit_batch([good, crossing, tiny, rich, last], 1))
    codes = [answer.code if isinstance(answer, Rejected) else type(answer).__name__ for answer in results]
    assert codes == [
        "Acked", RejectCode.POST_ONLY_WOULD_TAKE, RejectCode.BAD_NUMBER, RejectCode.INSUFFICIENT_FUNDS,
        "Acked",
    ]  # fmt: skip
    assert {one_.client_id for one_ in await one.true_orders()} == {good.client_id, last.client_id}
    twice = one.order(Side.BUY, one.middle_ticks - 2)
    results = await one.run(one.connector.submit_batch([twice, twice], 1))
    assert isinstance(results[0], Acked)
    assert isinstance(results[1], Rejected)
    assert (results[1].code, results[1].raw) == (RejectCode.DUPLICATE_CLIENT_ID, "twice in one batch")
    many = [one.order(Side.BUY, one.middle_ticks) for _ in range(6)]
    assert all(isinstance(answer, Rejected) for answer in await one.connector.submit_batch(many, 1))


async def test_a_batch_without_an_answer_leaves_every_order_of_it_in_doubt(one: UsdmBench) -> None:
    one.exchange.faults.replace(
        Plan(
            rules=(
                Rule(
                    surface="rest", name="POST /fapi/v1/batchOrders", action=WireFault.DROP_REPLY,
                    delay_ms=30_000, times=1,
                ),
            )
        )
    )  # fmt: skip
    orders = [one.order(Side.BUY, one.middle_ticks - step) for step in range(3)]
    answers = await one.run(one.connector.submit_batch(orders, 1))
    assert all(isinstance(answer, Uncertain) for answer in answers), answers
    await one.heal()

    async def found() -> bool:
        results = [await one.run(one.venue.query(one.reference(order.client_id))) for order in orders]
        return all(isinstance(result, Found) for result in results)

    await one.until_true(found, "each is found by its client id")
    assert len(await one.true_orders()) == 3


# ---- the timer ---------------------------------------------------------------------------------------------


async def test_while_the_timer_is_wanted_no_order_rests_in_a_symbol_without_one(one: UsdmBench) -> None:
    assert isinstance(await one.run(one.venue.cancel_after(60, 1)), Armed)
    timers = one.gateway.countdowns
    assert timers.armed(one.account) == [one.exchange_symbol]
    other = one.order(Side.BUY, OTHER_PRICE, 10, symbol=OTHER)
    assert isinstance(await one.run(one.venue.submit(other, 1)), Acked)
    assert len(timers.armed(one.account)) == 2
    assert isinstance(await one.run(one.venue.cancel_after(0, 1)), Disarmed)
    assert timers.armed(one.account) == []
    assert isinstance(await one.run(one.venue.cancel_after(5, 1)), Armed)
    assert len(timers.armed(one.account)) == 2, "a symbol with orders has one from now on"
    one.connector.timers.clear()
    one.exchange.faults.replace(
        Plan(
            rules=(
                Rule(
                    surface="rest", name="POST /fapi/v1/countdownCancelAll", action=WireFault.STATUS,
                    status=502, when="before",
                ),
            )
        )
    )  # fmt: skip
    refused = await one.run(one.venue.submit(one.order(Side.BUY, one.middle_ticks), 1))
    assert isinstance(refused, Rejected)
    assert refused.code == RejectCode.NOT_LIVE
    assert len(await one.true_orders()) == 1
    assert isinstance(await one.run(one.venue.cancel_after(60, 1)), Uncertain)


async def test_a_timer_without_traded_symbols_still_asks_the_venue(one: UsdmBench) -> None:
    one.connector.options = msgspec.structs.replace(one.connector.options, symbols=())
    assert isinstance(await one.run(one.venue.cancel_after(60, 1)), Armed)
    assert len(one.gateway.countdowns.armed(one.account)) == 1


# ---- market data -------------------------------------------------------------------------------------------


async def test_the_feed_tells_marks_and_funding(one: UsdmBench) -> None:
    await one.until(
        lambda: any(isinstance(event, MarkPrice) for event in one.market_events), "a mark is told"
    )
    [event, *_] = [event for event in one.market_events if isinstance(event, MarkPrice)]
    prices = one.exchange.perpetual_prices(one.exchange_symbol)
    assert event.symbol == one.symbol
    assert event.mark == prices.mark_ticks * one.instrument.tick  # type: ignore[operator]
    assert event.funding_rate is not None
    assert event.next_funding_ns is not None
