"""Kill -9 at random moments: verify and replay agree, everything acknowledged is there."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import kill_loop
import pytest


def test_nothing_acknowledged_is_lost_over_six_kills(tmp_path: Path) -> None:
    runs = kill_loop.loop(6, tmp_path, seed=7)
    assert sum(run.acknowledged for run in runs) > 100
    assert all(later.last_seq >= earlier.last_seq for earlier, later in pairwise(runs))


def test_the_check_goes_red_when_an_acknowledged_command_is_missing(tmp_path: Path) -> None:
    run = kill_loop.kill_once(tmp_path, 99, 0.1)
    with pytest.raises(AssertionError, match="acknowledged but not in the log"):
        kill_loop.check(tmp_path / "journal", {run.last_seq + 5: 0})
