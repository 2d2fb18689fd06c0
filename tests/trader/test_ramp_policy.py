"""The ramp: shipped stages, what promotes, what demotes, and that nothing is scored or skipped (T17)."""

from __future__ import annotations

import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradewind.trader.ramp.book import Ramp, RampRefused
from tradewind.trader.ramp.policy import (
    COOL_OFF_NS,
    DAY_NS,
    PROPOSAL_NS,
    Cause,
    Evidence,
    Facts,
    assess,
    fold,
)
from tradewind.trader.ramp.records import RampMove, RampRecord
from tradewind.trader.ramp.stages import SHIPPED, StageConfigError, changed_dimensions, load_stages
from tradewind.trader.records import Latch, OperatorAct, decode, encode
from tradewind.trader.risk.profile import PROFILE_DIR, load_profile

STAGES = load_stages()
NOW = 1_800_000_000 * 10**9
CLEAN = Facts(
    round_trips=10_000,
    reconciliation_breaks=0,
    preventable_rejects=0,
    duplicates=0,
    orphans=0,
    limit_breaches=0,
    unacknowledged_alerts=0,
    slippage_within_ci=True,
    checklist_ok=True,
    edge_ci_low_quote=Decimal("0.01"),
)


def green(*names: str, **changes: Any) -> dict[str, Evidence]:
    fields = {"green": True, "environment": "canary", "provenance": "real", "expires_ns": NOW * 2, **changes}
    return {name: Evidence(criterion=name, **fields) for name in names or every_need()}


def every_need() -> set[str]:
    return {name for stage in STAGES.rungs for name in stage.needs}


class World:
    """A ramp with a clock and a list for a journal."""

    def __init__(self, environment: str = "paper", stage: str = "") -> None:
        self.now_ns = NOW
        self.journal: list[RampRecord] = []
        self.ramp = Ramp(environment, lambda: self.now_ns)
        if stage:
            self.put(stage)

    def put(self, stage: str, *, days: float = 365.0) -> None:
        move = RampMove(
            from_stage="S2", to_stage=stage, cause="approved", detail="test", actors=("a", "b"),
            stages_hash=STAGES.hash, at_ns=self.now_ns - int(days * DAY_NS), promotion=True,
        )  # fmt: skip
        self.journal.append(move)
        self.ramp.fold(move)

    async def write(self, record: RampRecord) -> None:
        self.journal.append(record)

    @property
    def stage(self) -> str:
        return self.ramp.standing.stage.name

    async def propose(self, facts: Facts = CLEAN, evidence: dict[str, Evidence] | None = None) -> None:
        await self.ramp.propose(self.write, facts, green() if evidence is None else evidence, "anna")

    async def approve(self, actor: str, facts: Facts = CLEAN) -> RampMove | None:
        return await self.ramp.approve(self.write, facts, green(), actor=actor, reason="looked at it")


# ---- the shipped list ------------------------------------------------------------------------------------


def test_the_shipped_ladder_is_the_bots_live_profile() -> None:
    real = [one for one in STAGES.rungs if one.real]
    seen = [(one.name, one.environment, one.order_cap_quote, one.pairs) for one in real[:4]]
    assert seen == [
        ("S3", "canary", Decimal("5.00"), 1),
        ("S4", "canary", Decimal("7.00"), 1),
        ("S5", "canary", Decimal("7.00"), 2),
        ("S6", "live", Decimal("7.00"), 2),
    ]
    assert all(one.approvals == 2 for one in real)


def test_profile_and_stage_never_contradict_each_other() -> None:
    for stage in STAGES.rungs:
        if stage.profile in ("none", "own") or stage.order_cap_quote is None:
            continue
        profile = load_profile(PROFILE_DIR / f"{stage.profile}.toml")
        assert profile.environment == stage.environment
        assert profile.limits.max_order_notional_quote <= stage.order_cap_quote, stage.name
        assert stage.pairs is not None and len(profile.limits.symbols) <= stage.pairs, stage.name


