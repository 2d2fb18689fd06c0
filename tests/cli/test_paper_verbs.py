"""`tradewind paper` as an operator uses it: a real short campaign, killed, continued, stopped, reported."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from .conftest import TRADEWIND, in_process, tradewind

DEADLINE_S = 60.0
OPTIONS = ("--feed", "generated", "--port", "0", "--hours", "1")


class Campaign:
    """A running campaign in a folder of its own."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.data, self.reports = folder / "data", folder / "reports"
        self.log = folder / "out"
        where = ("--data", str(self.data), "--reports", str(self.reports))
        with self.log.open("a") as output:
            self.process = subprocess.Popen(
                [*TRADEWIND, "paper", "start", *where, *(options or OPTIONS)],
                stdout=output, stderr=subprocess.STDOUT,
            )  # fmt: skip

    def until(self, condition: Any) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while not condition():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.1)

    def orders(self) -> int:
        return sum(len(one.read_bytes().splitlines()) for one in self.data.glob("campaigns/*/orders.series"))

    def status(self) -> Any:
        return in_process("paper", "status", "--data", str(self.data), "--json").json

    def wait(self) -> int:
        return self.process.wait(DEADLINE_S)


@pytest.fixture(scope="module")
def lived(tmp_path_factory) -> Any:
    """One campaign with two lives: the first was killed, the second was interrupted."""
    folder = tmp_path_factory.mktemp("paper")
    seen: dict[str, Any] = {"folder": folder}
    one = Campaign(folder)
    one.until(lambda: one.orders() > 5)
    seen["running"] = one.status()
    seen["second"] = tradewind("paper", "start", "--data", str(one.data), *OPTIONS)
    one.process.kill()
    one.wait()
    seen["dead"] = one.status()
    seen["dead_code"] = in_process("paper", "status", "--data", str(one.data)).code
    seen["other"] = tradewind("paper", "start", "--data", str(one.data), *OPTIONS[:-1], "2")
    two = Campaign(folder)
    before = two.orders()
    two.until(lambda: (two.data / "campaign.pid").exists() and two.orders() > before)
    seen["resumed"] = two.status()
    two.process.send_signal(signal.SIGINT)
    seen["code"] = two.wait()
    seen["stopped"] = two.status()
    seen["campaign"] = two
    return seen


def test_status_shows_progress_while_it_runs(lived: Any) -> None:
    running = lived["running"]
    assert running["running"]
    assert running["progress"].endswith("h of 1 h")
    assert running["provenance"] == "generated"
    assert running["evidence_hours"] == 0
    assert "C01" in {row["row"] for row in running["red"]}


def test_a_second_campaign_on_the_same_data_is_refused(lived: Any) -> None:
    assert lived["second"].code == 75
    assert "CAMPAIGN_RUNS" in lived["second"].err


def test_status_of_a_dead_process_says_so_and_counts_the_crash(lived: Any) -> None:
    assert not lived["dead"]["running"]
    assert (lived["dead"]["crashes"], lived["dead_code"]) == (1, 69)
    assert not lived["dead"]["finished"]


def test_an_unfinished_campaign_is_not_continued_as_something_else(lived: Any) -> None:
    assert lived["other"].code == 78
    assert "hours: begun with 1.0, now 2.0" in lived["other"].err


def test_after_kill_9_the_same_campaign_goes_on_and_its_restart_counts(lived: Any) -> None:
    assert lived["resumed"]["campaign"] == lived["running"]["campaign"]
    assert (lived["resumed"]["restarts"], lived["resumed"]["crashes"]) == (1, 1)


def test_an_interrupt_stops_in_order_and_keeps_the_campaign(lived: Any) -> None:
    assert lived["code"] == 0
    assert not lived["stopped"]["running"]
    assert not lived["stopped"]["finished"]
    assert lived["stopped"]["crashes"] == 1


def test_every_order_of_both_lives_has_its_end(lived: Any) -> None:
    [path] = lived["campaign"].reports.glob("*/orders.csv")
    head, *rows = [line.split(",") for line in path.read_text().splitlines()]
    ended = {row[head.index("state")] for row in rows if row[head.index("sent_utc")]}
    assert len(rows) >= 3
    assert ended <= {"filled", "cancelled", "expired", "rejected"}


