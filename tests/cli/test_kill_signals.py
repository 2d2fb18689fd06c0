"""Signals to the running platform act once, in order, and are journaled as what they are."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path

from tradewind.cli.kill_signals import ACTOR, FLATTEN, HALT, KillSignals
from tradewind.trader.kill import KillResult, Outcome
from tradewind.trader.killing import order


class Recording:
    """A switch that says what it was asked."""

    def __init__(self, *, fails: bool = False) -> None:
        self.asked: list[tuple[str, str, str]] = []
        self.fails = fails

    async def _act(self, act: str, actor: str, reason: str) -> KillResult:
        self.asked.append((act, actor, reason))
        await asyncio.sleep(0.01)
        if self.fails:
            raise RuntimeError("no")
        nothing: dict[str, Decimal] = {}
        return KillResult(
            act=act,
            outcome=Outcome.VERIFIED,
            state="HALTED",
            orders_before=0,
            orders_after=0,
            position_before=nothing,
            position_after=nothing,
        )

    async def halt(self, actor: str, reason: str) -> KillResult:
        return await self._act("halt", actor, reason)

    async def flatten(self, actor: str, reason: str) -> KillResult:
        return await self._act("flatten", actor, reason)


async def test_repeated_signals_are_one_act_and_a_flatten_outranks_a_halt(tmp_path: Path) -> None:
    switch = Recording()
    signals = KillSignals(lambda: switch, tmp_path)
    for number in (HALT, HALT, FLATTEN, HALT):
        signals.request(number)
    await signals.idle()
    assert [one[:2] for one in switch.asked] == [("flatten", ACTOR)]


async def test_a_flatten_during_a_halt_follows_it(tmp_path: Path) -> None:
    switch = Recording()
    signals = KillSignals(lambda: switch, tmp_path)
    signals.request(HALT)
    await asyncio.sleep(0.005)
    signals.request(FLATTEN)
    await signals.idle()
    assert [one[0] for one in switch.asked] == ["halt", "flatten"]


async def test_a_signal_before_trading_began_waits_for_the_switch(tmp_path: Path) -> None:
    found: list[Recording] = []
    signals = KillSignals(lambda: found[0] if found else None, tmp_path)
    signals.request(HALT)
    await asyncio.sleep(0.03)
    found.append(Recording())
    await signals.idle()
    assert len(found[0].asked) == 1


async def test_the_text_of_a_kill_order_is_the_reason_and_a_verified_halt_takes_it_away(
    tmp_path: Path,
) -> None:
    order.write(tmp_path, actor="anna", reason="the console hangs")
    switch = Recording()
    signals = KillSignals(lambda: switch, tmp_path)
    signals.request(HALT)
    await signals.idle()
    assert "the console hangs" in switch.asked[0][2] and order.pending(tmp_path) is None


async def test_an_act_that_fails_leaves_the_order_and_the_next_signal_is_heard(tmp_path: Path) -> None:
    order.write(tmp_path, actor="anna", reason="x")
    switch = Recording(fails=True)
    signals = KillSignals(lambda: switch, tmp_path)
    signals.request(HALT)
    await signals.idle()
    assert order.pending(tmp_path) is not None and not signals.results
    switch.fails = False
    signals.request(HALT)
    await signals.idle()
    assert len(signals.results) == 1
