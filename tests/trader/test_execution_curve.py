"""The volume curve of VWAP: medians by hour of week, never an invented shape; and the plan made of it."""

from __future__ import annotations

import csv
import gzip
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from execution_world import SECOND, START_NS, SYMBOL, ExecutionWorld

from tradewind.trader.execution import curve as curves
from tradewind.trader.execution import schedule
from tradewind.trader.execution.errors import ExecutionRefused, NoVolumeCurve
from tradewind.trader.execution.model import Algorithm, ParentState

MONDAY_NS = 1_704_067_200 * SECOND  # Monday 2024-01-01 00:00 UTC
HOUR_NS = 3_600 * SECOND
WEEK = 168


def hours(weeks: int, volume: object) -> dict[tuple[str, int], Decimal]:
    """Volume by (week, bucket); `volume(week, bucket)`."""
    found = {}
    for week in range(weeks):
        for bucket in range(WEEK):
            key = curves.hour_of_week(MONDAY_NS + (week * WEEK + bucket) * HOUR_NS)
            assert key[1] == bucket
            found[key] = Decimal(volume(week, bucket))  # type: ignore[operator]
    return found


def test_three_weeks_are_refused_four_are_taken_with_a_warning_eight_without() -> None:
    flat = lambda week, bucket: 10  # noqa: E731
    with pytest.raises(NoVolumeCurve, match="3 whole weeks"):
        curves.build(SYMBOL, hours(3, flat), {})
    assert curves.build(SYMBOL, hours(4, flat), {}).warning
    assert not curves.build(SYMBOL, hours(8, flat), {}).warning


def test_shares_sum_to_one_and_are_medians_that_one_wild_week_does_not_move() -> None:
    shape = lambda week, bucket: 1 + bucket % 24  # noqa: E731
    calm = curves.build(SYMBOL, hours(9, shape), {})
    wild = curves.build(
        SYMBOL,
        hours(9, lambda week, bucket: 100_000 if (week, bucket) == (4, 7) else shape(week, bucket)),
        {},
    )
    assert sum(calm.shares) == sum(wild.shares) == 1
    assert max(abs(a - b) for a, b in zip(calm.shares, wild.shares, strict=True)) < Decimal("0.0001")
    assert calm.shares[12] > calm.shares[2]


def test_each_bucket_is_smoothed_with_its_neighbours_and_the_week_is_a_ring() -> None:
    spike = curves.build(SYMBOL, hours(8, lambda week, bucket: 100 if bucket == 0 else 0), {})
    assert (spike.shares[0], spike.shares[1], spike.shares[167]) == (
        Decimal("0.5"),
        Decimal("0.25"),
        Decimal("0.25"),
    )


def test_a_week_with_holes_does_not_count() -> None:
    data = hours(4, lambda week, bucket: 10)
    for key in [key for key in data if key[0] == "2024-01-08"][:9]:
        del data[key]
    with pytest.raises(NoVolumeCurve):
        curves.build(SYMBOL, data, {})


@pytest.mark.parametrize(
    "damage",
    [
        {"shares": (Decimal(1),)},
        {"shares": (Decimal("0.5"),) * WEEK},
        {"weeks": 3},
        {"week_volume": Decimal(0)},
        {"week_volume": Decimal("NaN")},
        {"events": {"someday": (Decimal(1),) * 24}},
        {"events": {"2024-02-30": (Decimal(1),) * 24}},
        {"events": {"2024-02-20": (Decimal(-1),) * 24}},
    ],
)
def test_a_damaged_curve_is_refused(damage: dict[str, object], tmp_path: Path) -> None:
    good = curves.build(SYMBOL, hours(8, lambda week, bucket: 10), {})
    path = tmp_path / "curve.json"
    curves.save(path, good)
    assert curves.load(path) == good
    assert curves.load(path).hash == good.hash
    path.write_bytes(msgspec.json.encode(msgspec.structs.replace(good, **damage)))
    with pytest.raises(NoVolumeCurve):
        curves.load(path)


def test_a_missing_or_unreadable_file_is_no_curve(tmp_path: Path) -> None:
    with pytest.raises(NoVolumeCurve):
        curves.load(tmp_path / "none.json")
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(NoVolumeCurve):
        curves.load(tmp_path / "bad.json")


def candles(path: Path, weeks: int, name: str = "volume") -> None:
    with gzip.open(path, "wt", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["open_time_ns", "open", "high", "low", "close", name])
        for hour in range(weeks * WEEK):
            writer.writerow([MONDAY_NS + hour * HOUR_NS, 1, 1, 1, 1, 1 + hour % 24])


def test_candles_as_the_fetcher_writes_them_make_a_curve_and_bad_rows_name_their_line(tmp_path: Path) -> None:
    candles(tmp_path / "a.csv.gz", 5)
    built = curves.build(SYMBOL, curves.read_hours([tmp_path / "a.csv.gz"]), {})
    assert (built.weeks, built.first_week, built.last_week) == (5, "2024-01-01", "2024-01-29")
    (tmp_path / "b.csv").write_text("time_ns,price,quantity\n1,2,x\n")
    with pytest.raises(NoVolumeCurve, match="line 2"):
        curves.read_hours([tmp_path / "b.csv"])
    (tmp_path / "c.csv").write_text("when,what\n1,2\n")
    with pytest.raises(NoVolumeCurve, match="columns"):
        curves.read_hours([tmp_path / "c.csv"])


