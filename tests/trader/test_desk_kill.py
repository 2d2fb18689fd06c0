"""The kill switch of a desk at an outside venue: the same levels as in paper, read back from the venue."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from desk_bench import desk_at, venue_at

from tradewind.readiness.probes.desk_venues import OUTSIDE
from tradewind.readiness.probes.desk_world import LOTS, PRICE_TICKS, DeskWorld, LocalVenue, wish
from tradewind.trader.guarded_desk import GuardedDesk
from tradewind.trader.kill import Outcome
from tradewind.trader.killing.desk import DeskKill
from tradewind.trader.killing.work import FlattenRules, Holding, order_of_work, slice_lots
from tradewind.trader.venue_desk import NotTrading
from tradewind.venues.market_data import Side

RULES = FlattenRules(
    collar_bps=Decimal(200), participation_pct=Decimal(20), interval_ms=1, max_order_quote=Decimal(5_000)
)


class Shown:
    """A market as the test says it is."""

    def __init__(self, mid: Decimal, shown: int = 1_000_000) -> None:
        self.live, self.mid, self.shown = True, mid, shown

    def shown_through(self, side: Side, limit_ticks: int) -> int:
        return self.shown


def switch(world: DeskWorld, book: Shown | None = None, **options: Any) -> DeskKill:
    desk = world.desk
    assert isinstance(desk, GuardedDesk)
    [instrument] = [one for one in desk.oms.instruments.values() if one.symbol == wish().symbol]
    shown = book or Shown(instrument.tick * PRICE_TICKS)

    def holdings() -> list[Holding]:
        quantity = desk.ledger.total(instrument.base) - world.start
        return [
            Holding(symbol=instrument.symbol, quantity=quantity, notional_quote=abs(quantity) * shown.mid)
        ]

    world.start = desk.ledger.total(instrument.base)
    return DeskKill(desk, RULES, lambda _: shown, holdings, **options)


async def test_a_halt_cancels_reads_back_and_denies_until_it_is_left(tmp_path: Path) -> None:
    async with venue_at(tmp_path) as local, desk_at(local, tmp_path, kind=GuardedDesk) as world:
        kill = switch(world, cooldown_s=0)
        for number in range(5):
            await world.desk.place(wish(PRICE_TICKS - number))
        result = await kill.halt("anna", "drill")
        assert (result.outcome, result.orders_before, result.orders_after) == (Outcome.VERIFIED, 5, 0)
        assert local.working() == []
        with pytest.raises(NotTrading, match="HALTED"):
            await world.desk.place(wish())
        assert (await kill.halt("ben", "again")).outcome is Outcome.NO_EFFECT
        assert (await kill.resume("anna", "")).outcome is Outcome.REJECTED
        assert (await kill.resume("anna", "looked at it")).outcome is Outcome.VERIFIED
        assert not (await world.desk.place(wish())).is_terminal


async def test_the_cool_down_is_waited_for(tmp_path: Path) -> None:
    async with venue_at(tmp_path) as local, desk_at(local, tmp_path, kind=GuardedDesk) as world:
        kill = switch(world, cooldown_s=300)
        await kill.halt("anna", "drill")
        result = await kill.resume("anna", "too early")
        assert result.outcome is Outcome.REJECTED and "cannot be reset" in result.detail
        assert (await kill.pause("anna", "a pause weakens nothing")).state == "HALTED"


async def test_a_halt_outlives_the_process(tmp_path: Path) -> None:
    async with venue_at(tmp_path) as local:
        async with desk_at(local, tmp_path, kind=GuardedDesk) as world:
            await switch(world).halt("anna", "drill")
        async with desk_at(local, tmp_path, kind=GuardedDesk) as world:
            again = switch(world)
            again.recover(world.desk.port.history())  # type: ignore[attr-defined]
            with pytest.raises(NotTrading, match="HALTED"):
                await world.desk.place(wish())


async def hold(local: LocalVenue, world: DeskWorld) -> None:
    """Buy what somebody else sells."""
    await world.desk.place(wish())
    await local.take(LOTS)
    order = world.desk.oms.finished[-1] if world.desk.oms.finished else None
    from desk_bench import until

    await until(lambda: not world.desk.oms.orders, "the position is there")
    assert order is None or order.is_terminal


async def test_flatten_sells_in_slices_and_only_nothing_left_is_success(tmp_path: Path) -> None:
    async with venue_at(tmp_path) as local, desk_at(local, tmp_path, kind=GuardedDesk) as world:
        book = Shown(Decimal(60_000), shown=LOTS * 2)
        kill = switch(world, book)
        await hold(local, world)
        await local.rest(OUTSIDE, Side.BUY, PRICE_TICKS, LOTS * 3)
        result = await kill.flatten("anna", "drill")
        assert result.outcome is Outcome.VERIFIED, result
        assert list(result.position_after.values()) == [Decimal(0)]
        sells = [one for one in local.orders() if one.filled_lots and one.client_id != ""]
        assert len(sells) > 2, "a fifth of what is shown at a time"


async def test_flatten_stops_and_says_so_when_the_book_is_not_live(tmp_path: Path) -> None:
    async with venue_at(tmp_path) as local, desk_at(local, tmp_path, kind=GuardedDesk) as world:
        book = Shown(Decimal(60_000))
        kill = switch(world, book)
        await hold(local, world)
        book.live = False
        result = await kill.flatten("anna", "drill")
        assert result.outcome is Outcome.PENDING and result.left and "not live" in result.detail


def test_the_order_of_work_is_leverage_then_loss_then_size() -> None:
    def one(symbol: str, **fields: Any) -> Holding:
        return Holding(symbol=symbol, **{"quantity": Decimal(1), "notional_quote": Decimal(10), **fields})

    small, large = one("small"), one("large", notional_quote=Decimal(99))
    losing = one("losing", loss_quote=Decimal(3))
    near, far = (
        one("near", liquidation_distance_bps=Decimal(50)),
        one("far", liquidation_distance_bps=Decimal(500)),
    )
    assert [x.symbol for x in order_of_work([small, large, far, losing, near])] == [
        "near", "far", "losing", "large", "small",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("held", "shown", "smallest", "largest", "expected"),
    [
        (100, 1_000, 5, 1_000, 100),
        (100, 100, 5, 1_000, 20),
        (100, 10, 5, 1_000, 5),
        (100, 10_000, 5, 30, 30),
        (22, 100, 5, 30, 22),
        (33, 10_000, 5, 30, 25),
        (3, 10_000, 5, 1_000, 3),
    ],
)
def test_a_slice_leaves_no_rest_that_the_venue_would_not_take(
    held: int, shown: int, smallest: int, largest: int, expected: int
) -> None:
    assert slice_lots(held, shown, smallest, largest, Decimal(20)) == expected
