"""USD-M's words without sockets: positions in any order of news, refusals, requests, weeks of executions."""

from __future__ import annotations

import asyncio
import itertools
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tradewind.gateways.binance.usdm_gateway import LIMITS
from tradewind.venues.binance import encode
from tradewind.venues.binance.directory import Directory
from tradewind.venues.binance.live import SPOT, USDM, side_url, stream_url
from tradewind.venues.binance_usdm import private_messages as wire
from tradewind.venues.binance_usdm.account import UsdmMirror
from tradewind.venues.binance_usdm.history import UsdmHistory
from tradewind.venues.binance_usdm.wire import USDM_WIRE
from tradewind.venues.codes import RejectCode
from tradewind.venues.facts import facts_of
from tradewind.venues.market_data import Known, Side, Unknown
from tradewind.venues.protocol import (
    FundsEvent,
    Incomplete,
    NewOrder,
    OrderPhase,
    PositionEvent,
    TimeInForce,
    VenueState,
)
from tradewind.venues.transport.account_mirror import Unmapped

SYMBOL = "BTC/USDT-PERP"
MS = 1_000_000
ROW = {
    "symbol": "BTCUSDT", "status": "TRADING", "contractType": "PERPETUAL", "baseAsset": "BTC",
    "quoteAsset": "USDT", "orderTypes": ["LIMIT", "MARKET"], "timeInForce": ["GTC", "IOC", "FOK", "GTX"],
    "filters": [
        {"filterType": "PRICE_FILTER", "minPrice": "100", "maxPrice": "900000", "tickSize": "0.10"},
        {"filterType": "LOT_SIZE", "minQty": "0.001", "maxQty": "1000", "stepSize": "0.001"},
        {"filterType": "MAX_NUM_ORDERS", "limit": 200},
        {"filterType": "MIN_NOTIONAL", "notional": "100"},
        {"filterType": "PERCENT_PRICE", "multiplierUp": "1.05", "multiplierDown": "0.95"},
    ],
}  # fmt: skip


def directory(*more: dict[str, Any]) -> Directory:
    body = {"symbols": [ROW, *more], "rateLimits": [], "serverTime": 1}
    return Directory.parse(msgspec.json.encode(body), 1, USDM_WIRE)


def mirror(events: list[Any] | None = None) -> UsdmMirror:
    into: list[Any] = [] if events is None else events
    return UsdmMirror("binance-usdm", "main", into.append, directory())


def update(lots: int, at_ms: int, *, reason: str = "ORDER", **more: Any) -> wire.AccountUpdate:
    row = {"s": "BTCUSDT", "pa": str(Decimal("0.001") * lots), "ep": "60000", "up": "0", "ps": "BOTH"}
    body = {"e": "ACCOUNT_UPDATE", "E": at_ms, "T": at_ms, "a": {"m": reason, "B": [], "P": [row | more]}}
    return msgspec.json.decode(msgspec.json.encode(body), type=wire.AccountUpdate)


def risk(lots: int, **more: Any) -> wire.PositionRisk:
    row = {
        "symbol": "BTCUSDT", "positionSide": "BOTH", "positionAmt": str(Decimal("0.001") * lots),
        "entryPrice": "60000", "unRealizedProfit": "1.5",
    } | more  # fmt: skip
    return msgspec.json.decode(msgspec.json.encode(row), type=wire.PositionRisk)


# ---- listing -----------------------------------------------------------------------------------------------


def test_delivery_contracts_are_left_out_and_an_unknown_state_or_filter_is_no_new_risk() -> None:
    found = directory(
        ROW | {"symbol": "BTCUSDT_250627", "contractType": "CURRENT_QUARTER"},
        ROW | {"symbol": "ETHUSDT", "baseAsset": "ETH", "status": "ASLEEP"},
        ROW | {"symbol": "SOLUSDT", "baseAsset": "SOL", "filters": [*ROW["filters"], {"filterType": "MOON"}]},  # type: ignore[misc]
    )
    assert found.left_out == {"CURRENT_QUARTER": 1}
    assert found.quarantined == []
    assert found.states == {
        SYMBOL: VenueState.ONLINE,
        "ETH/USDT-PERP": VenueState.UNKNOWN,
        "SOL/USDT-PERP": VenueState.ONLINE,
    }
    assert found.rules["SOL/USDT-PERP"].no_new_risk
    rules = found.rules[SYMBOL]
    assert (rules.post_only, rules.rules.max_open_orders, rules.no_new_risk) == (True, 200, "")
    assert rules.rules.instrument.min_notional == 100


