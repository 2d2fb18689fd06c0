"""Fee schedules, latency, queue arithmetic and set-up of the paper venue."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paper_world import SYMBOL, World, instrument

from tradewind.venues.paper.accounts import client_id_of, client_key_of
from tradewind.venues.paper.latency import LatencyConfig, LatencyModel
from tradewind.venues.paper.queue_model import segment_cuts
from tradewind.venues.paper.schedule import ScheduleError, load_schedule, schedule_names
from tradewind.venues.paper.setup import SetupRefused, paper_instrument

SCHEDULE = """
name = "x"
venue = "x"
maker_bps = "{maker}"
taker_bps = "10"
source = "{source}"
checked_on = "{checked}"
venue_states_zero_fee = {zero}
"""


def test_every_shipped_schedule_is_dated_sourced_and_not_free() -> None:
    assert {"binance-spot-vip0", "kraken-spot-tier0"} <= set(schedule_names())
    for name in schedule_names():
        schedule = load_schedule(name)
        assert schedule.maker_bps > 0
        assert schedule.taker_bps > 0
        assert schedule.source
        assert schedule.checked_on


@pytest.mark.parametrize(
    ("maker", "source", "zero", "message"),
    [
        ("0", "s", "false", "does not say so"),
        ("-1", "s", "false", "outside"),
        ("101", "s", "false", "outside"),
        ("NaN", "s", "false", "outside"),
        ("abc", "s", "false", "not a number"),
        ("0.0000001", "s", "false", "finer"),
        ("1", " ", "false", "source"),
        ("1", "s", "1", "bool"),
    ],
)
def test_a_doubtful_schedule_is_refused(
    tmp_path: Path, maker: str, source: str, zero: str, message: str
) -> None:
    path = tmp_path / "s.toml"
    path.write_text(SCHEDULE.format(maker=maker, source=source, zero=zero, checked="2024-01-31"))
    with pytest.raises(ScheduleError, match=message):
        load_schedule(path)


def test_a_zero_fee_passes_only_when_the_venue_states_it(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text(SCHEDULE.format(maker="0", source="s", zero="true", checked="never"))
    assert load_schedule(path).maker_bps == 0
    path.write_text(SCHEDULE.format(maker="1", source="s", zero="true", checked="last week"))
    with pytest.raises(ScheduleError, match="isoformat"):
        load_schedule(path)
    with pytest.raises(ScheduleError, match="no fee schedule"):
        load_schedule("nowhere")


def test_latency_has_the_stated_median_and_99th_percentile_and_repeats_by_seed() -> None:
    draws = [LatencyModel(LatencyConfig(seed=5)) for _ in range(2)]
    first, second = ([model.draw_ns("entry") for _ in range(20_000)] for model in draws)
    assert first == second
    ordered = sorted(first)
    assert 38e6 < ordered[10_000] < 42e6
    assert 220e6 < ordered[19_800] < 280e6
    assert LatencyModel(LatencyConfig.off()).draw_ns("report") == 0
    with pytest.raises(ValueError, match="median"):
        LatencyModel(LatencyConfig(entry_median_ms=300.0))


@settings(deadline=None)
@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=6), st.integers(0, 10**10))
def test_cuts_sum_to_the_excess_and_never_exceed_a_segment(sizes: list[int], excess: int) -> None:
    for model in ("prorata", "pessimistic"):
        cuts = segment_cuts(sizes, excess, model)  # type: ignore[arg-type]
        assert sum(cuts) == min(excess, sum(sizes))
        assert all(0 <= cut <= size for cut, size in zip(cuts, sizes, strict=True))


def test_prorata_cuts_by_size_and_pessimistic_from_behind() -> None:
    assert segment_cuts([30, 10], 20, "prorata") == [15, 5]
    assert segment_cuts([30, 10], 20, "pessimistic") == [10, 10]
    assert segment_cuts([1, 1, 1], 1, "prorata") == [0, 0, 1]


def test_a_lot_finer_than_the_engine_can_value_becomes_coarser_and_stays_a_multiple() -> None:
    coarse, ratio = paper_instrument(instrument(lot="0.00001"))
    assert (coarse.lot, ratio) == (Decimal("0.00010"), 10)
    assert coarse.min_quantity == Decimal("0.0001")
    same, ratio = paper_instrument(instrument(lot="0.0001"))
    assert (same.lot, ratio) == (Decimal("0.0001"), 1)
    tiny, ratio = paper_instrument(instrument(lot="0.00000001"))
    assert (tiny.lot, ratio) == (Decimal("0.0001"), 10_000)


@settings(deadline=None)
@given(st.binary(min_size=16, max_size=16))
def test_client_ids_and_keys_map_one_to_one(key: bytes) -> None:
    assert client_key_of(client_id_of(key)) == key


@pytest.mark.parametrize("text", ["", "tw", "tw0123456789abcde", "TW0123456789abcdef", "zz" * 16])
def test_a_malformed_client_id_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"client id|non-hexadecimal"):
        client_key_of(text)


async def test_set_up_is_idempotent_and_credits_the_starting_funds_once() -> None:
    world = await World.create()
    from tradewind.venues.paper.schedule import load_schedule
    from tradewind.venues.paper.setup import set_up

    again = await set_up(
        world.port,
        world.setup.keys,
        load_schedule("binance-spot-vip0"),
        [instrument()],
        {"USDT": Decimal(10_000)},
    )
    assert again == world.setup
    balances = {balance.asset: balance.total for balance in await world.venue.balances()}
    assert balances == {"BTC": 0, "USDT": Decimal(10_000)}


@pytest.mark.parametrize("cash", [{"BTC": Decimal(1)}, {"USDT": Decimal("0.0000001")}, {"USDT": Decimal(0)}])
async def test_funds_without_a_cost_or_below_a_micro_unit_are_refused(cash: dict[str, Decimal]) -> None:
    with pytest.raises(SetupRefused):
        await World.create(cash=cash)


async def test_fees_are_unknown_when_the_market_charges_something_else_than_the_schedule() -> None:
    import msgspec

    from tradewind.venues.market_data import Known, Unknown
    from tradewind.venues.paper.venue import PaperVenue

    world = await World.create()
    assert isinstance(await world.venue.fees("trader", SYMBOL), Known)
    other = msgspec.structs.replace(world.setup, fees=load_schedule("kraken-spot-tier0"))
    market = PaperVenue(world.port, other)
    market.markets[SYMBOL].charged_e6bp = world.venue.markets[SYMBOL].charged_e6bp
    assert isinstance(await market.fees("trader", SYMBOL), Unknown)
