"""Ledger (T9.1, T9.2), client ids (T7.3), order states (T7.1) and records."""

from __future__ import annotations

import random
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind.trader.ids import client_order_id
from tradewind.trader.ledger import Ledger, LedgerError, Overfill, buy_reservation
from tradewind.trader.orders import TERMINAL, TRANSITIONS, State
from tradewind.trader.records import CancelRequest, Kind, UnreadableRecord, decode, encode
from tradewind.trader.strategy import break_even_win_rate
from tradewind.venues.market_data import Side
from tradewind.venues.protocol import FillEvent

D = Decimal
TICK, LOT = D("0.01"), D("0.0001")


def fill(side: Side, price: int, lots: int, trade_id: str, *, fee: str = "0", **changes: object) -> FillEvent:
    fields: dict[str, object] = {
        "venue": "v",
        "account": "a",
        "symbol": "BTC/USDT",
        "trade_id": trade_id,
        "client_id": "c",
        "venue_id": "1",
        "side": side,
        "price_ticks": price,
        "lots": lots,
        "remaining_lots": 1,
        "fee": D(fee),
        "fee_asset": "USDT",
        "maker": True,
        "sequence": 1,
        "venue_ts_ns": 1,
    }
    return FillEvent(**{**fields, **changes})  # type: ignore[arg-type]


def book(ledger: Ledger, event: FillEvent) -> bool:
    return ledger.fill(event, base="BTC", quote="USDT", tick=TICK, lot=LOT)


def funded(amount: int = 100_000) -> Ledger:
    ledger = Ledger()
    ledger.deposit("USDT", D(amount))
    return ledger


def test_two_buys_average_and_a_sale_realises_the_oldest_lot_first() -> None:
    ledger = funded()
    book(ledger, fill(Side.BUY, 5_000_000, 100, "1", fee="0.5"))
    book(ledger, fill(Side.BUY, 6_000_000, 300, "2", fee="1.8"))
    position = ledger.positions["BTC/USDT"]
    assert position.quantity == D("0.04")
    assert position.cost / position.quantity == D(57_500)
    book(ledger, fill(Side.SELL, 7_000_000, 200, "3", fee="1.4"))
    assert position.realised == D("0.01") * 20_000 + D("0.01") * 10_000
    assert [(lot.quantity, lot.price) for lot in position.lots] == [(D("0.02"), D(60_000))]
    assert position.unrealised(D(61_000)) == D(20)
    assert position.fees == {"USDT": D("3.7")}
    assert ledger.total("USDT") == 100_000 - 500 - 1_800 + 1_400 - D("3.7")
    assert ledger.total("BTC") == D("0.02")


def test_a_duplicate_fill_changes_nothing() -> None:
    ledger = funded()
    event = fill(Side.BUY, 5_000_000, 100, "1", fee="0.5")
    assert book(ledger, event)
    before = dict(ledger.lines)
    assert not book(ledger, event)
    assert (ledger.lines, ledger.duplicate_fills) == (before, 1)


def test_selling_more_than_is_held_is_an_overfill_and_changes_nothing() -> None:
    ledger = funded()
    book(ledger, fill(Side.BUY, 5_000_000, 100, "1"))
    before = dict(ledger.lines)
    with pytest.raises(Overfill):
        book(ledger, fill(Side.SELL, 5_000_000, 101, "2"))
    assert ledger.lines == before


def test_unbalanced_negative_and_float_postings_are_refused() -> None:
    ledger = funded(10)
    before = dict(ledger.lines)
    for entries in (
        [("USDT", "available", D(1))],
        [("USDT", "available", D(-11)), ("USDT", "external", D(11))],
        [("USDT", "available", 0.5), ("USDT", "external", D("-0.5"))],
    ):
        with pytest.raises(LedgerError):
            ledger.post(entries)  # type: ignore[arg-type]
    assert ledger.lines == before


def test_a_reservation_follows_its_order_and_is_released_whole() -> None:
    ledger = funded(1_000)
    ledger.reserve("c", "USDT", buy_reservation(D("0.01"), D(50_000), D("0.001")))
    assert (ledger.available("USDT"), ledger.balance("USDT", "reserved")) == (D("499.5"), D("500.5"))
    book(ledger, fill(Side.BUY, 4_900_000, 40, "1", fee="0.196"))
    assert ledger.balance("USDT", "reserved") == D("500.5") - D(196) - D("0.196")
    ledger.release("c")
    assert ledger.balance("USDT", "reserved") == 0
    assert ledger.total("USDT") == 1_000 - 196 - D("0.196")
    with pytest.raises(LedgerError):
        ledger.reserve("d", "USDT", D(1_000))


