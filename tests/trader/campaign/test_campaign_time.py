"""Honest time: three clocks, suspension, restarts, and whose hours count."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradewind.trader.campaign.clocks import (
    SECOND_NS,
    Moment,
    SystemClocks,
    process_age_ns,
    process_started_ticks,
    span,
)
from tradewind.trader.campaign.state import (
    CampaignRefused,
    CampaignState,
    Identity,
    alive,
    load,
    save,
)


def at(seconds: float, *, suspended_s: float = 0.0, wall_extra_s: float = 0.0, boot: str = "one") -> Moment:
    return Moment(
        wall_ns=10**18 + int((seconds + suspended_s + wall_extra_s) * SECOND_NS),
        monotonic_ns=int(seconds * SECOND_NS),
        boottime_ns=int((seconds + suspended_s) * SECOND_NS),
        boot_id=boot,
    )


class Clocks:
    def __init__(self) -> None:
        self.moment = at(0)

    def now(self) -> Moment:
        return self.moment


def identity(provenance: str = "real", hours: float = 24.0) -> Identity:
    return Identity(
        name="20261122-000000-0000", hours=hours, provenance=provenance, environment="paper", feed="f",
        symbol="BTC/USDT", strategy="s", profile="paper", currency="USDT", config_hash="c", build="b",
        host_hash="h", command="tradewind paper start",
    )  # fmt: skip


def campaign(provenance: str = "real") -> tuple[CampaignState, Clocks]:
    clocks = Clocks()
    state = CampaignState(identity=identity(provenance), created_ns=10**18)
    state.begin_life(clocks, os.getpid())
    return state, clocks


@given(st.floats(0, 10**7), st.floats(0, 10**5))
def test_what_counts_is_monotonic_time_and_suspension_is_told(seconds: float, suspended_s: float) -> None:
    found = span(at(0), at(seconds, suspended_s=suspended_s))
    assert found.defect == ""
    assert found.counted_ns == int(seconds * SECOND_NS)
    assert abs(found.suspended_ns / SECOND_NS - suspended_s) < 0.011


@pytest.mark.parametrize(("extra_s", "honest"), [(0.9, True), (-0.9, True), (1.3, False), (-1.3, False)])
def test_the_wall_clock_may_differ_by_a_second_and_fifty_millionths(extra_s: float, honest: bool) -> None:
    assert (span(at(0), at(4_000, wall_extra_s=extra_s)).defect == "") is honest


def test_drift_of_fifty_millionths_is_allowed_on_long_runs() -> None:
    assert span(at(0), at(86_400, wall_extra_s=5.0)).defect == ""
    assert span(at(0), at(86_400, wall_extra_s=5.5)).defect != ""


def test_another_boot_counts_nothing() -> None:
    found = span(at(0), at(100, boot="two"))
    assert (found.counted_ns, found.defect) == (0, "the machine was booted in between")


def test_the_clocks_of_this_machine_agree() -> None:
    clocks = SystemClocks()
    first = clocks.now()
    assert span(first, clocks.now()).defect == ""
    assert process_started_ticks() == process_started_ticks(os.getpid())
    age_ns = process_age_ns(first.boottime_ns)
    assert age_ns is not None
    assert age_ns > 0
    assert process_started_ticks(2**22 + 1) is None


def test_downtime_counts_against_uptime_and_never_as_campaign_time() -> None:
    state, clocks = campaign()
    state.advance(at(600))
    clocks.moment = at(1_200)
    state.begin_life(clocks, 7)
    state.advance(at(1_800))
    assert state.counted_s == 1_200
    assert state.downtime_s == 600
    assert state.uptime == pytest.approx(2 / 3)
    assert state.unbroken_s == 600
    assert (state.restarts, state.crashes) == (1, 1)
    assert state.lives[0].ended == "crash"


def test_a_life_that_was_stopped_in_order_is_a_restart_and_no_crash() -> None:
    state, clocks = campaign()
    state.end_life("stopped")
    state.begin_life(clocks, 7)
    assert (state.restarts, state.crashes) == (1, 0)


def test_another_boot_is_told_from_a_crash() -> None:
    state, clocks = campaign()
    clocks.moment = at(5, boot="two")
    state.begin_life(clocks, 7)
    assert state.lives[0].ended == "reboot"


@pytest.mark.parametrize("provenance", ["replay", "generated", "virtual"])
def test_only_a_live_market_gives_evidence_hours(provenance: str) -> None:
    state, _ = campaign(provenance)
    state.advance(at(7_200), 7_200.0)
    assert state.hours == 2
    assert state.real_s == 0
    real, _ = campaign()
    real.advance(at(7_200))
    assert real.real_s == 7_200


def test_virtual_hours_are_those_of_the_feed() -> None:
    state, _ = campaign("virtual")
    state.advance(at(10), 36_000.0)
    assert state.hours == 10


def test_a_clock_step_that_is_taken_back_later_is_still_told() -> None:
    state, _ = campaign()
    state.check_clock(at(0), at(60, wall_extra_s=30))
    state.check_clock(at(60, wall_extra_s=30), at(120))
    state.advance(at(120))
    assert len(state.clock_defects) == 2


def test_a_finished_campaign_is_not_continued() -> None:
    state, clocks = campaign()
    state.end_life("finished")
    with pytest.raises(CampaignRefused) as refused:
        state.begin_life(clocks, 7)
    assert refused.value.code == "CAMPAIGN_FINISHED"


def test_a_life_is_alive_only_as_the_same_process_of_the_same_boot() -> None:
    state = CampaignState(identity=identity(), created_ns=0)
    clocks = SystemClocks()
    life = state.begin_life(clocks, os.getpid())
    assert alive(life, clocks.now().boot_id)
    assert not alive(life, "another boot")
    life.started_ticks = 1
    assert not alive(life, clocks.now().boot_id)


def test_the_state_comes_back_as_it_was_written(tmp_path) -> None:
    state, _ = campaign()
    state.advance(at(60))
    save(tmp_path, state)
    assert load(tmp_path) == state
    assert load(tmp_path / "nothing") is None
    (tmp_path / "state.json").write_bytes(b'{"version":1')
    with pytest.raises(CampaignRefused) as refused:
        load(tmp_path)
    assert refused.value.code == "CAMPAIGN_DAMAGED"
