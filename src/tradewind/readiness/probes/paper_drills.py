"""The drills of area `paper`: its environment, its launch as documented, and errors during busy hours."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from tradewind.core.measure import build_digest
from tradewind.lab.preflight.exchange import SYMBOL, World
from tradewind.readiness.errors import CannotMeasureError
from tradewind.readiness.probe import ProbeContext, count
from tradewind.readiness.probes.drill import Facts, case, drill, ratio
from tradewind.readiness.record import MeasuredValue
from tradewind.trader.campaign.clocks import process_started_ticks
from tradewind.trader.oms import Oms
from tradewind.trader.risk.check import Path as RiskPath
from tradewind.trader.strategy import CancelIntent, PlaceIntent
from tradewind.venues.market_data import BookState, Side
from tradewind.venues.paper.port import PortRestricted
from tradewind.venues.protocol import FillEvent, NewOrder, Rejected, TimeInForce

START: Final = "from tradewind.cli import main; main()"
CHILD_DEADLINE_S: Final = 120.0
LAUNCH_LIMIT_S: Final = 300.0
NEVER: Final = 3_650.0
POLL_S: Final = 0.2


# ---- paper-environment ----------------------------------------------------------------------------------

EGRESS: Final = """
import json, sys
from tradewind.core.measure import build_digest
from tradewind.security import capability
capability.declare("paper")
connections = []
def note(event, arguments):
    if event == "socket.connect" and not isinstance(arguments[1], str | bytes):
        connections.append(str(arguments[1]))
sys.addaudithook(note)
import asyncio
from tradewind.lab.preflight import exchange
from tradewind.lab.preflight.child import signers
orders = asyncio.run(exchange.simulate(300)).orders
async def charged():
    world = await exchange.World.open()
    return world.venue.markets[exchange.SYMBOL].charged_e6bp
fees = asyncio.run(charged())
succeeded = []
connectors = ("tradewind.venues.binance.trading", "tradewind.venues.kraken.trading")
for name in (*capability.SIGNING_MODULES, *connectors):
    try:
        module = __import__(name, fromlist=["x"])
        capability.require_signing(name)
        succeeded.append(name)
    except capability.CapabilityDenied:
        pass
print(json.dumps({"orders": orders, "connections": connections, "signers": signers(), "fees": list(fees),
                  "succeeded": succeeded, "digest": build_digest()}))
"""
ZERO_FEES: Final = """
import msgspec
from decimal import Decimal
from tradewind.lab.preflight import exchange as broken
honest_schedule = broken.load_schedule
broken.load_schedule = lambda name: msgspec.structs.replace(
    honest_schedule(name), maker_bps=Decimal(0), taker_bps=Decimal(0))
"""


def _environment(context: ProbeContext, prelude: str = "") -> Facts:
    from tradewind.venues.paper.schedule import fee_e6bp, load_schedule

    del context
    # The interpreter is ours, the program is a constant.
    ran = subprocess.run(  # noqa: S603 - see above
        [sys.executable, "-c", f"{prelude}\n{EGRESS}"],
        capture_output=True, timeout=CHILD_DEADLINE_S, check=False,
    )  # fmt: skip
    if ran.returncode != 0:
        raise CannotMeasureError(
            f"the paper process ended with {ran.returncode}: {ran.stderr.decode()[-300:]}"
        )
    seen = json.loads(ran.stdout.splitlines()[-1])
    schedule = load_schedule("binance-spot-vip0")
    return {
        **seen,
        "schedule": [fee_e6bp(schedule.maker_bps), fee_e6bp(schedule.taker_bps)],
        "checked_on": schedule.checked_on,
        "today": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "live_digest": build_digest(),
    }


def _fee_age_days(facts: Facts) -> float:
    """Days since the schedule was compared; a market that charges anything else has no schedule at all."""
    charged, schedule = facts["fees"], facts["schedule"]
    if charged != schedule or not all(charged):
        return NEVER
    try:
        checked = datetime.date.fromisoformat(facts["checked_on"])
    except ValueError:
        return NEVER
    return float((datetime.date.fromisoformat(facts["today"]) - checked).days)


def _summarise_environment(facts: Facts) -> Mapping[str, MeasuredValue]:
    egress = len(facts["connections"]) + len(facts["signers"]) + len(facts["succeeded"])
    # A process that placed no order proves nothing about where orders go.
    traded = int(facts["orders"])
    return {
        "order_egress_attempts_succeeded": count(egress, traded),
        "fee_schedule_age_days": MeasuredValue(_fee_age_days(facts), "days", 1),
        "same_build_as_live": MeasuredValue(int(facts["digest"] == facts["live_digest"]), "bool", 1),
    }


environment = drill(
    "paper-environment",
    observe=_environment,
    broken=lambda context: _environment(context, ZERO_FEES),
    summarise=_summarise_environment,
    provenance="emulated",
    not_run=(
        "real depth of a live venue: this machine has none",
        "latencies measured at the account's venue",
    ),
)


# ---- paper-setup-and-launch -----------------------------------------------------------------------------

LAUNCH_BLOCK: Final = re.compile(r"^```sh launch\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NEEDS_VARIABLE: Final = """
import os, sys
if "TRADEWIND_LICENCE" not in os.environ:
    sys.exit("TRADEWIND_LICENCE is not set")