def test_a_buy_reservation_rounds_up_to_the_micro_unit() -> None:
    assert buy_reservation(D("0.0001"), D("0.01"), D("0.001")) == D("0.000002")
    assert buy_reservation(D(1), D(100), D("0.001")) == D("100.1")


@settings(deadline=None)
@given(st.integers(0, 2**32))
def test_on_random_fills_equity_is_funds_plus_profit_less_fees_exactly(seed: int) -> None:
    generator = random.Random(seed)
    ledger, held, fees = funded(10**7), 0, D(0)
    for number in range(40):
        price = generator.randrange(4_000_000, 6_000_000)
        side = generator.choice([Side.BUY, Side.SELL]) if held else Side.BUY
        lots = generator.randrange(1, held + 1) if side is Side.SELL else generator.randrange(1, 500)
        fee = D(generator.randrange(1, 10**6)) / 10**6
        book(ledger, fill(side, price, lots, str(number), fee=str(fee)))
        held += lots if side is Side.BUY else -lots
        fees += fee
    position, mark = ledger.positions["BTC/USDT"], D(50_000)
    equity = ledger.total("USDT") + ledger.total("BTC") * mark
    assert position.quantity == ledger.total("BTC") == held * LOT
    assert equity == 10**7 + position.realised + position.unrealised(mark) - fees
    for asset in ledger.assets():
        assert sum(amount for (name, _), amount in ledger.lines.items() if name == asset) == 0


# ---- ids, states, records ----------------------------------------------------------------------------


def test_client_ids_are_fixed_by_identity_and_fit_the_venues() -> None:
    one = client_order_id(environment="paper", account="a", strategy="s", intent_seq=1)
    assert one == client_order_id(environment="paper", account="a", strategy="s", intent_seq=1)
    assert (len(one), one[:2], one[2:].isalnum(), one.islower()) == (18, "tw", True, True)
    others = {
        client_order_id(environment=e, account=a, strategy=s, intent_seq=n, leg=leg, attempt=t)
        for e, a, s, n, leg, t in [
            ("live", "a", "s", 1, 0, 0),
            ("paper", "b", "s", 1, 0, 0),
            ("paper", "a", "t", 1, 0, 0),
            ("paper", "a", "s", 2, 0, 0),
            ("paper", "a", "s", 1, 1, 0),
            ("paper", "a", "s", 1, 0, 1),
        ]
    }
    assert len(others) == 6
    assert one not in others
    with pytest.raises(ValueError, match="identity"):
        client_order_id(environment="a|b", account="a", strategy="s", intent_seq=1)
    with pytest.raises(ValueError, match="u64"):
        client_order_id(environment="a", account="a", strategy="s", intent_seq=1 << 64)


def test_ten_thousand_client_ids_do_not_collide() -> None:
    ids = {
        client_order_id(environment="sim", account="a", strategy="s", intent_seq=seq) for seq in range(10_000)
    }
    assert len(ids) == 10_000


def test_terminal_states_lead_nowhere_but_late_fills() -> None:
    assert set(TRANSITIONS) == set(State)
    for state in TERMINAL:
        assert TRANSITIONS[state] <= {State.FILLED}
    for state in set(State) - TERMINAL:
        assert TRANSITIONS[state]
    assert State.WORKING not in TRANSITIONS[State.PARTIALLY_FILLED]


def test_records_survive_the_journal_and_damage_is_refused() -> None:
    record = CancelRequest(client_id="tw1", reason="why", decision_ns=5)
    stream, kind, payload = encode(record)
    assert (stream, kind) == (1, Kind.CANCEL_REQUEST)
    assert decode(payload) == record
    for damaged in (payload[:-1], b"{}", payload.replace(b"CancelRequest", b"CancelRequesu"), b"\xff"):
        with pytest.raises(UnreadableRecord):
            decode(damaged)
    assert msgspec.json.decode(payload)["type"] == "CancelRequest"


def test_a_parameter_set_that_cannot_break_even_is_refused() -> None:
    assert break_even_win_rate(win=D(10), loss=D(5), cost=D(1)) == D("0.4")
    with pytest.raises(ValueError, match="break-even"):
        break_even_win_rate(win=D(1), loss=D(5), cost=D(1))
