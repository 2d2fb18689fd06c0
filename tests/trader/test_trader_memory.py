"""What a trader keeps in memory is bounded by time and number (T7.13); reconciliation does not need more."""

from __future__ import annotations

from decimal import Decimal

from trader_world import TraderWorld

from tradewind.trader import oms as module
from tradewind.trader.ledger import Ledger
from tradewind.trader.oms import Identity, Oms, OrderRequest
from tradewind.trader.orders import State
from tradewind.trader.records import OrderNote
from tradewind.venues.market_data import Instrument, Side

SECOND_NS = 10**9
IDENTITY = Identity(
    environment="sim", account="trader", venue="paper", epoch=1, limits_hash="l", config_hash="c"
)
BTC = Instrument(
    venue="v", symbol="BTC/USDT", venue_symbol="BTCUSDT", base="BTC", quote="USDT", tick=Decimal("0.01"),
    lot=Decimal("0.0001"), price_decimals=2, quantity_decimals=4, source="facts",
)  # fmt: skip


def oms_after(orders: int, every_ns: int) -> Oms:
    """Orders that were placed and rejected one after the other."""
    ledger = Ledger()
    ledger.deposit("USDT", Decimal(10_000))
    oms = Oms(IDENTITY, {"BTC/USDT": BTC}, ledger)
    for number in range(orders):
        now_ns = (number + 1) * every_ns
        request = OrderRequest(
            strategy="s", path="strategy", symbol="BTC/USDT", side=Side.BUY, price_ticks=100_000, lots=1,
            decision_ns=now_ns,
        )  # fmt: skip
        order, _ = oms.create(request, Decimal("0.001"))
        oms.apply_note(
            OrderNote(client_id=order.client_id, state=str(State.ABANDONED), reason="", at_ns=now_ns)
        )
    return oms


def test_ended_orders_leave_memory_after_five_minutes_but_for_the_newest() -> None:
    oms = oms_after(5_000, SECOND_NS)
    assert len(oms.finished) == module.MAX_KEPT_FINISHED
    assert len(oms._by_id) == module.MAX_KEPT_FINISHED
    busy = oms_after(5_000, SECOND_NS // 10)
    kept = [one.updated_ns for one in busy.finished]
    assert len(kept) == 3_001 and kept[-1] - kept[0] == 300 * SECOND_NS, "all of the last 300 s are there"
    assert all(busy.get(one.client_id) is one for one in busy.finished)


def test_however_many_orders_end_at_once_the_number_is_bounded() -> None:
    oms = oms_after(module.MAX_TERMINAL_ORDERS + 50, 1)
    assert len(oms.finished) == len(oms._by_id) == module.MAX_TERMINAL_ORDERS


async def test_executions_that_are_not_kept_any_more_are_still_reconciled() -> None:
    world = await TraderWorld.open()
    await world.hold(40)
    world.venue.account.fills.clear()
    world.venue.account.dropped_fills = True
    assert await world.trader.reconcile() == []
    world.venue.account.totals["BTC/USDT"].count += 1
    assert [one.what for one in await world.trader.reconcile()] == ["fills BTC/USDT"]
