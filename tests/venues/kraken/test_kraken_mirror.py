"""The mirror of an account: each event once, in order, whatever the wire repeats or leaves out."""

from __future__ import annotations

import json
import random
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind.venues.kraken.account import Mirror
from tradewind.venues.kraken.directory import Directory, tradable
from tradewind.venues.kraken.encode import valid_client_id
from tradewind.venues.kraken.private_messages import BalanceRow, Execution
from tradewind.venues.kraken.private_socket import MAX_HELD_MESSAGES, ChannelOrder
from tradewind.venues.kraken.rows import balance_rows, order_state, trade_fact
from tradewind.venues.protocol import (
    BalanceEvent,
    FillEvent,
    FundsEvent,
    OrderEvent,
    OrderPhase,
    VenueState,
)
from tradewind.venues.transport.account_mirror import Unmapped

PAIR = {
    "altname": "XBTUSD", "wsname": "XBT/USD", "base": "XXBT", "quote": "ZUSD", "pair_decimals": 1,
    "lot_decimals": 8, "ordermin": "0.00005", "costmin": "0.5", "tick_size": "0.1", "status": "online",
}  # fmt: skip
ASSETS = {
    code: {"aclass": "currency", "altname": altname, "decimals": 8, "display_decimals": 5}
    for code, altname in {"XXBT": "XBT", "ZUSD": "USD", "XXDG": "XDG", "DOT": "DOT", "DOT.S": "DOT.S"}.items()
}


def directory(**changes: Any) -> Directory:
    pairs = {"error": [], "result": {"XXBTZUSD": {**PAIR, **changes}}}
    assets = {"error": [], "result": ASSETS}
    return Directory.parse(json.dumps(assets).encode(), json.dumps(pairs).encode(), 5)


def mirror() -> tuple[Mirror, list[Any]]:
    events: list[Any] = []
    one = Mirror("kraken", "trader", events.append)
    one.directory = directory()
    return one, events


def row(exec_type: str, status: str, second: int, **fields: Any) -> Execution:
    return Execution(
        order_id=fields.pop("order_id", "O1"), exec_type=exec_type, order_status=status,
        timestamp=f"2026-01-01T00:00:{second:02d}.000000Z", **fields,
    )  # fmt: skip


def placed(**fields: Any) -> Execution:
    defaults: dict[str, Any] = {
        "symbol": "BTC/USD", "side": "buy", "order_type": "limit", "order_qty": Decimal("0.003"),
        "limit_price": Decimal("60000.0"), "cl_ord_id": "tw1", "cum_qty": Decimal(0),
    }  # fmt: skip
    return row("pending_new", "pending_new", 1, **(defaults | fields))


def trade(number: int, second: int, cumulative: str | None) -> Execution:
    return row(
        "trade", "partially_filled", second, exec_id=f"T{number}", last_qty=Decimal("0.001"),
        last_price=Decimal("60000.0"), liquidity_ind="m",
        cum_qty=None if cumulative is None else Decimal(cumulative),
    )  # fmt: skip


# ---- orders and fills --------------------------------------------------------------------------------------


@pytest.mark.parametrize("with_cumulative", [True, False])
def test_rows_that_say_only_what_changed_are_merged_with_what_is_known(with_cumulative: bool) -> None:
    one, events = mirror()
    one.execution(placed())
    one.execution(row("new", "new", 2))
    for number in (1, 2, 3):
        one.execution(trade(number, 2 + number, f"0.00{number}" if with_cumulative else None))
    one.execution(row("filled", "filled", 6, cum_qty=Decimal("0.003")))
    kinds = [type(event) for event in events]
    assert kinds == [OrderEvent, FillEvent, FillEvent, FillEvent, OrderEvent]
    assert [event.remaining_lots for event in events if isinstance(event, FillEvent)] == [200_000, 100_000, 0]
    final = one.get("O1")
    assert final is not None
    assert (final.phase, final.filled_lots, final.client_id) == (OrderPhase.FILLED, 300_000, "tw1")
    assert [event.sequence for event in events] == sorted({event.sequence for event in events})


def test_a_trade_that_completes_an_order_does_not_close_it() -> None:
    one, _ = mirror()
    one.execution(placed(order_qty=Decimal("0.001")))
    one.execution(trade(1, 3, "0.001"))
    state = one.get("O1")
    assert state is not None
    assert state.phase is OrderPhase.PARTIALLY_FILLED
    one.execution(row("filled", "filled", 4, cum_qty=Decimal("0.001")))
    assert one.get("O1").phase is OrderPhase.FILLED  # type: ignore[union-attr]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(range(5)), min_size=1, max_size=40), st.randoms(use_true_random=False))
