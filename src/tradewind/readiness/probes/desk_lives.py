"""Lives of a desk in processes of their own, one after the other, and what must be the same at the venue.

A venue of its own for each series: every life finds what the one before left, and what happened meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from tradewind.readiness.errors import CannotMeasureError
from tradewind.readiness.probes.desk_child import Life, Outcome, Task
from tradewind.readiness.probes.desk_world import LocalVenue
from tradewind.venues.protocol import OrderPhase

LIFE_S: Final = 240.0
ATTEMPTS: Final = 3
"""Lives for one seed until one comes to its kill point."""
ENDED_UNSENT: Final = frozenset({"rejected", "abandoned"})
NOTHING_LEFT: Final = frozenset({1, 2, 3})
"""Points at which no byte of the order has left."""


class Lives:
    """Begins processes from one that has read the program already. `async with`."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Lives:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tradewind.readiness.probes.desk_child", "--serve",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=1 << 24,
        )  # fmt: skip
        return self

    async def __aexit__(self, *error: object) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            async with asyncio.timeout(5):
                await self._process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()

    async def live(self, task: Task) -> Life:
        """One life. Raises CannotMeasureError when it does not end."""
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(msgspec.json.encode(task) + b"\n")
        try:
            async with asyncio.timeout(LIFE_S):
                line = await self._process.stdout.readline()
        except TimeoutError:
            raise CannotMeasureError(f"a desk was not ready within {LIFE_S:g} s") from None
        if not line:
            raise CannotMeasureError("the process that begins desks has ended")
        return msgspec.json.decode(line, type=Life)


class Verdict(msgspec.Struct, kw_only=True):
    """What a series of kills and recoveries showed."""

    kills: int = 0
    missed: int = 0
    """Lives whose order never came to the point: they ended in order, and are compared too."""
    orders: int = 0
    """Intents that the last life knew."""
    at_venue: int = 0
    abandoned: int = 0
    slowest_s: float = 0.0
    wrong: list[str] = []
    """Everything that must not be."""


async def kills(
    local: LocalVenue, folder: Path, point: int, seeds: Sequence[tuple[int, bool | None]]
) -> Verdict:
    """For each seed a life that is killed at a point, and one that recovers and is compared with the venue.
    Seed 0 is the plain case; with it comes whether the order may be sent again (None: drawn too).
    """
    verdict = Verdict(wrong=[])
    known: dict[str, str] = {}
    place = local.place(folder)
    async with Lives() as lives:
        for seed, resend in seeds:
            draw = random.Random(seed)  # noqa: S311 a drill
            again = draw.random() < 0.5 if resend is None else resend
            task = Task(place=place, point=point, send=True, resend=again, seed=seed)
            for _ in range(ATTEMPTS):
                before = {one.client_id for one in local.orders()}
                killed = await lives.live(task)
                if killed.outcome is None:
                    break
                # its order never came to the point: not answered in time, or refused
                verdict.missed += 1
                verdict.wrong += [f"seed {seed}: {one}" for one in judge(local, killed.outcome)]
                known |= killed.outcome.orders
            if killed.outcome is not None:
                continue
            if killed.status != -signal.SIGKILL:
                verdict.wrong.append(f"seed {seed}: not killed but {killed.status}: {killed.said[-400:]}")
                continue
            verdict.kills += 1
            if seed and local.working() and draw.random() < 0.5:
                with contextlib.suppress(CannotMeasureError):  # somebody trades while the desk is dead
                    await local.take(
                        1 + draw.randrange(local.site.lots), draw.choice(local.working()).price_ticks
                    )
            found = await lives.live(Task(place=place))
            if found.outcome is None:
                verdict.wrong.append(f"seed {seed}: recovery ended with {found.status}: {found.said[-400:]}")
                continue
            verdict.wrong += [f"seed {seed}: {one}" for one in judge(local, found.outcome)]
            fresh = {name: state for name, state in found.outcome.orders.items() if name not in known}
            if not seed:
                verdict.wrong += _plain(local, point, again, fresh, before)
            known |= found.outcome.orders
            verdict.slowest_s = max(verdict.slowest_s, found.outcome.slowest_s)
    verdict.orders, verdict.at_venue = len(known), len(local.orders())
    verdict.abandoned = sum(state == "abandoned" for state in known.values())
    return verdict


def judge(local: LocalVenue, found: Outcome) -> list[str]:
    """What is different between a desk at rest and the exchange itself."""
    wrong = [*found.differences]
    if found.blocked:
        wrong.append(f"blocked: {found.blocked}")
    names = [one.client_id for one in local.orders()]
    wrong += [f"{name} has {names.count(name)} orders" for name in set(names) if names.count(name) > 1]
    wrong += [f"{name} is an orphan" for name in set(names) - set(found.orders)]
    for name, state in found.orders.items():
        if (state in ENDED_UNSENT) is (name in names):
            wrong.append(f"{name} is {state} and {'' if name in names else 'not '}there")
    if found.totals != local.totals():
        wrong.append(f"balances: {found.totals} here, {local.totals()} there")
    rests = {one.client_id: [one.price_ticks, one.lots, one.filled_lots] for one in local.working()}
    if rests != found.rests:
        wrong.append(f"resting: {found.rests} here, {rests} there")
    return wrong


def _plain(local: LocalVenue, point: int, resend: bool, fresh: dict[str, str], before: set[str]) -> list[str]:
    """The table of T7.11 for one order."""
    there = {one.client_id for one in local.orders() if one.phase is not OrderPhase.REJECTED} - before
    rules: dict[str, bool] = {
        "point 1 leaves no intent": point != 1 or not fresh,
        "an intent that is on the disk is found": point < 3 or len(fresh) == 1,
        "resend makes exactly one order": not (point > 2 and resend) or len(there) == 1,
        "what had not left does not come": not (point in NOTHING_LEFT and not resend) or not there,
        "what was acknowledged is adopted": point < 5 or len(there) == 1,
    }
    return [f"point {point}: not so: {rule}" for rule, holds in rules.items() if not holds]


def sums(verdicts: list[Verdict]) -> dict[str, Any]:
    """All of them together."""
    return {
        "kills": sum(one.kills for one in verdicts),
        "missed": sum(one.missed for one in verdicts),
        "orders": sum(one.orders for one in verdicts),
        "at_venue": sum(one.at_venue for one in verdicts),
        "abandoned": sum(one.abandoned for one in verdicts),
        "slowest_s": max((one.slowest_s for one in verdicts), default=0.0),
        "wrong": [text for one in verdicts for text in one.wrong],
    }
