"""Rows of T18 on the trader's side: clocks, midnight, memory, repeated kills, storms of logs."""

from __future__ import annotations

import asyncio
import os
import time
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from paper_world import SYMBOL
from trader_world import TraderWorld, buy, tight

from tradewind.config import ConfigurationRefused, UpConfiguration, check_environment
from tradewind.trader.kill import Outcome
from tradewind.trader.memory_guard import SHARE_PCT, Cgroup, MemoryGuard
from tradewind.trader.risk.loss import DAY_NS, LossGuard, next_day_ns, utc_day
from tradewind.trader.risk.profile import PROFILE_DIR, ConfigConflict, ConfigError, load_profile
from tradewind.trader.risk.state import TradingState
from tradewind.venues.protocol import CancelledAll

SECOND_NS = 1_000_000_000
PAPER = (PROFILE_DIR / "paper.toml").read_text()


# ---- configuration ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("daily_loss_pct", "dayly_loss_pct"),
        ('daily_loss_pct = "2.0"', 'daily_loss_pct = "NaN"'),
        ('daily_loss_pct = "2.0"', 'daily_loss_pct = "inf"'),
        ('daily_loss_pct = "2.0"', 'daily_loss_pct = "-1"'),
        ('daily_loss_pct = "2.0"', "daily_loss_pct = 2.0"),
        ('daily_loss_pct = "2.0"', ""),
    ],
)
def test_a_profile_with_a_typo_a_nan_or_a_missing_limit_refuses_to_start(
    old: str, new: str, tmp_path: Path
) -> None:
    assert old in PAPER
    path = tmp_path / "broken.toml"
    path.write_text(PAPER.replace(old, new, 1))
    with pytest.raises(ConfigError, match=r"da[yi]ly_loss_pct"):
        load_profile(path)


def test_one_limit_in_two_files_is_a_conflict(tmp_path: Path) -> None:
    second = tmp_path / "second.toml"
    second.write_text('[limits]\ndaily_loss_pct = "50"\n')
    with pytest.raises(ConfigConflict):
        load_profile(PROFILE_DIR / "paper.toml", second)


@pytest.mark.parametrize("environment", ["testnet", "canary", "live"])
def test_no_environment_with_funds_starts_by_a_flag(environment: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationRefused):
        check_environment(UpConfiguration(env=environment, data=tmp_path))
    assert UpConfiguration(data=tmp_path).env == "paper", "live is never what nobody asked for"


# ---- the calendar ----------------------------------------------------------------------------------------


@given(st.integers(0, 4_000_000_000 * SECOND_NS))
def test_a_day_is_a_utc_day_whatever_the_local_zone_does(now_ns: int) -> None:
    before = os.environ.get("TZ")
    days = set()
    try:
        for zone in ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"):
            os.environ["TZ"] = zone
            time.tzset()
            days.add((utc_day(now_ns), next_day_ns(now_ns)))
    finally:
        os.environ.pop("TZ", None) if before is None else os.environ.update(TZ=before)
        time.tzset()
    assert len(days) == 1
    assert next_day_ns(now_ns) - now_ns <= DAY_NS and next_day_ns(now_ns) % DAY_NS == 0


def guard() -> LossGuard:
    return LossGuard(load_profile("paper").limits)


def test_midnight_changes_the_base_once_and_counts_no_loss_twice() -> None:
    midnight_ns = 1_798_761_600 * SECOND_NS // DAY_NS * DAY_NS
    one = guard()
    one.mark(Decimal(1_000), {}, midnight_ns - 10 * SECOND_NS)
    assert one.loss(Decimal(990)) == 10
    assert one.mark(Decimal(990), {}, midnight_ns - 1) is None, "the day is not over"
    record = one.mark(Decimal(990), {}, midnight_ns)
    assert record is not None and one.base is not None and one.base.equity == 990
    assert one.loss(Decimal(990)) == 0, "yesterday's loss is not today's"
    assert one.loss(Decimal(985)) == 5
    assert one.mark(Decimal(985), {}, midnight_ns + SECOND_NS) is None, "one base a day"


def test_a_clock_that_steps_back_over_midnight_gives_no_second_day() -> None:
    midnight_ns = 20_000 * DAY_NS
    one = guard()
    one.mark(Decimal(1_000), {}, midnight_ns - SECOND_NS)
    one.mark(Decimal(990), {}, midnight_ns + SECOND_NS)
    base = one.base
    one.mark(Decimal(900), {}, midnight_ns - SECOND_NS)
    assert one.base == base, "a base that was left is not taken up again"


def test_a_leap_second_is_an_ordinary_second_of_the_day_before() -> None:
    leap_ns = 1_483_228_800 * SECOND_NS  # 2017-01-01: the clock of the machine repeats or smears the second
    assert utc_day(leap_ns - 1) == "2016-12-31" and utc_day(leap_ns) == "2017-01-01"


# ---- kills -----------------------------------------------------------------------------------------------


async def loaded(world: TraderWorld, orders: int) -> None:
    for number in range(orders):
        denied, _ = await world.trader.submit(buy(4_990_000 - 100 * number, 10))
        assert not denied
        await world.wait_ms(5)