def test_repetition_never_changes_what_is_told(picks: list[int], rolls: random.Random) -> None:
    script = [
        placed(),
        row("new", "new", 2),
        trade(1, 3, "0.001"),
        trade(2, 4, "0.002"),
        row("canceled", "canceled", 5, cum_qty=Decimal("0.002"), cancel_reason="User requested"),
    ]
    plain, told = mirror()
    for one in script:
        plain.execution(one)
    noisy, heard = mirror()
    for index, one in enumerate(script):
        noisy.execution(one)
        for pick in picks:
            if pick <= index and rolls.random() < 0.3:
                noisy.execution(script[pick])
    facts = [(type(one), getattr(one, "trade_id", None), getattr(one, "state", None)) for one in told]
    assert [
        (type(one), getattr(one, "trade_id", None), getattr(one, "state", None)) for one in heard
    ] == facts
    assert len({one.key for one in heard if isinstance(one, FillEvent)}) == 2


def test_a_row_about_an_order_that_nobody_described_asks_for_it() -> None:
    one, events = mirror()
    assert one.execution(row("new", "new", 2)) == "O1"
    assert events == []


@pytest.mark.parametrize(
    "bad",
    [
        {"order_status": "frozen"},
        {"symbol": "NO/SUCH"},
        {"side": "both"},
        {"order_qty": Decimal("0.000000001")},
        {"limit_price": Decimal("60000.05")},
        {"timestamp": "yesterday"},
    ],
)
def test_a_row_that_says_what_we_do_not_know_is_never_guessed(bad: dict[str, Any]) -> None:
    one, events = mirror()
    with pytest.raises(Exception, match=r".+") as raised:
        one.execution(msgspec.structs.replace(placed(), **bad))
    assert type(raised.value).__name__ in {"Unmapped", "DecodeError"}
    assert events == []


def test_an_unknown_kind_of_event_with_a_known_state_is_counted_and_read() -> None:
    one, _ = mirror()
    one.execution(msgspec.structs.replace(placed(), exec_type="quantum_leap"))
    assert one.unknown_words == {"exec_type quantum_leap": 1}
    assert one.get("O1") is not None


# ---- balances ----------------------------------------------------------------------------------------------


def test_balances_count_only_spot_and_hold_what_working_orders_need() -> None:
    one, events = mirror()
    one.execution(placed(cum_qty=Decimal("0.001")))
    one.balance(BalanceRow(asset="USD", balance=Decimal(500)))
    one.balance(BalanceRow(asset="DOT.S", balance=Decimal(9)))
    one.balance(BalanceRow(asset="USD", balance=Decimal(9), wallet_type="earn"))
    held = [(event.asset, event.free, event.held) for event in events if isinstance(event, BalanceEvent)]
    assert held == [("USD", Decimal(380), Decimal(120))]
    with pytest.raises(Unmapped):
        one.balance(BalanceRow(asset="NEWCOIN", balance=Decimal(1)))


def test_a_deposit_is_told_once() -> None:
    one, events = mirror()
    deposit = BalanceRow(
        asset="USD", balance=Decimal(600), ledger_id="L1", ref_id="R1", type="deposit", amount=Decimal(100),
        timestamp="2026-01-01T00:00:00.000000Z", wallet_type="spot",
    )  # fmt: skip
    one.balance(deposit)
    one.balance(deposit)
    funds = [
        (event.asset, event.amount, event.reference) for event in events if isinstance(event, FundsEvent)
    ]
    assert funds == [("USD", Decimal(100), "R1")]


def raw(**rows: object) -> dict[str, msgspec.Raw]:
    return {name.replace("_", "."): msgspec.Raw(json.dumps(one).encode()) for name, one in rows.items()}


def test_a_balance_that_cannot_be_mapped_makes_the_list_incomplete() -> None:
    known = directory()
    good = {"balance": "2.5", "hold_trade": "0.5"}
    found, problems = balance_rows(raw(XXBT=good, DOT_S={"balance": "7"}), known, 1)
    assert [(one.asset, one.free, one.held) for one in found] == [("BTC", Decimal(2), Decimal("0.5"))]
    assert problems == []
    for bad in (
        {"ZZZZ": good},
        {"XXBT": {"balance": "1", "hold_trade": "2"}},
        {"XXBT": {"balance": "-1", "hold_trade": "0"}},
        {"XXBT": {"hold_trade": "0"}},
        {"XXBT": good, "BTC": good},
    ):
        _, problems = balance_rows(raw(**bad), known, 1)
        assert len(problems) == 1, bad


