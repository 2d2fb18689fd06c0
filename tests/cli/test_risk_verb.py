"""`tradewind risk`: bounds of a profile, refusals from the log alone, and what the command refuses itself."""

from __future__ import annotations

import json
from pathlib import Path

from .conftest import in_process


def test_the_limits_of_a_profile_are_shown_without_a_platform() -> None:
    ran = in_process("risk", "limits", "--profile", "canary", "--json")
    rows = {row["id"]: row for row in json.loads(ran.out)["limits"]}
    assert (rows["L02"]["limit"], rows["L02"]["unit"], rows["L02"]["used"]) == ("5.00", "quote", None)
    assert rows["L01"]["limit"] == "0.001 BTC/USDT"


def test_without_a_log_there_is_nothing_to_explain(tmp_path: Path) -> None:
    assert in_process("risk", "explain", "--data", str(tmp_path)).code == 2
    assert in_process("risk", "explain", "--last", "0", "--data", str(tmp_path)).code == 2


def test_a_reset_needs_a_running_platform(tmp_path: Path) -> None:
    ran = in_process("risk", "reset", "account", "operator", "why", "--data", str(tmp_path))
    assert ran.code == 69