def test_each_stream_is_asked_for_on_the_path_that_sends_it() -> None:
    one = directory().instruments[SYMBOL]
    assert stream_url([one], USDM) == (
        "wss://fstream.binance.com/public/stream?streams=btcusdt@depth@100ms/btcusdt@trade/btcusdt@bookTicker"
    )
    assert side_url([one], USDM) == "wss://fstream.binance.com/market/stream?streams=btcusdt@markPrice@1s"
    assert side_url([one], SPOT) is None


# ---- positions ---------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(-5, 5), st.integers(1, 9)), max_size=12))
def test_the_latest_news_of_a_position_stands_in_whatever_order_it_comes(
    news: list[tuple[int, int]],
) -> None:
    events: list[Any] = []
    one = mirror(events)
    expected, latest = 0, 0
    for lots, at_ms in news:
        one.update(update(lots, at_ms))
        if at_ms >= latest:
            expected, latest = lots, at_ms
    told = [event.lots for event in events if isinstance(event, PositionEvent)]
    assert (told[-1] if told else 0) == expected
    assert all(before != after for before, after in itertools.pairwise(told)), "told once"
    sequences = [event.sequence for event in events]
    assert sequences == sorted(set(sequences))


def test_a_list_closes_what_it_does_not_name_and_never_undoes_newer_news() -> None:
    events: list[Any] = []
    one = mirror(events)
    one.update(update(3, 5))
    before = one.heard
    one.update(update(4, 6))
    one.reconcile_positions([], before)
    assert one.positions[SYMBOL].lots == 4, "the list was asked for before the last news"
    one.reconcile_positions([], one.heard)
    assert one.positions[SYMBOL].lots == 0
    one.update(update(2, 7))
    found = one.read(risk(2), 9)
    assert found is not None
    one.reconcile_positions([found], one.heard)
    assert [event.lots for event in events if isinstance(event, PositionEvent)] == [3, 4, 0, 2]


def test_what_the_venue_does_not_tell_of_a_position_is_unknown_and_not_zero() -> None:
    found = mirror().read(risk(-7, liquidationPrice="0", markPrice="61000"), 9)
    assert found is not None
    assert found.lots == -7
    assert found.mark_price == Known(Decimal(61_000), 9, "binance-usdm positionRisk")
    for missing in (found.margin, found.maintenance_margin, found.liquidation_price):
        assert isinstance(missing, Unknown)
    assert mirror().read(risk(0), 9) is None
    assert mirror().read(risk(0, positionSide="LONG"), 9) is None
    for strange in (risk(1, positionSide="LONG"), risk(1, symbol="NOPE"), risk(1, positionAmt="0.0005")):
        with pytest.raises(Unmapped):
            mirror().read(strange, 9)


def test_hedge_mode_in_an_event_is_refused_unless_it_is_empty() -> None:
    one = mirror()
    one.update(update(0, 1, ps="LONG"))
    with pytest.raises(Unmapped):
        one.update(update(1, 1, ps="SHORT"))


def test_funding_is_told_once_and_profit_and_fees_are_not_funds() -> None:
    events: list[Any] = []
    one = mirror(events)
    for reason, change in (("ORDER", "0"), ("FUNDING_FEE", "-0.5"), ("FUNDING_FEE", "-0.5")):
        body = {"E": 3, "T": 3, "a": {"m": reason, "B": [{"a": "USDT", "wb": "9", "bc": change}], "P": []}}
        one.update(msgspec.convert(body, wire.AccountUpdate, strict=False))
    assert [(event.amount, event.reference) for event in events if isinstance(event, FundsEvent)] == [
        (Decimal("-0.5"), "FUNDING_FEE-USDT-3-3")
    ]