def test_every_need_is_a_criterion_of_the_catalogue() -> None:
    path = Path(__file__).parents[3] / "shared" / "spec" / "criteria.toml"
    if not path.exists():
        pytest.skip("the specification is not here")
    known = {row["id"] for row in tomllib.loads(path.read_text())["criterion"]}
    assert every_need() - known == set()


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        ('order_cap_quote = "7.00"\npairs = 1', 'order_cap_quote = "11.00"\npairs = 1', "doubles"),
        ('order_cap_quote = "7.00"\npairs = 1', 'order_cap_quote = "7.00"\npairs = 2', "size and pairs"),
        (
            'order_cap_quote = "14.00"\npairs = 3',
            'order_cap_quote = "14.00"\npairs = 4',
            "more than one pair",
        ),
        ('order_cap_quote = "5.00"', 'order_cap_quote = "none"', "bounded"),
        ('order_cap_quote = "5.00"', 'order_cap_quote = "NaN"', "cap is NaN"),
        ('order_cap_quote = "5.00"', "order_cap_quote = 5.0", "quoted decimal"),
        ('order_cap_quote = "5.00"', 'order_cap = "5.00"', "quoted decimal"),
        ("approvals = 2", "approvals = 1", "two different people"),
        ('name = "S4"', 'name = "S3"', "twice"),
        ("stay_days = 14", "stay_days = -1", "not negative"),
        ("stay_days = 14", "stay_days = 14\nstay_weeks = 2", "stay_weeks"),
        ('size_multiplier = "0.5"', 'size_multiplier = "1.5"', "multiplier"),
        ('environment = "live"', 'environment = "paper"', "goes back"),
        ("[[stage]]", "[[rung]]", "nothing else"),
    ],
)
def test_a_ladder_that_breaks_a_rule_is_refused(old: str, new: str, rule: str, tmp_path: Path) -> None:
    text = SHIPPED.read_text()
    assert old in text
    path = tmp_path / "stages.toml"
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(StageConfigError, match=rule):
        load_stages(path)


def test_every_step_changes_at_most_one_dimension() -> None:
    for before, after in zip(STAGES.rungs, STAGES.rungs[1:], strict=False):
        assert len(changed_dimensions(before, after)) <= 1


# ---- promotion -------------------------------------------------------------------------------------------


async def test_two_different_people_are_needed_from_canary_on() -> None:
    world = World(stage="S2")
    await world.propose()
    assert await world.approve("anna") is None and world.stage == "S2"
    with pytest.raises(RampRefused, match="different person"):
        await world.approve("anna")
    move = await world.approve("ben")
    assert move is not None and world.stage == "S3" and move.actors == ("anna", "ben")


async def test_a_proposal_expires_and_belongs_to_its_stage() -> None:
    world = World(stage="S2")
    with pytest.raises(RampRefused, match="nothing is proposed"):
        await world.approve("anna")
    await world.propose()
    world.now_ns += PROPOSAL_NS + 1
    with pytest.raises(RampRefused, match="expired"):
        await world.approve("anna")


async def test_what_was_green_at_the_proposal_has_to_be_green_at_the_approval() -> None:
    world = World(stage="S2")
    await world.propose()
    with pytest.raises(RampRefused, match="orphans"):
        await world.approve("anna", msgspec.structs.replace(CLEAN, orphans=1))


ZEROS = [
    "reconciliation_breaks", "preventable_rejects", "duplicates", "orphans", "limit_breaches",
    "unacknowledged_alerts",
]  # fmt: skip


@pytest.mark.parametrize("name", ZEROS)
@pytest.mark.parametrize("value", [1, None])
async def test_each_condition_alone_is_enough_to_refuse(name: str, value: int | None) -> None:
    world = World(stage="S3")
    with pytest.raises(RampRefused, match=name):
        await world.propose(msgspec.structs.replace(CLEAN, **{name: value}))
    await world.propose()


@pytest.mark.parametrize("value", [False, None])
@pytest.mark.parametrize("name", ["slippage_within_ci", "checklist_ok"])
async def test_what_was_not_measured_is_not_good_enough(name: str, value: bool | None) -> None:
    with pytest.raises(RampRefused):
        await World(stage="S4").propose(msgspec.structs.replace(CLEAN, **{name: value}))


