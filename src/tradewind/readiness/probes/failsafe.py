"""trader-failsafe-paper-mode: a core that trades at a venue loses its signature by one command, and a paper
process never had one.

The venue itself counts what arrives. The paper process trades with every flag set to live, and every
connection that it opens is looked at.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from tradewind.readiness.errors import CannotMeasureError
from tradewind.readiness.probe import ProbeContext, count
from tradewind.readiness.probes.desk_world import LocalVenue
from tradewind.readiness.probes.drill import Facts, drill
from tradewind.readiness.probes.lost_core import Child, until
from tradewind.readiness.record import MeasuredValue

START_S: Final = 60.0
SETTLE_S: Final = 0.5
"""What was on the wire when the command ended arrives within this."""
WATCHED_S: Final = 3.0
LOOK_EVERY_S: Final = 0.02
NEVER_S: Final = 3_600.0
FLAGS: Final = {"TRADEWIND_ENV": "live", "TRADEWIND_LIVE": "1", "API_KEY": "k", "API_SECRET": "c2VjcmV0"}
PAPER: Final = "import sys; from tradewind.lab.preflight.child import main; sys.exit(main(['capability']))"
WITH_A_SIGNER: Final = "import tradewind.security.attesting; " + PAPER


async def _switch(folder: Path) -> dict[str, Any]:
    """A core places orders; the command is given; the venue says when the last one came."""
    folder.mkdir(parents=True)  # noqa: ASYNC240 a drill of its own
    local = await LocalVenue.open(folder / "exchange", hurried=True)
    core = await Child.start(folder / "core.err", "-m", "tradewind.readiness.probes.failsafe_child")
    try:
        assert core.process.stdin is not None
        core.process.stdin.write(msgspec.json.encode(local.place(folder / "core")) + b"\n")
        await core.process.stdin.drain()
        if not await until(lambda: core.saw("trading") or core.process.returncode is not None, START_S):
            raise CannotMeasureError("the core does not trade")
        if core.process.returncode is not None:
            raise CannotMeasureError("the core ended")
        before = len(local.orders())
        began_s = time.monotonic()
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", "from tradewind.cli import main; main()", "failsafe", "drill", "--data",
            str(folder / "core" / "keys"), "--json", stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        output, _ = await process.communicate()
        command_s = time.monotonic() - began_s
        await asyncio.sleep(SETTLE_S)
        at_switch, last_s = len(local.orders()), command_s
        while time.monotonic() - began_s < command_s + WATCHED_S:
            if len(local.orders()) > at_switch:
                last_s = time.monotonic() - began_s
            await asyncio.sleep(LOOK_EVERY_S)
        return {
            "orders_before": before,
            "command_s": command_s,
            "exit": process.returncode,
            "last_order_s": last_s,
            "orders_after": len(local.orders()) - at_switch,
            "alive": core.process.returncode is None,
            "answer": json.loads(output) if output else {},
        }
    finally:
        await core.end()
        await local.close()


async def _paper(script: str) -> dict[str, Any]:
    """A paper process with every flag set to live."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        env={**os.environ, **FLAGS},
    )  # fmt: skip
    output, _ = await process.communicate()
    lines = output.splitlines()
    if process.returncode != 0 or not lines:
        raise CannotMeasureError(f"the paper process ended with {process.returncode}")
    found: dict[str, Any] = json.loads(lines[-1])
    return found


async def _look(folder: Path, script: str) -> dict[str, Any]:
    return {"switch": await _switch(folder), "paper": await _paper(script)}


def _observe(context: ProbeContext) -> Facts:
    return asyncio.run(_look(context.scratch / "failsafe", PAPER))


def _broken(context: ProbeContext) -> Facts:
    """The paper process is built with something that signs."""
    return asyncio.run(_look(context.scratch / "failsafe-broken", WITH_A_SIGNER))


def _summarise(facts: Facts) -> Mapping[str, MeasuredValue]:
    switch, paper = facts["switch"], facts["paper"]
    if not paper["orders"] or not switch["orders_before"]:
        raise CannotMeasureError("nothing was traded, so nothing is shown")
    signed = switch["orders_after"] + len(paper["connections"]) + len(paper["signers"])
    switched = switch["exit"] == 0 and switch["alive"] and switch["answer"].get("out_of_use")
    took_s = switch["last_order_s"] if switched else NEVER_S
    return {
        "signed_orders_from_paper": count(signed, switch["orders_before"] + paper["orders"]),
        "switch_s": MeasuredValue(took_s, "s", 1),
    }


failsafe_paper_mode = drill(
    "trader-failsafe-paper-mode",
    observe=_observe,
    broken=_broken,
    summarise=_summarise,
    provenance="emulated",
)