def test_a_liquidation_is_an_order_of_somebody_else_with_its_execution() -> None:
    events: list[Any] = []
    one = mirror(events)
    report = {
        "s": "BTCUSDT", "c": "autoclose-1", "S": "SELL", "o": "LIQUIDATION", "f": "IOC", "q": "0.02",
        "p": "45000.0", "x": "CALCULATED", "X": "NEW_INSURANCE", "i": 7, "l": "0.02", "z": "0.02",
        "L": "45000.0", "T": 4, "t": 9, "m": False, "N": "USDT", "n": "0.45",
    }  # fmt: skip
    one.report(msgspec.convert(report, wire.FuturesReport, strict=False))
    fill, order = events
    assert (fill.lots, fill.fee, fill.remaining_lots) == (20, Decimal("0.45"), 0)
    assert (order.state.phase, order.state.reason) == (OrderPhase.FILLED, "LIQUIDATION")
    with pytest.raises(Unmapped):
        one.report(msgspec.convert(report | {"x": "SURPRISE"}, wire.FuturesReport, strict=False))
    with pytest.raises(Unmapped):
        one.report(msgspec.convert(report | {"X": "SURPRISE"}, wire.FuturesReport, strict=False))


# ---- requests and refusals ---------------------------------------------------------------------------------


@given(
    st.sampled_from(list(Side)), st.sampled_from(list(TimeInForce)), st.booleans(), st.booleans(),
    st.integers(1, 10**9), st.integers(1, 10**9),
)  # fmt: skip
def test_an_order_says_exactly_what_was_wished(
    side: Side, tif: TimeInForce, post_only: bool, reduce_only: bool, price: int, lots: int
) -> None:
    order = NewOrder(
        client_id="tw1", symbol=SYMBOL, side=side, time_in_force=tif, post_only=post_only, price_ticks=price,
        lots=lots, reduce_only=reduce_only,
    )  # fmt: skip
    instrument = directory().instruments[SYMBOL]
    key = encode.BinanceKey("k", "s")
    sent = dict(parse_qsl(encode.signed(key, encode.futures_order(order, instrument), 5, 3_000)))
    assert (sent["symbol"], sent["side"], sent["type"]) == ("BTCUSDT", side.name, "LIMIT")
    assert sent["timeInForce"] == ("GTX" if post_only else tif.name)
    assert (Decimal(sent["price"]), Decimal(sent["quantity"])) == (
        price * instrument.tick, lots * instrument.lot
    )  # fmt: skip
    assert sent.get("reduceOnly") == ("true" if reduce_only else None)
    assert sent["newClientOrderId"] == "tw1"


@pytest.mark.parametrize(
    ("code", "expected", "preventable"),
    [
        (-2019, "INSUFFICIENT_FUNDS", True),
        (-2022, "REDUCE_ONLY", False),
        (-2021, "VENUE_REJECTED", False),
        (-2027, "VENUE_POSITION_CAP", False),
        (-4014, "OFF_TICK", True),
        (-4164, "BELOW_MIN_NOTIONAL", True),
        (-4116, "DUPLICATE_CLIENT_ID", True),
        (-5022, "POST_ONLY_WOULD_TAKE", False),
        (-5021, "NOT_FILLABLE", False),
        (-2011, "UNKNOWN_ORDER", False),
        (-1121, "UNKNOWN_SYMBOL", True),
    ],
)
def test_a_definite_refusal_has_its_code_of_usdm(code: int, expected: str, preventable: bool) -> None:
    refusal = USDM_WIRE.meanings.refusal(code, "text")
    assert refusal is not None
    assert (refusal.code, refusal.preventable) == (RejectCode[expected], preventable)


@pytest.mark.parametrize("code", [-1000, -1001, -1006, -1007, -2012, -4999, 0])
def test_what_may_have_been_executed_is_never_a_refusal_of_usdm(code: int) -> None:
    assert USDM_WIRE.meanings.refusal(code, "text") is None


# ---- executions --------------------------------------------------------------------------------------------