def test_the_report_of_the_stop_is_red_and_made_again_the_same(lived: Any) -> None:
    campaign = lived["campaign"]
    [folder] = campaign.reports.iterdir()
    before = {one.name: one.read_bytes() for one in folder.iterdir()}
    where = ("--data", str(campaign.data), "--reports", str(campaign.reports))
    ran = in_process("paper", "report", *where, "--json")
    assert ran.code == 1
    assert ran.json["red"][0] == "C01"
    assert {one.name: one.read_bytes() for one in folder.iterdir()} == before
    manifest = json.loads(before["manifest.json"])
    assert (manifest["provenance"], manifest["missing"]) == ("generated", [])


def test_stop_without_a_process_says_so_and_end_closes_the_campaign(lived: Any) -> None:
    data = str(lived["campaign"].data)
    assert in_process("paper", "stop", "--data", data).code == 69
    ended = in_process("paper", "stop", "--data", data, "--end", "--json")
    assert (ended.code, ended.json["ended"]) == (0, True)
    assert in_process("paper", "status", "--data", data, "--json").json["finished"]


def test_a_short_campaign_ends_by_itself(tmp_path: Path) -> None:
    campaign = Campaign(tmp_path, "--feed", "generated", "--port", "0", "--hours", "0.002")
    assert campaign.wait() == 1
    status = campaign.status()
    assert status["finished"]
    assert not status["passed"]
    document = json.loads(next(campaign.reports.glob("*/campaign.json")).read_bytes())
    assert document["lives"][0]["ended"] == "finished"
    assert {one["drill"] for one in document["drills"] if one["ran"]} >= {"nonce", "rotation", "kill"}
    kill = next(one for one in document["drills"] if one["drill"] == "kill")
    assert kill["passed"], kill
    last = [one for one in document["drills"] if one["drill"] == "journal"][-1]
    assert last["passed"], last


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("hours = 24\nspeeed = 2.0\n", "speeed"),
        ('hours = "many"\n', "hours"),
        ("hours = 24\n", "hours: 1.0 on the command line, 24"),
        ("hours = -1\n", "-1"),
    ],
)
def test_a_configuration_file_that_is_wrong_is_refused_with_its_cause(
    tmp_path: Path, text: str, cause: str
) -> None:
    file = tmp_path / "campaign.toml"
    file.write_text(text)
    given = ("--hours", "1") if "command" in cause else ()
    ran = in_process("paper", "start", "--data", str(tmp_path / "d"), "--config", str(file), *given)
    assert ran.code == 78
    assert cause in ran.err
    assert not (tmp_path / "d").exists()


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (("--compressed", "--speed", "2"), "CONFIG_CONFLICT"),
        (("--hours", "0"), "BAD_DURATION"),
        (("--hours", "nan"), "BAD_DURATION"),
        (("--feed", "replay"), "NO_RECORDING"),
    ],
)
def test_contradicting_options_refuse_before_anything_is_written(
    tmp_path: Path, options: tuple[str, ...], code: str
) -> None:
    ran = in_process("paper", "start", "--data", str(tmp_path / "d"), *options)
    assert (ran.code, ran.err.split(":")[0]) == (78, code)
    assert not (tmp_path / "d").exists()


def test_verbs_without_any_campaign_say_what_to_do(tmp_path: Path) -> None:
    for verb in ("status", "report", "stop"):
        ran = in_process("paper", verb, "--data", str(tmp_path))
        assert ran.code == 78
        assert "tradewind paper start" in ran.err


def test_detached_it_runs_in_a_session_of_its_own_and_stop_ends_it(tmp_path: Path) -> None:
    where = ("--data", str(tmp_path / "data"), "--reports", str(tmp_path / "reports"))
    ran = tradewind("paper", "start", *where, *OPTIONS, "--detach", "--json", timeout_s=90)
    assert ran.code == 0, ran
    try:
        status = in_process("paper", "status", "--data", str(tmp_path / "data"), "--json").json
        assert (status["running"], status["pid"]) == (True, ran.json["pid"])
    finally:
        stopped = tradewind("paper", "stop", "--data", str(tmp_path / "data"), timeout_s=90)
    assert stopped.code == 0, stopped
    assert not in_process("paper", "status", "--data", str(tmp_path / "data"), "--json").json["running"]