"""


def launch_commands(text: str) -> list[list[str]]:
    """The documented commands. Raises CannotMeasureError when the page has none."""
    blocks = LAUNCH_BLOCK.findall(text)
    commands = [shlex.split(line) for block in blocks for line in block.splitlines() if line.strip()]
    if not commands or any(one[0] != "tradewind" for one in commands):
        raise CannotMeasureError("docs/paper.md documents no launch")
    return commands


def _launch(context: ProbeContext, prelude: str = "") -> Facts:
    commands = launch_commands((context.require_source() / "docs" / "paper.md").read_text(encoding="utf-8"))
    folder = context.scratch / "clean"
    folder.mkdir()
    # A user who has just logged in: no settings of ours, only what finds the program.
    kept = ("PATH", "PYTHONPATH", "LANG", "VIRTUAL_ENV")
    clean = {name: os.environ[name] for name in kept if name in os.environ} | {"HOME": str(folder)}
    begin_s, failed, output = time.monotonic(), 0, ""
    first_fill_s = NEVER
    try:
        for _, *arguments in commands:
            # The port of the documentation may be in use here; nothing else is changed.
            ran = subprocess.run(  # noqa: S603 - commands of our own documentation
                [sys.executable, "-c", f"{prelude}\n{START}", *arguments, "--port", "0"],
                cwd=folder, env=clean, capture_output=True, timeout=LAUNCH_LIMIT_S, check=False,
                stdin=subprocess.DEVNULL,
            )  # fmt: skip
            failed += ran.returncode != 0
            output += ran.stderr.decode(errors="replace")[-300:]
        while not failed and time.monotonic() - begin_s < LAUNCH_LIMIT_S:
            if any(one.stat().st_size for one in folder.glob("data/campaigns/*/fills.series")):
                first_fill_s = time.monotonic() - begin_s
                break
            time.sleep(POLL_S)
    finally:
        _end(folder / "data" / "campaign.pid")
    return {"commands": len(commands), "failed": failed, "first_fill_s": first_fill_s, "output": output}


def _end(pid_file: Path) -> None:
    """Kills the campaign that was started, and only that."""
    with contextlib.suppress(OSError, ValueError, KeyError, ProcessLookupError):
        content = json.loads(pid_file.read_text())
        if process_started_ticks(content["pid"]) == content["started_ticks"]:
            os.kill(content["pid"], signal.SIGKILL)


def _summarise_launch(facts: Facts) -> Mapping[str, MeasuredValue]:
    return {
        "manual_edits": count(facts["failed"], facts["commands"]),
        "time_to_first_fill_s": MeasuredValue(round(facts["first_fill_s"], 3), "s", 1),
    }


launch = drill(
    "paper-setup-and-launch",
    observe=_launch,
    broken=lambda context: _launch(context, NEEDS_VARIABLE),
    summarise=_summarise_launch,
    provenance="emulated",
)


# ---- paper-day2-error-handling --------------------------------------------------------------------------

BUY_TICKS: Final = 5_000_100
"""The best ask of the drill's book: a buy there fills at once."""


@contextlib.contextmanager
def _replaced(owner: Any, name: str, other: Any) -> Iterator[None]:
    """Another attribute for a while."""
    own = name in vars(owner)
    honest = getattr(owner, name)
    setattr(owner, name, other)
    try:
        yield
    finally:
        if own:
            setattr(owner, name, honest)
        else:
            delattr(owner, name)


