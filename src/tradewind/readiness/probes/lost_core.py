"""Drills of the watchdog: a real core process and a real watchdog process at a local venue, and a fault.

The core reaches the venue through a relay of its own, so that its network can be cut without the watchdog's.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import signal
import sys
from pathlib import Path
from typing import Any, Final

import msgspec

from tradewind.gateways.keys import Right, new_key
from tradewind.readiness.errors import CannotMeasureError
from tradewind.readiness.probes.control_child import Core
from tradewind.readiness.probes.desk_world import ACCOUNT, LocalVenue
from tradewind.readiness.probes.relay import LOOPBACK, Relay
from tradewind.trader.heartbeat import boot_now_ns

LOOK_EVERY_S: Final = 0.02
START_S: Final = 60.0
NEVER_S: Final = 3_600.0
KILL: Final = "killed"
STOP: Final = "stopped"
CUT: Final = "cut off"
BOTH_KILLED: Final = "killed with its watchdog"
FAULTS: Final = (KILL, STOP, CUT, BOTH_KILLED)


class Child:
    """A process with lines of JSON on its standard output."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[dict[str, Any]] = []
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def start(cls, log: Path, *arguments: str) -> Child:
        """The interpreter with these arguments; what it says on standard error goes into a file."""
        with log.open("ab") as errors:
            process = await asyncio.create_subprocess_exec(
                sys.executable, *arguments, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
                stderr=errors,
            )  # fmt: skip
        return cls(process)

    async def _read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            with contextlib.suppress(msgspec.DecodeError):
                self.lines.append(msgspec.json.decode(line))

    def saw(self, event: str, **facts: Any) -> dict[str, Any] | None:
        """The first line of this event with these facts."""
        for line in self.lines:
            if line.get("event") == event and facts.items() <= line.items():
                return line
        return None

    def signal(self, number: int) -> None:
        """A signal, if it still runs."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)

    async def end(self) -> None:
        """kill -9, and whatever it said before."""
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGKILL)
        await self.process.wait()
        await self._reading


async def until(condition: Any, patience_s: float) -> bool:
    """Whether it became true in time."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(patience_s):
            while not condition():  # noqa: ASYNC110 several processes
                await asyncio.sleep(LOOK_EVERY_S)
    return bool(condition())


async def lose(
    folder: Path, fault: str, *, prelude: str = "", patience_s: float = 75.0, purpose: str = "timer",
    orders: int = 20, protective: int = 0,
) -> dict[str, Any]:  # fmt: skip
    """One drill. `prelude` is Python that runs in the watchdog first: where a mutation breaks it.

    Raises:
        CannotMeasureError: a process did not start.
    """
    folder.mkdir(parents=True)  # noqa: ASYNC240 a drill of its own
    local = await LocalVenue.open(folder / "exchange")
    relay = Relay(local.port)
    await relay.start()
    children: list[Child] = []
    try:
        task = Core(
            place=local.place(folder / "core"), heartbeat=str(folder / "heartbeat"), orders=orders,
            protective=protective, purpose=purpose,
        )  # fmt: skip
        core = await _core(folder, local, relay, task)
        children.append(core)
        dog = await _dog(folder, local, purpose, prelude)
        children.append(dog)
        started = await until(lambda: dog.saw("watching") or dog.process.returncode is not None, START_S)
        if not started or dog.process.returncode is not None:
            raise CannotMeasureError(f"no watchdog: {_tail(folder / 'dog.err')}")
        before = len(local.working())
        fault_ns = boot_now_ns()
        if fault == BOTH_KILLED:
            await _both_killed(core, dog)
            children.append(await _dog(folder, local, purpose, prelude))
        else:
            _strike(fault, core, relay)
        left = protective if purpose == "stops" else 0
        gone = await until(lambda: len(local.working()) <= left, patience_s)
        gone_ns = boot_now_ns()
        await until(lambda: _acts(folder, "verified"), 5.0)
        rung = core.saw("rung", rung="REDUCE_ONLY")
        closes = sum(one.lots for one in local.exchange.fills(ACCOUNT, limit=1_000))
        return {
            "fault": fault,
            "orders_before": before,
            "orders_gone_s": (gone_ns - fault_ns) / 1e9 if gone else NEVER_S,
            "reduce_only_s": None if rung is None else (rung["boot_ns"] - fault_ns) / 1e9,
            "closes": closes,
            "left": sorted(str(one.client_id) for one in local.working()),
            "protective": sorted((core.saw("ready") or {}).get("protective", [])),
            "acts": [line["act"] for line in _journal(folder)],
        }
    finally:
        for child in children:
            await child.end()
        await relay.close()
        await local.close()


def _strike(fault: str, core: Child, relay: Relay) -> None:
    if fault == CUT:
        relay.cut()
    else:
        core.signal(signal.SIGSTOP if fault == STOP else signal.SIGKILL)


async def _both_killed(core: Child, dog: Child) -> None:
    """Core and watchdog die together; a supervisor starts the watchdog again."""
    for child in (core, dog):
        child.signal(signal.SIGKILL)
        await child.process.wait()


async def _core(folder: Path, local: LocalVenue, relay: Relay, task: Core) -> Child:
    address, through = f"{LOOPBACK}:{local.port}", f"{LOOPBACK}:{relay.port}"
    place = msgspec.structs.replace(
        task.place,
        url=task.place.url.replace(address, through),
        socket_url=task.place.socket_url.replace(address, through),
    )
    core = await Child.start(folder / "core.err", "-m", "tradewind.readiness.probes.control_child")
    assert core.process.stdin is not None
    core.process.stdin.write(msgspec.json.encode(msgspec.structs.replace(task, place=place)) + b"\n")
    await core.process.stdin.drain()
    if not await until(lambda: core.saw("ready") or core.process.returncode is not None, START_S):
        raise CannotMeasureError(f"no core: {_tail(folder / 'core.err')}")
    if core.saw("ready") is None:
        raise CannotMeasureError(f"the core ended: {_tail(folder / 'core.err')}")
    return core


async def _dog(folder: Path, local: LocalVenue, purpose: str, prelude: str) -> Child:
    file = folder / "watchdog.env"
    if not file.exists():
        key = new_key(ACCOUNT, rights=(Right.READ, Right.CANCEL))
        local.exchange.keys.add(key)
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as text:
            text.write(f"API_KEY={key.key}\nAPI_SECRET={base64.b64encode(key.secret).decode()}\n")
    return await Child.start(
        folder / "dog.err", "-c", f"{prelude}\nfrom tradewind.cli import main; main()", "watchdog", "kraken",
        "--account", ACCOUNT, "--heartbeat", str(folder / "heartbeat"), "--credentials", str(file),
        "--purpose", purpose, "--url", local.gateway.url, "--no-page", "--data", str(folder / "dog"),
        "--json",
    )  # fmt: skip


def _journal(folder: Path) -> list[dict[str, Any]]:
    path = folder / "dog" / "watchdog" / f"kraken-{ACCOUNT}" / "journal.jsonl"
    return [msgspec.json.decode(line) for line in path.read_bytes().splitlines()] if path.exists() else []


def _acts(folder: Path, act: str) -> bool:
    return any(line["act"] == act for line in _journal(folder))


def _tail(path: Path) -> str:
    return path.read_text(errors="replace")[-300:] if path.exists() else "nothing"