@pytest.mark.parametrize("suffix", [".S", ".M", ".F", ".B", ".P", ".T", ".HOLD"])
def test_variants_of_an_asset_are_not_money_that_can_be_traded(suffix: str) -> None:
    assert not tradable("DOT" + suffix)
    assert tradable("DOT")


# ---- names, states, rows -----------------------------------------------------------------------------------


def test_legacy_codes_are_mapped_there_and_back() -> None:
    known = directory()
    assert {known.asset_of(one) for one in ("XXBT", "XBT", "BTC")} == {"BTC"}
    assert {known.asset_of(one) for one in ("XXDG", "XDG", "DOGE")} == {"DOGE"}
    assert {known.symbol_of(one) for one in ("XXBTZUSD", "XBTUSD", "XBT/USD", "BTC/USD", "BTCUSD")} == {
        "BTC/USD"
    }
    assert known.rest_names["BTC/USD"] == "XBTUSD"


def test_a_state_that_nobody_knows_is_no_new_risk_and_keeps_its_word() -> None:
    known = directory(status="solar_eclipse")
    assert known.states == {"BTC/USD": VenueState.UNKNOWN}
    assert known.unknown_states() == {"BTC/USD": "solar_eclipse"}


def test_an_unreadable_pair_is_quarantined_with_its_reason() -> None:
    known = directory(pair_decimals="many")
    assert known.instruments == {}
    assert len(known.quarantined) == 1
    assert "pair XXBTZUSD" in known.quarantined[0]


@pytest.mark.parametrize(
    "change",
    [
        {"status": "frozen"},
        {"vol": "0.000000001"},
        {"descr": {"pair": "XBTUSD", "type": "buy", "ordertype": "teleport", "price": "1", "price2": "0"}},
        {"descr": {"pair": "NOSUCH", "type": "buy", "ordertype": "limit", "price": "1", "price2": "0"}},
        {"vol_exec": None},
    ],
)
def test_a_rest_order_that_cannot_be_told_is_unmapped(change: dict[str, Any]) -> None:
    good = {
        "status": "open", "opentm": 1_700_000_000.5, "vol": "0.003", "vol_exec": "0.001", "cl_ord_id": "tw1",
        "descr": {"pair": "XBTUSD", "type": "buy", "ordertype": "limit", "price": "60000.0", "price2": "0"},
    }  # fmt: skip
    state = order_state("O1", msgspec.Raw(json.dumps(good).encode()), directory())
    assert (state.phase, state.filled_lots) == (OrderPhase.PARTIALLY_FILLED, 100_000)
    with pytest.raises(Unmapped):
        order_state("O1", msgspec.Raw(json.dumps(good | change).encode()), directory())


def test_an_execution_that_is_neither_maker_nor_taker_is_unmapped() -> None:
    row_ = {
        "ordertxid": "O1", "pair": "XBTUSD", "time": 1.5, "type": "buy", "price": "60000.0", "vol": "0.001",
        "fee": "0.1",
    }  # fmt: skip
    with pytest.raises(Unmapped):
        trade_fact("T1", msgspec.Raw(json.dumps(row_).encode()), directory())


@given(st.text(max_size=40))
def test_client_ids_are_what_the_venue_takes(client_id: str) -> None:
    plain = client_id.isascii() and client_id.replace("-", "0").isalnum() and len(client_id) <= 18
    if plain:
        assert valid_client_id(client_id)
    elif len(client_id) < 32:
        assert not valid_client_id(client_id)


# ---- order of messages -------------------------------------------------------------------------------------


@given(st.integers(0, 60), st.integers(0, 1_000), st.randoms(use_true_random=False), st.integers(1, 20))
def test_any_repetition_and_displacement_reads_every_message_once_in_order(
    count: int, start: int, rolls: random.Random, window: int
) -> None:
    wire = sorted(
        [number for number in range(count) for _ in range(rolls.choice((1, 1, 2, 3)))],
        key=lambda number: number + rolls.random() * window,
    )
    order = ChannelOrder()
    read = order.accept(start, True, "snapshot")
    for number in wire:
        read += order.accept(start + 1 + number, False, number)
    assert read == ["snapshot", *range(count)]
    assert not order.gap
    assert order.repeated == len(wire) - count


def test_what_waits_for_a_missing_message_is_bounded_and_never_read() -> None:
    order = ChannelOrder()
    order.accept(1, True, "snapshot")
    for number in range(MAX_HELD_MESSAGES):
        assert order.accept(3 + number, False, number) == []
    assert order.gap
    with pytest.raises(OverflowError):
        order.accept(3 + MAX_HELD_MESSAGES, False, "one more")
    assert order.accept(1, True, "snapshot") == ["snapshot"]
    assert not order.gap