class FakeClock:
    def __init__(self, now_ms: int) -> None:
        self.now_ms = now_ms

    def venue_ns(self) -> int:
        return self.now_ms * MS


class FakeRest:
    """A venue that lists executions as USD-M does, and refuses what it refuses."""

    def __init__(self, now_ms: int, times: list[int]) -> None:
        self.clock = FakeClock(now_ms)
        self.times = times
        self.calls = 0

    async def read(self, path: str, kind: Any, fields: Any, *, weight: int, **_: Any) -> Any:
        self.calls += 1
        sent = {name: int(value) for name, value in fields if name not in {"symbol", "origClientOrderId"}}
        if path == "order":
            row = {
                "symbol": "BTCUSDT", "orderId": sent["orderId"], "clientOrderId": f"c{sent['orderId']}",
                "price": "60000", "origQty": "0.001", "executedQty": "0.001", "status": "FILLED",
                "type": "LIMIT", "side": "BUY", "updateTime": 1,
            }  # fmt: skip
            return msgspec.convert(row, kind, strict=False)
        assert path == "userTrades"
        start, end = sent.get("startTime"), sent.get("endTime")
        assert not ("fromId" in sent and start is not None), "-1128"
        if start is not None:
            assert end is None or end - start <= 7 * 86_400_000, "-4166"
            last = end if end is not None else start + 7 * 86_400_000
            rows = [number for number, at in enumerate(self.times) if start <= at <= last]
        else:
            rows = [number for number in range(len(self.times)) if number >= sent["fromId"]]
        return [msgspec.Raw(msgspec.json.encode(self._row(number))) for number in rows[: sent["limit"]]]

    def _row(self, number: int) -> dict[str, Any]:
        return {
            "symbol": "BTCUSDT", "id": number, "orderId": number + 1, "price": "60000", "qty": "0.001",
            "commission": "0.01", "commissionAsset": "USDT", "time": self.times[number], "buyer": True,
            "maker": False, "positionSide": "BOTH",
        }  # fmt: skip


DAY_MS = 86_400_000
AGES_MS = st.integers(0, 170).map(lambda days: days * DAY_MS)


@given(st.lists(AGES_MS, max_size=30), AGES_MS, st.sampled_from([2, 5, 1_000]))
@example([100 * DAY_MS], 110 * DAY_MS, 5)
@example([5 * DAY_MS, 12 * DAY_MS], 29 * DAY_MS, 2)
def test_every_execution_since_a_moment_is_found_however_long_ago_it_was(
    ages_ms: list[int], since_ms: int, page: int
) -> None:
    now_ms = 1_800_000_000_000
    times = sorted(now_ms - age for age in ages_ms)
    rest = FakeRest(now_ms, times)
    history = UsdmHistory(rest, mirror(), lambda: [SYMBOL])  # type: ignore[arg-type]
    history._page = page
    since_ns = (now_ms - since_ms) * MS
    found = asyncio.run(history.fills(since_ns, [SYMBOL]))
    assert not isinstance(found, Incomplete), found
    wanted = {number for number, at in enumerate(times) if at * MS >= since_ns}
    assert wanted <= {int(one.fact.trade_id) for one in found}
    numbers = [one.fact.trade_id for one in found]
    assert len(set(numbers)) == len(numbers)
    assert [one.fact.time_ns for one in found] == sorted(one.fact.time_ns for one in found)


# ---- facts -------------------------------------------------------------------------------------------------


def test_facts_have_their_sources_and_the_gateway_has_the_venues_limits() -> None:
    facts = facts_of("tradewind.venues.binance_usdm")
    assert all(one.source_url.startswith("https://developers.binance.com/") for one in facts.values())
    known = {(one.kind, one.interval, one.interval_num): one.limit for one in LIMITS}
    assert known == {
        ("REQUEST_WEIGHT", "MINUTE", 1): facts["limits"].value["weight_1m"],
        ("ORDERS", "MINUTE", 1): facts["limits"].value["orders_1m"],
        ("ORDERS", "SECOND", 10): facts["limits"].value["orders_10s"],
    }
