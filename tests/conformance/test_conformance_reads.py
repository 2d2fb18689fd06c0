"""What a venue says about itself and the account: instruments, status, fees, funds."""

from __future__ import annotations

from tradewind.venues.market_data import Known, Unknown
from tradewind.venues.protocol import Incomplete, OrderType, VenueState

from .bench import Bench


async def test_capabilities_name_the_venue_and_allow_what_the_platform_needs(bench: Bench) -> None:
    caps = bench.venue.capabilities()
    assert caps.name
    assert OrderType.LIMIT in caps.order_types
    assert caps.times_in_force
    assert caps.client_ids
    assert caps.max_batch_orders >= 1
    if caps.cancel_after_range_s is not None:
        low, high = caps.cancel_after_range_s
        assert 0 < low < high


async def test_instruments_are_a_bijection_of_positive_exact_rules(bench: Bench) -> None:
    instruments = await bench.run(bench.venue.instruments())
    assert not isinstance(instruments, Incomplete)
    assert bench.symbol in {one.symbol for one in instruments}
    assert len({one.symbol for one in instruments}) == len(instruments)
    assert len({one.venue_symbol for one in instruments}) == len(instruments)
    for one in instruments:
        assert one.tick > 0
        assert one.lot > 0
        assert one.symbol.removesuffix("-PERP") == f"{one.base}/{one.quote}"
        assert one.min_quantity is None or one.min_quantity % one.lot == 0


async def test_an_open_venue_is_online_and_dated(bench: Bench) -> None:
    status = await bench.run(bench.venue.status())
    assert status.state is VenueState.ONLINE, status
    assert status.symbols[bench.symbol] is VenueState.ONLINE
    assert abs(status.as_of_ns - bench.now_ns()) < 60_000_000_000


async def test_fees_are_known_for_a_symbol_and_unknown_for_others(bench: Bench) -> None:
    fees = await bench.run(bench.venue.fees(bench.account, bench.symbol))
    assert isinstance(fees, Known), fees
    assert 0 < fees.value.maker_bps <= fees.value.taker_bps < 100
    assert isinstance(await bench.run(bench.venue.fees(bench.account, "NO/SUCH")), Unknown)


async def test_balances_equal_the_venues_own_to_the_last_unit(bench: Bench) -> None:
    await bench.hold(bench.usual_lots)
    balances = await bench.run(bench.venue.balances())
    assert not isinstance(balances, Incomplete), balances
    truth = {asset: total for asset, total in (await bench.true_totals()).items() if total}
    assert {one.asset: one.total for one in balances if one.total} == truth
    assert all(one.free >= 0 and one.held >= 0 for one in balances)


async def test_a_resting_order_holds_funds_and_its_cancel_gives_them_back(bench: Bench) -> None:
    async def free() -> object:
        balances = await bench.run(bench.venue.balances())
        assert not isinstance(balances, Incomplete), balances
        return {one.asset: (one.free, one.held) for one in balances}[bench.instrument.quote]

    before = await free()
    order = await bench.place(0, bench.middle_ticks)  # type: ignore[arg-type]
    cost = bench.instrument.tick * bench.middle_ticks * bench.instrument.lot * bench.usual_lots
    during = await free()
    assert during[1] - before[1] >= cost  # type: ignore[index]
    assert sum(during) == sum(before)  # type: ignore[call-overload]
    await bench.run(bench.venue.cancel(bench.reference(order.client_id), 1))
    assert await free() == before