async def test_days_and_round_trips_are_both_needed_never_one_for_the_other() -> None:
    world = World()
    world.put("S3", days=13.99)
    with pytest.raises(RampRefused, match="days"):
        await world.propose()
    world = World()
    world.put("S3", days=14)
    with pytest.raises(RampRefused, match="round_trips"):
        await world.propose(msgspec.structs.replace(CLEAN, round_trips=199))
    await world.propose(msgspec.structs.replace(CLEAN, round_trips=200))


@given(st.sets(st.sampled_from(sorted(every_need()))))
def test_one_missing_criterion_is_one_too_many(missing: set[str]) -> None:
    world = World(stage="S2")
    evidence = {name: one for name, one in green().items() if name not in missing}
    target = STAGES.named("S3")
    found = assess(STAGES, world.ramp.standing, CLEAN, evidence, NOW)
    assert found.eligible is not bool(missing & set(target.needs))


@pytest.mark.parametrize(
    ("stage", "changes", "counts"),
    [
        ("S2", {"environment": "paper", "provenance": "emulated"}, True),
        ("S2", {"environment": "sim", "provenance": "virtual"}, False),
        ("S3", {"environment": "paper", "provenance": "emulated"}, False),
        ("S3", {"environment": "paper", "provenance": "real"}, False),
        ("S3", {"environment": "canary", "provenance": "real"}, True),
        ("S3", {"environment": "canary", "provenance": "real", "expires_ns": NOW}, False),
    ],
)
def test_nothing_simulated_and_nothing_expired_counts_above_paper(
    stage: str, changes: dict[str, Any], counts: bool
) -> None:
    world = World(stage=stage)
    assert assess(STAGES, world.ramp.standing, CLEAN, green(**changes), NOW).eligible is counts


def test_more_size_after_s5_needs_an_edge_and_less_profit_never_blocks_safety() -> None:
    none = msgspec.structs.replace(CLEAN, edge_ci_low_quote=Decimal(0))
    assert not assess(STAGES, World(stage="S6").ramp.standing, none, green(), NOW).eligible
    assert assess(STAGES, World(stage="S6").ramp.standing, CLEAN, green(), NOW).eligible
    assert assess(STAGES, World(stage="S7").ramp.standing, none, green(), NOW).eligible, "a pair, no size"
    assert assess(STAGES, World(stage="S4").ramp.standing, none, green(), NOW).eligible


# ---- demotion --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cause", list(Cause))
async def test_every_cause_demotes_at_once_to_where_it_must(cause: Cause) -> None:
    world = World(stage="S5")
    await world.ramp.demote(world.write, cause, "test")
    expected = {1: "S4", 2: "S3", None: "S2"}[cause.steps]
    assert world.stage == expected
    await World(stage="S2").ramp.demote(world.write, cause, "test")


async def test_after_a_demotion_a_day_of_rest_and_half_of_the_stay() -> None:
    world = World(stage="S4")
    await world.ramp.demote(world.write, Cause.DAILY_LOSS, "test")
    assert world.stage == "S3"
    world.now_ns += COOL_OFF_NS - 1
    with pytest.raises(RampRefused, match="cool_off"):
        await world.propose()
    world.now_ns += 6 * DAY_NS
    with pytest.raises(RampRefused, match="days"):
        await world.propose(msgspec.structs.replace(CLEAN, round_trips=100))
    world.now_ns += DAY_NS
    with pytest.raises(RampRefused, match="round_trips"):
        await world.propose(msgspec.structs.replace(CLEAN, round_trips=99))
    await world.propose(msgspec.structs.replace(CLEAN, round_trips=100))


def latch(cause: str) -> Latch:
    return Latch(
        scope="account", cause=cause, level="HALTED", latching=True, cleared=False, reason="x", actor="a",
        at_ns=NOW,
    )  # fmt: skip


def kill_act(outcome: str) -> OperatorAct:
    return OperatorAct(act="halt", actor="a", reason="r", outcome=outcome, detail="", at_ns=NOW)


