"""Bad input and faults over the wire, venue by venue (T18): denied with a code, and nothing has changed."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tradewind.gateways.faults import Fault as WireFault
from tradewind.gateways.faults import Plan, Rule
from tradewind.venues.binance.private_messages import OrderRow
from tradewind.venues.binance.rest import BinanceRest, Replied
from tradewind.venues.codes import RejectCode
from tradewind.venues.kraken.private_messages import AddOrderResult
from tradewind.venues.kraken.rest import KrakenRest
from tradewind.venues.limits import Priority
from tradewind.venues.limits.binance import Call
from tradewind.venues.market_data import Side
from tradewind.venues.polymarket.messages import OrderAnswer
from tradewind.venues.polymarket.rest import Failed, PolymarketRest
from tradewind.venues.protocol import Acked, Rejected, Uncertain, VenueState

from .bench import Bench
from .test_doubts_share_readings import watched

WIRES = {"kraken", "binance", "polymarket"}
BAD_NUMBERS = [
    "NaN", "nan", "Infinity", "-Infinity", "inf", "-1", "0", "", " ", "1e5", "1E-3", "1,5", "0x10", "--1",
    "１", "1.2.3", "9" * 39, "0." + "0" * 18 + "1",
]  # fmt: skip


def wire_of(bench: Bench) -> str:
    name = bench.venue.capabilities().name
    if name not in WIRES:
        pytest.skip("no wire, nothing to send by hand")
    return name


async def answered(bench: Bench, price: str, quantity: str) -> object:
    """An order with these texts, past every check of ours."""
    rest: Any = bench.venue.rest  # type: ignore[attr-defined]
    if isinstance(rest, KrakenRest):
        fields = [
            ("pair", "XBTUSD"), ("type", "buy"), ("ordertype", "limit"), ("price", price),
            ("volume", quantity),
        ]  # fmt: skip
        return await rest.change("AddOrder", AddOrderResult, fields, epoch=1)
    if isinstance(rest, BinanceRest):
        fields = [
            ("symbol", "BTCUSDT"), ("side", "BUY"), ("type", "LIMIT"), ("timeInForce", "GTC"),
            ("quantity", quantity), ("price", price),
        ]  # fmt: skip
        return await rest.change(
            "POST", "order", OrderRow, fields, epoch=1, cls=Priority.P0, cost=Call(orders=1)
        )
    assert isinstance(rest, PolymarketRest)
    order = bench.order(Side.BUY, bench.middle_ticks)
    rules = bench.venue.mirror.directory.by_symbol[bench.symbol]  # type: ignore[attr-defined]
    body = msgspec.json.decode(bench.venue._signed(order, rules).body)  # type: ignore[attr-defined]
    body["order"] |= {"makerAmount": price, "takerAmount": quantity}
    return await rest.call("POST", "/order", OrderAnswer, body=msgspec.json.encode(body))


def refused(answer: object) -> bool:
    """A definite no: neither an order, nor an answer that leaves it open."""
    match answer:
        case Rejected():
            return True
        case Replied(status=status) | Failed(status=status):
            return 400 <= status < 500
        case OrderAnswer():
            return not answer.success
    return False


@pytest.mark.parametrize("text", BAD_NUMBERS)
async def test_a_number_that_is_none_is_refused_and_never_a_default(bench: Bench, text: str) -> None:
    wire_of(bench)
    funds = await bench.true_totals()
    for price, quantity in ((text, "1"), ("1", text)):
        answer = await bench.run(answered(bench, price, quantity))
        assert refused(answer), (price, quantity, answer)
    assert await bench.true_orders() == []
    assert await bench.true_totals() == funds
    assert isinstance(await bench.venue.open_orders(None), list)


async def test_a_status_that_cannot_be_read_is_unknown_and_never_online(bench: Bench) -> None:
    name = wire_of(bench)
    names = ("GET */SystemStatus", "GET */time", "GET /ok")
    rules = [Rule(action=WireFault.STATUS, status=503, surface="rest", name=one) for one in names]
    if name == "kraken":  # its socket tells the state too: that has to be away as well
        rules.append(Rule(action=WireFault.RESET, surface="ws-api", name="subscribe"))
        bench.exchange.faults.replace(Plan(rules=tuple(rules)))  # type: ignore[attr-defined]
        bench.venue.socket.link.socket.reconnect("test")  # type: ignore[attr-defined]
    bench.exchange.faults.replace(Plan(rules=tuple(rules)))  # type: ignore[attr-defined]

    async def unknown() -> bool:
        status = await bench.run(bench.venue.status())
        assert status.state is VenueState.UNKNOWN or name == "kraken"
        return status.state is VenueState.UNKNOWN

    await bench.until_true(unknown, "the state is unknown")
    if name == "kraken":
        answer = await bench.run(bench.venue.submit(bench.order(Side.BUY, bench.middle_ticks), 1))
        assert isinstance(answer, Rejected), answer


@pytest.mark.parametrize("status", [418, 403])
async def test_a_venue_that_says_stop_is_not_asked_again_to_find_out(bench: Bench, status: int) -> None:
    name = wire_of(bench)
    if name == "kraken" or (name, status) == ("polymarket", 418):
        pytest.skip("orders have no status there, or the venue has no such one")
    path = {"binance": "POST /api/v3/order", "polymarket": "POST /order"}[name]
    bench.exchange.faults.replace(  # type: ignore[attr-defined]
        Plan(rules=(Rule(action=WireFault.STATUS, status=status, surface="rest", name=path, times=1),))
    )
    first = await bench.run(bench.venue.submit(bench.order(Side.BUY, bench.middle_ticks), 1))
    assert isinstance(first, Rejected | Uncertain), first
    seen = watched(bench.venue.rest.lane)  # type: ignore[attr-defined]
    second = await bench.run(bench.venue.submit(bench.order(Side.BUY, bench.middle_ticks), 1))
    assert isinstance(second, Rejected), second
    assert second.code == RejectCode.RATE_LIMITED_LOCAL
    assert not seen, "nothing left this host"
    assert await bench.true_orders() == []


async def test_a_symbol_that_closes_takes_cancels_only(bench: Bench) -> None:
    name = wire_of(bench)
    if name == "polymarket":
        pytest.skip("its markets end by resolution")
    order = await bench.place(Side.BUY, bench.middle_ticks)
    bench.exchange.set_mode(VenueState.CANCEL_ONLY, bench.symbol)  # type: ignore[attr-defined]
    late = await bench.run(bench.venue.submit(bench.order(Side.BUY, bench.middle_ticks), 1))
    assert isinstance(late, Rejected), "the venue's own refusal is definite"
    assert await bench.venue.refresh_instruments() == ""  # type: ignore[attr-defined]
    known = await bench.run(bench.venue.submit(bench.order(Side.BUY, bench.middle_ticks), 1))
    assert isinstance(known, Rejected)
    assert known.code in {RejectCode.CANCEL_ONLY, RejectCode.SYMBOL_CLOSED}
    assert isinstance(await bench.run(bench.venue.cancel(bench.reference(order.client_id), 1)), Acked)
    assert len(await bench.true_orders()) == 1


@pytest.mark.parametrize("off_ms", [-3_600_000, -600, 600, 3_600_000])
async def test_a_clock_that_is_off_stops_new_risk_and_no_cancel(bench: Bench, off_ms: int) -> None:
    name = wire_of(bench)
    if name == "polymarket":
        pytest.skip("it signs seconds; its guard is the lane's own")
    order = await bench.place(Side.BUY, bench.middle_ticks)
    clock: Any = bench.venue.socket.clock if name == "kraken" else bench.venue.rest.clock  # type: ignore[attr-defined]
    clock._wall_ns = lambda: bench.now_ns() + off_ms * 1_000_000
    answer = await bench.run(bench.venue.submit(bench.order(Side.BUY, bench.middle_ticks), 1))
    assert isinstance(answer, Rejected), answer
    assert answer.code == RejectCode.NOT_LIVE
    assert isinstance(await bench.run(bench.venue.cancel(bench.reference(order.client_id), 1)), Acked)
    assert len(await bench.true_orders()) == 1
