"""kill -9 at the six points around a submit (T7.11) at every venue: one order per intent, or its end.

`TRADEWIND_DESK_KILLS` says how many drawn kills each point has at each venue (default 1): other orders,
cancels and executions around it, and the kill up to ten milliseconds later, from `TRADEWIND_DESK_SEED` on.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from desk_bench import VENUES, venue_at

from tradewind.readiness.probes.desk_lives import kills

KILLS = int(os.environ.get("TRADEWIND_DESK_KILLS", "1"))
SEED = int(os.environ.get("TRADEWIND_DESK_SEED", "20261122"))


@pytest.mark.slow
@pytest.mark.parametrize("point", range(1, 7))
@pytest.mark.parametrize("venue", VENUES)
async def test_a_kill_around_a_submit_leaves_one_order_per_intent_or_its_end(
    tmp_path: Path, venue: str, point: int
) -> None:
    drawn = [(SEED + 1_000_003 * point + number, None) for number in range(KILLS)]
    async with venue_at(tmp_path, venue) as local:
        verdict = await kills(local, tmp_path / "desk", point, [(0, True), (0, False), *drawn])
        print(venue, point, verdict)
        assert verdict.wrong == []
        assert verdict.kills >= 2 + KILLS * 9 // 10, "the kills happened"