class _Faults:
    """One trading world, and every class of error in it, one after the other, while it trades."""

    def __init__(self, world: World) -> None:
        self.world, self.trader = world, world.trader
        self.cases: list[dict[str, Any]] = []
        self.fills: list[FillEvent] = []
        world.venue.subscribe(lambda one: self.fills.append(one) if isinstance(one, FillEvent) else None)

    async def run(self) -> Facts:
        """All cases; then what ledger and engine differ by."""
        for inject in (
            self.market_lost, self.refused_by_filter, self.denied_by_risk, self.restricted,
            self.duplicate_fill, self.cancel_race, self.repeated_order,
        ):  # fmt: skip
            seen = await inject()
            recovered = await self.trades()
            expected = {"class": EXPECTED[inject.__name__], "trades again": True}
            self.cases.append(case(inject.__name__, expected, {"class": seen, "trades again": recovered}))
        differences = [str(one) for one in await self.trader.reconcile()]
        acts = sum(one.latching for one in self.trader.states.active())
        return {"cases": self.cases, "differences": differences, "halts": acts, "fills": len(self.fills)}

    async def trades(self) -> bool:
        """Whether a small order is filled now, without anybody's help."""
        before = len(self.fills)
        await self._buy()
        await self._pause()
        return len(self.fills) > before

    async def _buy(self, lots: int = 10, **changes: Any) -> tuple[list[Any], str | None]:
        values: dict[str, Any] = {
            "symbol": SYMBOL, "side": Side.BUY, "price_ticks": BUY_TICKS, "lots": lots, "post_only": False,
            "time_in_force": TimeInForce.IOC,
        }  # fmt: skip
        async with self.world.session.lock:
            return await self.trader.submit(PlaceIntent(**(values | changes)), path=RiskPath.MANUAL)

    async def _pause(self, seconds: float = 12.0) -> None:
        """Market data goes on, and with it the time."""
        for _ in range(int(seconds)):
            await self.world.session.sleep_ns(1_000_000_000)
            await self.world.live()

    async def market_lost(self) -> str:
        """The outside book is away: nothing new is risked against its last picture."""
        await self.world.state(BookState.SUSPECT)
        denied, _ = await self._buy()
        await self.world.live()
        return "denied" if denied else "accepted"

    async def refused_by_filter(self) -> str:
        """An order that the venue's filters refuse, past our own checks."""
        answers: list[Any] = []
        order = NewOrder(client_id="twfilter0000000001", symbol=SYMBOL, side=Side.BUY, price_ticks=1, lots=1)
        self.world.venue.send(order, self.trader.oms.identity.epoch, answers.append)
        await self.world.session.sleep_ns(1_000_000_000)
        answer = answers[0] if answers else None
        return "rejected" if isinstance(answer, Rejected) and answer.code else f"{answer!r}"

    async def denied_by_risk(self) -> str:
        """An order far above the order value."""
        denied, _ = await self._buy(lots=1_000_000)
        return "denied" if denied and all(one.code for one in denied) else "accepted"

    async def restricted(self) -> str:
        """The engine takes no orders for now, as when the disk is down to its reserve."""
        port = self.world.port
        honest = port.submit

        async def refuse(commands: Any, notes: Any = ()) -> Any:
            if commands:
                raise PortRestricted("CAPACITY_EXCEEDED")
            return await honest(commands, notes)

        with _replaced(port, "submit", refuse):
            before = len(self.fills)
            await self._buy()
            await self.world.session.sleep_ns(1_000_000_000)
            filled = len(self.fills) > before
        return "filled" if filled else "refused for now"

    async def duplicate_fill(self) -> str:
        """The private stream tells the last execution a second time."""
        await self.trades()
        before = self.trader.ledger.total("BTC")
        for listener in list(self.world.venue._listeners):
            listener(self.fills[-1])
        return "ignored" if self.trader.ledger.total("BTC") == before else "booked twice"

    async def cancel_race(self) -> str:
        """A cancel for an order that has ended."""
        _, client_id = await self._buy()
        await self.world.session.sleep_ns(1_000_000_000)
        async with self.world.session.lock:
            denied, _ = await self.trader.submit(CancelIntent(client_id=client_id or "", reason="drill"))
        return "nothing to cancel" if not denied else "denied"

    async def repeated_order(self) -> str:
        """The same order again and again within a second."""
        codes = [bool((await self._buy(lots=11))[0]) for _ in range(6)]
        return "throttled" if codes[-1] and not codes[0] else f"{codes}"


EXPECTED: Final = {
    "market_lost": "denied",
    "refused_by_filter": "rejected",
    "denied_by_risk": "denied",
    "restricted": "refused for now",
    "duplicate_fill": "ignored",
    "cancel_race": "nothing to cancel",
    "repeated_order": "throttled",
}


def _errors(context: ProbeContext) -> Facts:
    del context

    async def run() -> Facts:
        world = await (await World.open()).live()
        return await _Faults(world).run()

    return asyncio.run(run())


def _swallowed(context: ProbeContext) -> Facts:
    """The handler of fills fails, and nobody hears of it."""
    with _replaced(Oms, "on_fill", lambda self, event: None):
        return _errors(context)


def _summarise_errors(facts: Facts) -> Mapping[str, MeasuredValue]:
    cases = facts["cases"]
    handled = sum(one["seen"] == one["expected"] for one in cases)
    breaks = len(facts["differences"]) + int(facts["halts"])
    return {
        "fault_classes_handled": ratio(handled, len(cases)),
        "ledger_breaks": count(breaks, max(1, int(facts["fills"]))),
    }


errors = drill(
    "paper-day2-error-handling",
    observe=_errors,
    broken=_swallowed,
    summarise=_summarise_errors,
    provenance="virtual",
    not_run=("the same faults within busy hours of a campaign with a live market",),
)
