"""`tradewind execute` and `tradewind tca` against a running platform, and on its journal after kill -9."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Running, in_process

Start = Callable[..., Running]
ICEBERG = ("execute", "iceberg", "BTC/USDT", "buy", "0.003", "--completion", "cancel-rest")
PASSIVE = ("execute", "passive", "BTC/USDT", "buy", "0.002", "--completion", "cross-at-end")


def test_a_parent_from_the_command_line_is_filled_and_explained(platform: Running, tmp_path: Path) -> None:
    opened = platform.json(
        *PASSIVE, "--completion-bps", "20", "--minutes", "0.2", "--as", "operator_2", "--reason", "try"
    )
    number = opened["number"]
    assert (opened["state"], opened["actor"]) == ("working", "operator_2")

    def ended() -> bool:
        return str(platform.json("execute", "show", str(number))["state"]) == "completed"

    platform.until("filled", ended)
    shown = platform.json("execute", "show", str(number))
    assert shown["filled"] == "0.002"
    assert {child["kind"] for child in shown["children"]} <= {"rest", "cross"}
    assert number in [row["number"] for row in platform.json("execute", "list")["executions"]]
    report = platform.json("tca", "--parent", str(number))
    (row,) = report["parents"]
    assert (row["filled"], row["state"]) == ("0.00200", "completed")
    assert row["shortfall"]["fees"] == shown["fees"] or float(row["shortfall"]["fees"]) > 0
    pytest.importorskip("matplotlib")
    page, picture = tmp_path / "tca.html", tmp_path / "tca.png"
    ran = platform.run("tca", "--parent", str(number), "--html", str(page), "--png", str(picture))
    assert ran.code == 0, ran
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert "Implementation shortfall" in page.read_text()


def test_pause_resume_cancel_and_refusals_have_exit_statuses(platform: Running) -> None:
    number = str(
        platform.json("execute", "iceberg", "BTC/USDT", "buy", "0.002", "--completion", "cancel-rest")[
            "number"
        ]
    )
    assert platform.json("execute", "pause", number, "look")["state"] == "paused"
    assert platform.json("execute", "resume", number, "fine")["state"] == "working"
    platform.json("execute", "cancel", number, "enough")
    platform.until("cancelled", lambda: platform.json("execute", "show", number)["state"] == "cancelled")
    again = platform.run("execute", "pause", number, "late", "--json")
    assert (again.code, again.json["error"]["code"]) == (1, "PARENT_ENDED")
    small = platform.run(
        "execute", "twap", "BTC/USDT", "buy", "0.0001", "--completion", "cancel-rest", "--json"
    )
    assert (small.code, small.json["error"]["code"]) == (1, "PARENT_TOO_SMALL")
    assert platform.run("execute", "twap", "BTC/USDT", "buy", "0.01").code == 2
    unknown = platform.run("tca", "--parent", "999", "--json")
    assert (unknown.code, unknown.json["error"]["code"]) == (1, "UNKNOWN_PARENT")


def test_after_kill_9_the_parent_goes_on_and_the_journal_can_be_read(start: Start) -> None:
    first = start("--strategy", "none").trading()
    first.json(*ICEBERG, "--display", "0.001")
    first.until("worked", lambda: float(first.json("execute", "show", "1")["filled"]) > 0)
    first.kill()
    offline = in_process("tca", "--data", str(first.data), "--json")
    assert offline.code == 0
    assert float(json.loads(offline.out)["parents"][0]["filled"]) > 0
    second = start("--strategy", "none", data=first.data).trading()
    second.until("completed", lambda: second.json("execute", "show", "1")["state"] == "completed")
    shown = second.json("execute", "show", "1")
    assert shown["filled"] == "0.003"
    balances = second.json("collateral", "balances")
    assert "0.003" in json.dumps(balances)


def test_a_curve_is_built_from_candles_and_refused_from_too_few(tmp_path: Path) -> None:
    week_ns = 7 * 86_400 * 10**9
    start_ns = 1_704_067_200 * 10**9
    for week in range(5):
        with gzip.open(tmp_path / f"{week}.csv.gz", "wt", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["open_time_ns", "open", "high", "low", "close", "volume"])
            for hour in range(168):
                writer.writerow([start_ns + week * week_ns + hour * 3_600 * 10**9, 1, 1, 1, 1, 1 + hour % 24])
    out = tmp_path / "curve.json"
    files = [str(tmp_path / f"{week}.csv.gz") for week in range(5)]
    built = in_process(
        "execute", "curve", "build", *files, "--symbol", "BTC/USDT", "-o", str(out),
        "--event", "2026-12-25=0.4", "--json",
    )  # fmt: skip
    assert built.code == 0, built
    assert built.json["weeks"] == 5
    assert json.loads(out.read_text())["events"]["2026-12-25"] == ["0.4"] * 24
    few = in_process(
        "execute", "curve", "build", *files[:3], "--symbol", "BTC/USDT", "-o", str(out), "--json"
    )
    assert (few.code, few.json["error"]["code"]) == (1, "NO_VOLUME_CURVE")