async def test_a_kill_during_a_kill_goes_on_until_nothing_is_left() -> None:
    world = await TraderWorld.open(profile=tight(max_messages_per_s=500, max_same_order_repeat_count=100))
    await loaded(world, 5)
    results = await asyncio.gather(*(world.kill.halt(f"person {one}", "all at once") for one in range(4)))
    assert all(one.verified for one in results) and {one.orders_after for one in results} == {0}
    assert world.trader.state() is TradingState.HALTED
    assert (await world.kill.halt("late", "again")).outcome is Outcome.NO_EFFECT


async def test_a_kill_that_was_broken_off_is_taken_up_by_the_next_one() -> None:
    world = await TraderWorld.open(profile=tight(max_messages_per_s=500, max_same_order_repeat_count=100))
    await loaded(world, 5)
    first = asyncio.create_task(world.kill.halt("anna", "first"))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    result = await world.kill.halt("ben", "second")
    assert result.verified and result.orders_after == 0


async def test_a_venue_that_does_not_cancel_is_told_as_left_and_the_next_kill_ends_it() -> None:
    world = await TraderWorld.open(profile=tight(max_messages_per_s=500, max_same_order_repeat_count=100))
    await loaded(world, 2)
    honest = world.venue.cancel_all

    async def deaf(symbol: str | None, epoch: int) -> CancelledAll:
        return CancelledAll(())

    world.venue.cancel_all = deaf  # type: ignore[method-assign, assignment]
    result = await world.kill.halt("anna", "reconnecting")
    assert result.outcome is Outcome.PENDING and len(result.left) == 2 and result.orders_after == 2
    world.venue.cancel_all = honest  # type: ignore[method-assign]
    again = await world.kill.halt("anna", "reconnected")
    assert again.verified and again.orders_after == 0


async def test_much_equity_needs_a_second_different_person_to_leave_a_halt() -> None:
    profile = tight()
    account = msgspec.structs.replace(profile.account, dual_control_quote=Decimal(100), resume_cooldown_s=1)
    world = await TraderWorld.open(profile=msgspec.structs.replace(profile, account=account))
    await world.kill.halt("anna", "drill")
    await world.wait_ms(2_000)
    assert (await world.kill.resume("anna", "looked")).outcome is Outcome.PENDING
    assert (await world.kill.resume("anna", "looked")).outcome is Outcome.PENDING
    assert world.trader.state() is TradingState.HALTED
    assert (await world.kill.resume("ben", "looked too")).verified
    assert world.trader.state() is TradingState.NORMAL


async def test_little_equity_is_resumed_by_one_person() -> None:
    profile = tight()
    account = msgspec.structs.replace(profile.account, dual_control_quote=Decimal(10**9), resume_cooldown_s=1)
    world = await TraderWorld.open(profile=msgspec.structs.replace(profile, account=account))
    await world.kill.halt("anna", "drill")
    await world.wait_ms(2_000)
    assert (await world.kill.resume("anna", "looked")).verified


# ---- memory ----------------------------------------------------------------------------------------------


class Fixed:
    """Bounds as the test says."""

    def __init__(self, used: int | None, limit: int | None) -> None:
        self._used, self._limit = used, limit

    def used(self) -> int | None:
        return self._used

    def limit(self) -> int | None:
        return self._limit


@pytest.mark.parametrize(
    ("used", "limit", "acts"),
    [(79, 100, 0), (SHARE_PCT, 100, 1), (81, 100, 1), (None, 100, 0), (81, None, 0), (0, 0, 1)],
)
def test_at_four_fifths_of_the_memory_new_risk_stops_and_the_end_is_asked_for_once(
    used: int | None, limit: int | None, acts: int
) -> None:
    said: list[str] = []
    one = MemoryGuard(Fixed(used, limit), said.append, lambda: said.append("stop"))
    for _ in range(3):
        assert one.look() is bool(acts)
    assert len(said) == 2 * acts


def test_file_pages_that_can_be_dropped_do_not_count(tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text("1000\n")
    (tmp_path / "memory.current").write_text("900\n")
    (tmp_path / "memory.stat").write_text("anon 1\ninactive_file 300\n")
    group = Cgroup(tmp_path, tmp_path / "none")
    assert (group.used(), group.limit()) == (600, 1_000)
    (tmp_path / "memory.max").write_text("max\n")
    assert Cgroup(tmp_path, tmp_path / "none").limit() is None
    assert Cgroup(tmp_path / "nowhere", tmp_path / "none").used() is None


async def test_the_guard_leaves_the_trader_reduce_only() -> None:
    world = await TraderWorld.open()

    def restrict(text: str) -> None:
        world.trader.states.trip(
            "account", "memory", TradingState.REDUCE_ONLY, reason=text, actor="memory", now_ns=1
        )

    assert MemoryGuard(Fixed(9, 10), restrict, lambda: None).look()
    denied, _ = await world.trader.submit(buy(4_990_000, 10))
    assert denied and world.trader.state(symbol=SYMBOL) is TradingState.REDUCE_ONLY
