"""kill -9 at the six points around a submit (T7.11): one order per intent, or a record that ends it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from venue_world import LocalVenue

HERE = Path(__file__).resolve().parent
DEADLINE_S = 90.0
UNSENT = {1, 2, 3}
"""Points at which no byte has left."""


@pytest.fixture
async def local(tmp_path: Path) -> AsyncIterator[LocalVenue]:
    venue = await LocalVenue.open(tmp_path / "exchange")
    yield venue
    await venue.close()


async def run(local: LocalVenue, data: Path, point: int, policy: str) -> tuple[int, str]:
    """One process's life: its exit status and what it printed."""
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        str(HERE / "desk_child.py"),
        str(data),
        local.gateway.url,
        local.gateway.socket_url,
        str(point),
        policy,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([*sys.path])},
    )
    async with asyncio.timeout(DEADLINE_S):
        out, _ = await child.communicate(f"{local.key}\n{local.secret}\n".encode())
    assert child.returncode is not None
    return child.returncode, out.decode()


def reported(out: str) -> dict[str, Any]:
    lines = [line for line in out.splitlines() if line.startswith("REPORT ")]
    assert lines, out
    found: dict[str, Any] = json.loads(lines[-1].removeprefix("REPORT "))
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("point", "policy"), [*((point, "resend") for point in range(1, 7)), (3, "abandon"), (4, "abandon")]
)
async def test_a_kill_around_a_submit_leaves_one_order_per_intent_or_its_end(
    local: LocalVenue, tmp_path: Path, point: int, policy: str
) -> None:
    code, out = await run(local, tmp_path / "desk", point, policy)
    assert code == -signal.SIGKILL, out
    code, out = await run(local, tmp_path / "desk", 0, policy)
    assert code == 0, out
    found = reported(out)
    at_venue = [one.client_id for one in local.orders()]
    assert len(at_venue) == len(set(at_venue)), "no client id twice"
    assert set(at_venue) <= set(found["orders"]), "no orphan at the venue"
    assert set(found["orders"].values()) <= {"working", "abandoned"}
    working = [name for name, state in found["orders"].items() if state == "working"]
    assert sorted(working) == sorted(at_venue)
    if point == 1:
        assert found["orders"] == {}, "nothing was journaled"
    if point > 2:
        assert len(found["orders"]) == 1
    if point > 2 and policy == "resend":
        assert len(at_venue) == 1, "exactly one"
    if point in UNSENT and policy == "abandon":
        assert at_venue == [], "nothing had left, and nothing leaves later"
    if point > 4:
        assert len(at_venue) == 1, "it was accepted, and it is adopted"
    totals = {asset: amount for asset, amount in local.totals().items() if amount}
    assert {asset: Decimal(text) for asset, text in found["ledger"].items() if Decimal(text)} == totals
