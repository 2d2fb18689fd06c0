"""Every spot message that was collected decodes without loss, and rows that say something new are refused."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tradewind.venues.binance.directory import Directory
from tradewind.venues.binance.private_messages import (
    EVENT_TYPES,
    AccountBody,
    ExecutionReport,
    OrderRow,
    ServerTime,
)
from tradewind.venues.binance.rows import order_state, report_fact, report_state
from tradewind.venues.market_data import Side
from tradewind.venues.protocol import OrderPhase
from tradewind.venues.transport.account_mirror import Unmapped

FOLDER = Path(__file__).resolve().parents[4] / "shared" / "data" / "venue-messages" / "binance"
UNUSED = {
    "executionReport": {"M", "e"},  # M: the venue says to ignore it
    "account": {
        "makerCommission", "takerCommission", "buyerCommission", "sellerCommission", "commissionRates",
        "canDeposit", "brokered", "requireSelfTradePrevention", "preventSor",
    },
    "order": {"fills"},  # executions are taken from the events, which name the maker too
}  # fmt: skip


def files(pattern: str) -> list[Any]:
    found = sorted((FOLDER / "examples").glob(pattern)) if FOLDER.exists() else []
    return found or [pytest.param(None, marks=pytest.mark.skip(reason="no messages beside the repository"))]


def same(value: Any, raw: Any) -> bool:
    """Whether a decoded value is exactly what stood there."""
    if isinstance(value, Decimal):
        return value == Decimal(str(raw))
    if isinstance(value, list):
        return len(value) == len(raw) and all(same(one, other) for one, other in zip(value, raw, strict=True))
    if isinstance(value, msgspec.Struct):
        return all(same(getattr(value, name), raw[name]) for name in value.__struct_fields__ if name in raw)
    return bool(value == raw)


def lossless(raw: dict[str, Any], kind: Any, unused: set[str]) -> Any:
    decoded = msgspec.json.decode(json.dumps(raw), type=kind)
    missing = set(raw) - set(kind.__struct_fields__) - unused
    assert not missing, f"not decoded: {missing}"
    assert same(decoded, raw)
    return decoded


@pytest.mark.parametrize("path", files("*spot_*execution_report*.json") + files("spot_user_*.json"), ids=str)
def test_every_user_event_decodes_without_loss(path: Path) -> None:
    raw = json.loads(path.read_text())
    event = raw.get("event") or raw.get("data") or raw
    kind = event["e"]
    lossless(event, EVENT_TYPES[kind], UNUSED.get(kind, set()) | {"e"})


@pytest.mark.parametrize("path", files("*spot_*execution_report*.json"), ids=str)
def test_every_report_is_told_in_our_types(path: Path) -> None:
    raw = json.loads(path.read_text())
    report = msgspec.json.decode(json.dumps(raw.get("data") or raw), type=ExecutionReport)
    directory = listing()
    state, fact = report_state(report, directory), report_fact(report, directory)
    rules = directory.instruments[state.symbol]
    assert rules.lot * state.lots == report.q
    assert rules.tick * state.price_ticks == report.p
    assert rules.lot * state.filled_lots == report.z
    assert (fact is not None) == (report.x == "TRADE" and report.l > 0)
    if fact is not None:
        assert (rules.lot * fact.lots, rules.tick * fact.price_ticks) == (report.l, report.L)
        assert (fact.fee, fact.fee_asset, fact.maker) == (report.n, report.N, report.m)


@pytest.mark.parametrize(
    "path",
    files("spot_http_order_response.json")
    + files("spot_http_cancel_order_response.json")
    + files("spot_http_new_order_full_response.json")
    + files("spot_http_all_orders_response.json"),
    ids=str,
)
def test_every_order_row_decodes_without_loss(path: Path) -> None:
    raw = json.loads(path.read_text())
    for row in raw if isinstance(raw, list) else [raw]:
        lossless(row, OrderRow, UNUSED["order"])


@pytest.mark.parametrize(
    "path", files("*http_spot_wallet_account.json") + files("spot_http_account_*.json"), ids=str
)
def test_every_account_decodes_without_loss(path: Path) -> None:
    lossless(json.loads(path.read_text()), AccountBody, UNUSED["account"])


@pytest.mark.parametrize("path", files("spot_http_server_time_response.json"), ids=str)
def test_the_time_decodes(path: Path) -> None:
    lossless(json.loads(path.read_text()), ServerTime, set())


def test_the_real_list_of_symbols_is_a_bijection_and_nothing_is_lost() -> None:
    path = FOLDER / "recorded" / "rest_exchange_info_spot_2021-10-12.json"
    if not path.exists():
        pytest.skip("no messages beside the repository")
    body = path.read_bytes()
    rows = json.loads(body)["symbols"]
    directory = Directory.parse(body, 1)
    assert not directory.quarantined
    assert not directory.unknown_filters
    assert not directory.unknown_states()
    assert len(directory.instruments) == len(rows)
    for row in rows:
        one = directory.instruments[directory.symbol_of(row["symbol"])]
        assert (one.venue_symbol, one.base, one.quote) == (row["symbol"], row["baseAsset"], row["quoteAsset"])


# ---- what nobody knows is never guessed --------------------------------------------------------------------

FILTERS = [
    {"filterType": "PRICE_FILTER", "minPrice": "0.01", "maxPrice": "1000000", "tickSize": "0.01"},
    {"filterType": "LOT_SIZE", "minQty": "0.00001", "maxQty": "9000", "stepSize": "0.00000001"},
    {"filterType": "NOTIONAL", "minNotional": "5", "maxNotional": "9000000"},
]


def symbol(base: str = "ETH", quote: str = "USDT", **changes: Any) -> dict[str, Any]:
    return {
        "symbol": base + quote, "status": "TRADING", "baseAsset": base, "quoteAsset": quote,
        "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET"], "cancelReplaceAllowed": True, "amendAllowed": True,
        "filters": FILTERS, **changes,
    }  # fmt: skip


def listing(*rows: dict[str, Any]) -> Directory:
    chosen = rows or (symbol(), symbol("BTC"), symbol("BTC", "USD"), symbol("ETH", "BTC"))
    return Directory.parse(json.dumps({"symbols": chosen, "rateLimits": []}).encode(), 1)


ROW = {
    "symbol": "ETHUSDT", "orderId": 7, "clientOrderId": "tw1", "price": "2500.01", "origQty": "1.5",
    "executedQty": "0.5", "status": "PARTIALLY_FILLED", "type": "LIMIT", "side": "SELL", "updateTime": 5,
}  # fmt: skip


def row(**changes: Any) -> OrderRow:
    return msgspec.json.decode(json.dumps({**ROW, **changes}), type=OrderRow)


def test_a_row_becomes_whole_ticks_and_lots() -> None:
    state = order_state(row(), listing())
    assert (state.symbol, state.side, state.phase) == ("ETH/USDT", Side.SELL, OrderPhase.PARTIALLY_FILLED)
    assert (state.price_ticks, state.lots, state.filled_lots) == (250_001, 150_000_000, 50_000_000)
    assert (state.client_id, state.venue_id, state.updated_ns) == ("tw1", "7", 5_000_000)


@pytest.mark.parametrize(
    "change",
    [
        {"status": "SLEEPING"}, {"type": "DREAM"}, {"side": "HOLD"}, {"symbol": "NOSUCH"},
        {"price": "2500.001"}, {"origQty": "0.000000001"}, {"executedQty": "-1"}, {"updateTime": None},
        {"price": "NaN"},
    ],
    ids=str,
)  # fmt: skip
def test_a_row_with_something_unknown_is_unmapped(change: dict[str, Any]) -> None:
    with pytest.raises(Unmapped):
        order_state(row(**change), listing())


def test_an_unknown_filter_stops_new_risk_in_its_symbol_only() -> None:
    strange = symbol("BTC", filters=[*FILTERS, {"filterType": "MOON_PHASE", "limit": 3}])
    directory = listing(strange, symbol())
    assert "MOON_PHASE" in directory.rules["BTC/USDT"].no_new_risk
    assert directory.rules["ETH/USDT"].no_new_risk == ""
    assert directory.unknown_filters == {"MOON_PHASE": 1}


def test_an_unknown_state_is_unknown_and_an_unreadable_row_is_kept_aside() -> None:
    directory = listing(symbol(status="SIESTA"), symbol("BTC", filters=[]), {"symbol": 5})
    assert directory.states["ETH/USDT"].value == "unknown"
    assert directory.unknown_states() == {"ETH/USDT": "SIESTA"}
    assert len(directory.quarantined) == 2


def test_savings_are_not_money_that_can_be_traded() -> None:
    directory = listing()
    assert directory.tradable("USDT")
    assert not directory.tradable("LDUSDT")
    assert directory.tradable("LDO")  # an asset of its own
