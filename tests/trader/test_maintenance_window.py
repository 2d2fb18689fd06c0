"""A maintenance window: no order leaves, positions are stale, a mock takes tests, its end is made sure."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tradewind.gateways.model import Order
from tradewind.trader.maintenance import MaintenanceGuard, Stage, WindowLimits
from tradewind.trader.mock_venue import MockVenue
from tradewind.trader.oms import OrderRequest
from tradewind.trader.venue_desk import NotTrading
from tradewind.venues.market_data import Known, Side, Stale, Unknown
from tradewind.venues.protocol import TimeInForce, VenueState, VenueStatus

LIMITS = WindowLimits(ask_every_s=0.05, probe_every_s=0.05, apart_s=0.1, half_s=0.3)


def request(side: Side = Side.BUY, **changes: Any) -> OrderRequest:
    usual = {
        "strategy": "s", "path": "p", "symbol": "BTC/USD", "side": side, "price_ticks": 630_000, "lots": 100,
        "decision_ns": 0,
    }  # fmt: skip
    return OrderRequest(**{**usual, **changes})


class Desk:
    """What the guard needs of one."""

    def __init__(self) -> None:
        self.asked: VenueState | None = VenueState.ONLINE
        self.pushed = VenueState.ONLINE
        self.blocked = ""
        self.differences: list[str] = []
        self.problem = ""
        self.venue = SimpleNamespace(name="kraken", status=self.status)
        self.oms = SimpleNamespace(instruments={"BTC/USD": SimpleNamespace(base="BTC")})
        self.ledger = SimpleNamespace(total=lambda asset: Decimal(3))
        self.reconciled: Any = SimpleNamespace(at_ns=7)
        self.calls: list[str] = []

    async def status(self) -> VenueStatus:
        if self.asked is None:
            await asyncio.Event().wait()
        assert self.asked is not None
        return VenueStatus(state=self.asked, symbols={}, reason="", as_of_ns=0)

    async def reconcile(self) -> list[str]:
        self.calls.append("reconcile")
        return self.differences

    async def refresh(self) -> str:
        self.calls.append("refresh")
        return self.problem

    async def disarm(self) -> None:
        self.calls.append("disarm")
        raise ConnectionError("in maintenance")


class Strategy:
    name = "s"

    def __init__(self) -> None:
        self.halts = self.resumes = 0

    def halt(self, reason: str) -> None:
        self.halts += 1

    def resume(self) -> None:
        self.resumes += 1


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 the guard tells nobody
            await asyncio.sleep(0.01)


class Run:
    """A guard that runs."""

    def __init__(self, folder: Path) -> None:
        self.desk, self.strategy = Desk(), Strategy()
        self.guard = MaintenanceGuard(
            self.desk,  # type: ignore[arg-type]  # as much of a desk as is needed
            lambda: self.desk.pushed,
            self.desk.refresh,
            mock_data=folder,
            strategies=[self.strategy],
            disarm=self.desk.disarm,
            limits=LIMITS,
        )

    async def __aenter__(self) -> Run:
        self.task = asyncio.create_task(self.guard.run())
        return self

    async def __aexit__(self, *error: object) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


@pytest.mark.parametrize("way", ["pushed", "asked"])
async def test_one_word_of_maintenance_halts_and_two_ways_twice_end_it(way: str, tmp_path: Path) -> None:
    async with Run(tmp_path) as run:
        guard, desk = run.guard, run.desk
        await asyncio.sleep(0.1)
        assert guard.refusal(request()) == ""
        assert isinstance(guard.position("BTC/USD"), Known)
        setattr(desk, way, VenueState.MAINTENANCE)
        await until(lambda: guard.mock is not None and guard.mock.open)
        assert run.strategy.halts == 1
        assert "disarm" in desk.calls
        assert guard.refusal(request(reducing=True)).startswith("Maintenance")
        stale = guard.position("BTC/USD")
        assert isinstance(stale, Stale)
        assert (stale.last, stale.as_of_ns) == (Decimal(3), 7)
        assert guard.size_multiplier == 0
        for side in (Side.BUY, Side.SELL):
            price = 630_000 if side is Side.BUY else 570_000
            answer = await guard.test(request(side, price_ticks=price, time_in_force=TimeInForce.IOC))
            assert isinstance(answer, Order)
        desk.differences = ["not yet"]
        setattr(desk, way, VenueState.ONLINE)
        await until(lambda: desk.calls.count("reconcile") >= 2)
        assert guard.closed
        desk.differences = []
        await until(lambda: not guard.closed)
        assert (guard.stage, guard.size_multiplier, run.strategy.resumes) == (Stage.HALF, Decimal("0.5"), 1)
        assert desk.calls.index("refresh") < desk.calls.index("reconcile")
        assert guard.mock is None
        await until(lambda: guard.stage is Stage.OPEN)
        [window] = guard.windows
        assert window.test_orders == 2
        assert window.began_ns < window.online_ns < window.ended_ns
        assert not list(tmp_path.iterdir())  # noqa: ASYNC240 a test of its own


async def test_an_online_that_does_not_last_or_a_silent_venue_ends_nothing(tmp_path: Path) -> None:
    async with Run(tmp_path) as run:
        run.desk.pushed = VenueState.MAINTENANCE
        await until(lambda: run.guard.closed)
        run.desk.asked = None
        run.desk.pushed = VenueState.ONLINE
        await asyncio.sleep(0.5)
        assert run.guard.closed
        run.desk.asked, run.desk.problem = VenueState.ONLINE, "no list"
        await until(lambda: run.guard.reason == "instruments: no list")
        assert run.guard.closed
        assert "reconcile" not in run.desk.calls


async def test_test_traffic_has_nowhere_to_go_outside_of_a_window(tmp_path: Path) -> None:
    run = Run(tmp_path)
    with pytest.raises(NotTrading):
        await run.guard.test(request())
    closed = MockVenue(tmp_path)
    with pytest.raises(RuntimeError):
        await closed.place(request())
    run.desk.reconciled = None
    assert isinstance(run.guard.position("BTC/USD"), Unknown)
    assert isinstance(run.guard.position("X/Y"), Unknown)
