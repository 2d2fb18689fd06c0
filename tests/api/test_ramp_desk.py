"""The ramp over a log: it reads what the trader writes, demotes by itself, and survives a restart."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tradewind.api.identities import open_identities
from tradewind.api.ramp_desk import RampDesk
from tradewind.core.engine import GenesisConfig, Grant
from tradewind.node.limits import NodeLimits
from tradewind.node.service import NodeService
from tradewind.trader.ramp.book import RampRefused
from tradewind.trader.ramp.records import RampMove
from tradewind.trader.ramp.stages import load_stages
from tradewind.trader.records import Latch, OperatorAct, Record, encode


async def started(data: Path) -> NodeService:
    identities = open_identities(data)
    now_ns = 1_700_000_000_000_000_000
    return await NodeService.start(
        data,
        genesis=GenesisConfig(now_ns, [Grant(*grant) for grant in identities.grants(now_ns)]),
        limits=NodeLimits(space_reserved_bytes=0),
        segment_bytes=8 << 20,
        reserve_bytes=1 << 20,
    )


async def write(node: NodeService, *records: Record) -> None:
    await node.submit_with_notes([], [encode(one) for one in records])


def move(node: NodeService, to_stage: str) -> RampMove:
    return RampMove(
        from_stage="S4", to_stage=to_stage, cause="approved", detail="", actors=("a", "b"),
        stages_hash=load_stages().hash, at_ns=node.now_ns(), promotion=True,
    )  # fmt: skip


def latch(cause: str) -> Latch:
    return Latch(
        scope="account", cause=cause, level="HALTED", latching=True, cleared=False, reason="r", actor="t",
        at_ns=1,
    )  # fmt: skip


async def reached(desk: RampDesk, stage: str) -> bool:
    for _ in range(200):
        moves = desk.ramp.standing.moves
        if moves and moves[-1].to_stage == stage and not desk.ramp.wanted:
            return True
        await asyncio.sleep(0.01)
    return False


async def test_a_loss_in_the_log_demotes_at_once_and_a_restart_finds_the_same(tmp_path: Path) -> None:
    async with await started(tmp_path) as node:
        desk = await RampDesk.start(node, "canary")
        desk.evidence = lambda: {}
        running = asyncio.create_task(desk.run())
        assert await reached(desk, "S2"), "the stay began"
        await write(node, move(node, "S2"))
        await write(node, latch("daily_loss"))
        for _ in range(200):
            if len(desk.ramp.standing.moves) >= 3:
                break
            await asyncio.sleep(0.01)
        assert [one.cause for one in desk.ramp.standing.moves] == ["began", "approved", "daily_loss"]
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        standing = desk.ramp.standing
    async with await started(tmp_path) as node:
        again = await RampDesk.start(node, "canary")
        assert again.ramp.standing.moves == standing.moves and not again.ramp.wanted


async def test_evidence_that_is_gone_demotes_a_stage_with_real_funds(tmp_path: Path) -> None:
    async with await started(tmp_path) as node:
        await write(node, move(node, "S4"))
        desk = await RampDesk.start(node, "canary")
        running = asyncio.create_task(desk.run())
        assert await reached(desk, "S3"), "nothing is green without a gate"
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert desk.ramp.standing.moves[-1].cause == "evidence_expired"


async def test_a_crash_between_the_cause_and_the_demotion_is_made_good(tmp_path: Path) -> None:
    async with await started(tmp_path) as node:
        await write(node, latch("suspense"))
    async with await started(tmp_path) as node:
        desk = await RampDesk.start(node, "paper")
        assert [one.cause for one in desk.ramp.standing.moves] == ["unknown_fill"]
        again = await RampDesk.start(await _same(node), "paper")
        assert len(again.ramp.standing.moves) == 1, "it is recorded once"


async def _same(node: NodeService) -> NodeService:
    node.detach("ramp")
    return node


async def test_a_kill_that_was_not_verified_demotes_and_a_verified_one_does_not(tmp_path: Path) -> None:
    async with await started(tmp_path) as node:
        desk = await RampDesk.start(node, "paper")
        for outcome in ("Verified", "verified", "no_effect"):
            act = OperatorAct(act="halt", actor="a", reason="r", outcome=outcome, detail="", at_ns=1)
            await write(node, act)
        assert not desk.ramp.wanted
        await write(
            node, OperatorAct(act="halt", actor="a", reason="r", outcome="Pending", detail="", at_ns=1)
        )
        assert desk.ramp.wanted


async def test_status_says_what_is_missing_and_nothing_is_proposed_without_it(tmp_path: Path) -> None:
    async with await started(tmp_path) as node:
        desk = await RampDesk.start(node, "paper")
        status = desk.status()
        assert (status["stage"], status["next_stage"], status["eligible"]) == ("S2", "S3", False)
        missing = {one["name"] for one in status["conditions"] if not one["met"]}
        assert {"days", "round_trips", "slippage_within_ci", "trader-emergency-stop"} <= missing
        with pytest.raises(RampRefused, match="trader-emergency-stop"):
            await desk.propose("anna")
        with pytest.raises(RampRefused, match="reason"):
            await desk.demote("anna", " ")
        assert (await desk.demote("anna", "drill"))["stage"] == "S2"
        assert desk.history()["moves"][0]["actors"] == ("anna",)