def test_an_hour_without_trades_is_zero_and_an_hour_without_candles_is_missing(tmp_path: Path) -> None:
    trades = tmp_path / "t.csv"
    rows = [f"{MONDAY_NS + hour * HOUR_NS},1,2" for hour in (0, 5)]
    trades.write_text("\n".join(["time_ns,price,quantity", *rows]) + "\n")
    found = curves.read_hours([trades])
    assert [found[("2024-01-01", hour)] for hour in range(6)] == [2, 0, 0, 0, 0, 2]
    single = tmp_path / "c.csv"
    single.write_text(
        "\n".join(["open_time_ns,volume", f"{MONDAY_NS},1", f"{MONDAY_NS + 2 * HOUR_NS},1"]) + "\n"
    )
    assert ("2024-01-01", 1) not in curves.read_hours([single])


# ---- the plan ------------------------------------------------------------------------------------------


def shaped() -> curves.VolumeCurve:
    """Hour h of each day has h + 1 parts."""
    return curves.build(SYMBOL, hours(8, lambda week, bucket: 100 * (1 + bucket % 24)), {})


def test_points_cross_midnight_and_the_end_of_the_week_in_utc_without_daylight_saving() -> None:
    built = shaped()
    lot = Decimal("0.0001")
    # Sunday 2024-03-31 is the day on which Europe's clocks change
    start_ns = MONDAY_NS + 12 * WEEK * HOUR_NS + 6 * 24 * HOUR_NS + 22 * HOUR_NS + 1_800 * SECOND
    points = built.points(start_ns, start_ns + 3 * HOUR_NS, lot)
    assert [(one.end_ns - one.start_ns) // SECOND for one in points] == [1_800, 3_600, 3_600, 1_800]
    assert [(one.start_ns // HOUR_NS) % 24 for one in points] == [22, 23, 0, 1]
    assert points[0].end_ns == points[1].start_ns
    assert points[1].expected_lots > points[2].expected_lots


def test_an_event_day_changes_its_hours_only() -> None:
    built = curves.build(SYMBOL, hours(8, lambda week, bucket: 10), {"2024-08-09": [Decimal("0.5")]})
    day_ns = (START_NS // (24 * HOUR_NS)) * 24 * HOUR_NS + 24 * HOUR_NS  # 2024-08-09
    for hour in range(24):
        assert built.expected(day_ns + hour * HOUR_NS) * 2 == built.expected(day_ns + (hour - 24) * HOUR_NS)


def begin(curve: curves.VolumeCurve, lots: int = 600, duration_s: int = 2 * 3_600) -> ExecutionWorld:
    world = ExecutionWorld()
    world.now = START_NS // HOUR_NS * HOUR_NS
    world.pass_s(60, trades=500)
    world.open(lots, Algorithm.VWAP, duration_s=duration_s, parameters={"interval_s": "300"}, curve=curve)
    return world


def test_the_schedule_follows_the_curve() -> None:
    parent = begin(shaped()).parent()
    first, second = (schedule.planned_until(parent, point.end_ns) for point in parent.opened.curve[:2])
    expected = [point.expected_lots for point in parent.opened.curve]
    assert first == 600 * expected[0] // sum(expected)
    assert second == 600 * sum(expected[:2]) // sum(expected)
    assert schedule.planned_until(parent, parent.opened.end_ns) == 600


def test_a_bucket_of_other_volume_replans_the_rest_and_alarms_beyond_a_fifth() -> None:
    world = begin(shaped())
    first = world.parent().opened.curve[0]
    half_s = max(1, first.expected_lots // (2 * 3_540))
    while world.now < first.end_ns:
        world.pass_s(1, trades=half_s)
    world.pass_s(1, trades=half_s)
    (replan,) = world.parent().replans
    assert replan.observed
    assert replan.alarm
    assert any("off the curve" in text for text in world.alarms)
    expected = [point.expected_lots for point in world.parent().opened.curve]
    whole = replan.realised_lots + sum(expected[1:])
    assert schedule.planned_until(world.parent(), first.end_ns) == 600 * replan.realised_lots // whole


def test_a_bucket_that_was_not_seen_whole_keeps_its_expectation() -> None:
    world = begin(shaped())
    world.pass_s(600, trades=500)
    world.boot()
    first = world.parent().opened.curve[0]
    world.now = first.end_ns
    world.pass_s(1, trades=500)
    (replan,) = world.parent().replans
    assert not replan.observed
    assert not replan.alarm
    assert schedule.planned_until(world.parent(), first.end_ns) == (
        600 * first.expected_lots // sum(point.expected_lots for point in world.parent().opened.curve)
    )


def test_a_vwap_across_midnight_completes() -> None:
    world = ExecutionWorld()
    world.now = (START_NS // (24 * HOUR_NS) + 1) * 24 * HOUR_NS - 150 * SECOND
    world.pass_s(60, trades=500)
    world.open(600, Algorithm.VWAP, duration_s=300, parameters={"interval_s": "30"}, curve=shaped())
    assert len(world.parent().opened.curve) == 2
    world.pass_s(320, trades=500)
    assert world.parent().state is ParentState.COMPLETED
    assert [one.bucket for one in world.parent().replans][:1] == [0]


def test_a_curve_of_another_symbol_or_without_volume_is_refused() -> None:
    for curve in (
        msgspec.structs.replace(shaped(), symbol="ETH/USDT"),
        msgspec.structs.replace(shaped(), week_volume=Decimal("0.0000001")),
    ):
        with pytest.raises(ExecutionRefused) as refused:
            begin(curve)
        assert refused.value.code == "NoVolumeCurve"


def test_the_folder_of_an_installation_is_read_and_what_is_no_curve_is_named(tmp_path: Path) -> None:
    curves.save(tmp_path / "btc.json", shaped())
    (tmp_path / "bad.json").write_text("{}")
    found, problems = curves.load_folder(tmp_path)
    assert list(found) == [SYMBOL]
    assert len(problems) == 1
    assert curves.load_folder(tmp_path / "none") == ({}, [])