@pytest.mark.parametrize(
    ("record", "stage"),
    [
        (latch("reconciliation"), "S4"),
        (latch("suspense"), "S2"),
        (latch("daily_loss"), "S4"),
        (latch("drawdown"), "S4"),
        (latch("nonce"), "S4"),
        (latch("duplicate"), "S2"),
        (latch("foreign"), "S2"),
        (kill_act("Pending"), "S2"),
        (kill_act("Unknown"), "S2"),
        (kill_act("Verified"), "S5"),
        (kill_act("NoEffect"), "S5"),
        (latch("operator"), "S5"),
    ],
)
def test_what_the_trader_writes_is_what_demotes_it(record: Latch | OperatorAct, stage: str) -> None:
    world = World(stage="S5")
    world.ramp.see(record)
    world.ramp.due()
    assert world.stage == stage


def test_of_several_causes_the_one_that_sends_farthest_counts_and_all_are_told() -> None:
    world = World(stage="S5")
    world.ramp.see(latch("daily_loss"))
    world.ramp.see(latch("suspense"))
    move = world.ramp.due()
    assert move is not None and world.stage == "S2"
    assert "daily_loss" in move.detail and "unknown_fill" in move.detail
    assert world.ramp.due() is None


def test_alerts_expired_evidence_and_another_build_demote() -> None:
    world = World(stage="S4")
    world.ramp.see_alerts(1)
    assert world.ramp.due() is None
    world.ramp.see_alerts(2)
    assert world.ramp.due() is not None and world.stage == "S3"
    world = World(stage="S4")
    world.ramp.see_evidence(green(expires_ns=NOW - 1))
    assert world.ramp.due() is not None and world.stage == "S3"
    for money_path, stage in ((False, "S4"), (True, "S3")):
        world = World()
        move = RampMove(
            from_stage="S4", to_stage="S5", cause="approved", detail="", actors=("a", "b"), stages_hash="",
            at_ns=NOW, promotion=True, build_hash="one", config_hash="c",
        )  # fmt: skip
        world.ramp.fold(move)
        world.ramp.see_build("one", "c", money_path=money_path)
        assert world.ramp.due() is None
        world.ramp.see_build("two", "c", money_path=money_path)
        assert world.ramp.due() is not None and world.stage == stage


# ---- the journal -----------------------------------------------------------------------------------------


async def test_the_stage_is_what_the_records_say_and_survives_a_restart() -> None:
    world = World(stage="S2")
    await world.propose()
    await world.approve("anna")
    await world.approve("ben")
    world.now_ns += DAY_NS
    await world.ramp.demote(world.write, Cause.DAILY_LOSS, "test")
    read = [decode(encode(record)[2]) for record in world.journal]
    again = Ramp("canary", lambda: world.now_ns)
    for record in read:
        again.fold(record)
    assert again.standing == world.ramp.standing
    assert fold(STAGES, world.journal, "canary") == world.ramp.standing


def test_without_history_nobody_begins_with_real_funds() -> None:
    assert {env: World(env).stage for env in ("sim", "paper", "testnet", "canary", "live")} == {
        "sim": "S0", "paper": "S2", "testnet": "S2", "canary": "S2", "live": "S2",
    }  # fmt: skip


@given(st.lists(st.sampled_from([*Cause, "up"]), max_size=40))
def test_no_sequence_of_events_skips_a_stage_or_climbs_by_itself(events: list[Any]) -> None:
    world = World(stage="S2")
    for event in events:
        before = STAGES.rungs.index(world.ramp.standing.stage)
        if event == "up":
            target = STAGES.after(world.ramp.standing.stage)
            if target is not None:
                world.put(target.name)
        else:
            world.ramp.want(event, "x")
            world.ramp.due()
        after = STAGES.rungs.index(world.ramp.standing.stage)
        assert after - before == (
            1 if event == "up" and before + 1 < len(STAGES.rungs) else min(0, after - before)
        )
        assert after >= STAGES.rungs.index(STAGES.paper)
