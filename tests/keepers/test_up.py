"""Workers inside of a real `tradewind up`, and alone beside it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

TRADEWIND = [sys.executable, "-c", "from tradewind.cli import main; main()"]
DEADLINE_S = 40.0


class Up:
    """A running platform with a generated market that the operator has chosen."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.log = data.parent / "up.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *options: str) -> None:
        command = [*TRADEWIND, "up", "--data", str(self.data), "--port", "0", "--feed", "generated", *options]
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [*command, "--strategy", "none"], stdout=output, stderr=subprocess.STDOUT
            )
        self.until(lambda: self.run("status", "--json").returncode == 0)

    def stop(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGINT)
        status = self.process.wait(DEADLINE_S)
        self.process = None
        return status

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [*TRADEWIND, *arguments, "--data", str(self.data)]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    def json(self, *arguments: str) -> Any:
        ran = self.run(*arguments, "--json")
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return json.loads(ran.stdout)

    def api(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        from tradewind.cli.client import Client

        client = Client(self.data)
        return client.get(path) if method == "GET" else client.post(path, body)

    def until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while not condition():
            assert self.process is not None
            assert self.process.poll() is None and time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.1)

    def workers(self) -> dict[str, dict[str, Any]]:
        return {one["name"]: one for one in self.api("GET", "/status")["workers"]}

    def sources(self) -> dict[str, Any]:
        return {one["name"]: one for one in self.api("GET", "/feeds/BTC-USDT")["sources"]}

    def updates(self) -> int:
        return int(self.api("GET", "/feeds/BTC-USDT")["updates"])

    def sequence(self, name: str) -> int:
        return int(self.api("GET", f"/sources/{name}")["feeds"][0]["source_seq"])


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    one = Up(tmp_path / "data")
    yield one
    if one.process is not None and one.process.poll() is None:
        one.process.kill()
        one.process.wait()


def open_feed(up: Up) -> None:
    up.api("POST", "/feeds", {"symbol": "BTC-USDT", "quorum": 2})
    for name, weight in (("oracle-1", 34), ("oracle-2", 33), ("oracle-3", 33)):
        up.api("POST", "/feeds/BTC-USDT/sources", {"source": name, "weight": weight})


def open_keeper(up: Up) -> None:
    up.api("POST", "/assets", {"symbol": "MMT", "stake": True})
    up.api("POST", "/accounts", {"name": "keeper-1"})
    body = {"account": "keeper-1", "asset": "MMT", "amount": "2000", "external_id": "stake"}
    up.api("POST", "/deposits", body)
    body = {"account": "keeper-1", "capabilities": ["crank", "trigger"], "stake": "1500"}
    up.api("POST", "/keepers", body)


@pytest.mark.slow
def test_sources_publish_in_up_go_on_after_a_restart_and_run_alone(up: Up) -> None:
    up.start()
    assert up.workers() == {}
    open_feed(up)
    up.until(lambda: {f"oracle:oracle_{n}" for n in (1, 2, 3)} <= set(up.workers()))
    up.until(lambda: up.updates() >= 3)
    first = up.sequence("oracle_1")
    assert all(one["gate"] == "pass" for one in up.sources().values())
    assert up.run("oracle", "run", "--feed", "generated").returncode == 75
    assert "oracle:oracle_1 running" in up.run("status").stdout
    assert up.stop() == 0

    up.start("--no-keepers")
    before = up.sequence("oracle_1")
    assert before >= first
    time.sleep(1.5)
    assert (up.sequence("oracle_1"), up.workers()) == (before, {})
    row = up.json("oracle", "run", "--as", "oracle-1", "--feed", "generated", "--once")
    assert (row["accepted"], row["rejected"]) == (1, {}), row
    assert up.sequence("oracle_1") > before
    last = up.sequence("oracle_2")
    assert up.stop() == 0

    up.start()
    up.until(lambda: len(up.workers()) == 3 and up.sequence("oracle_2") > last)
    rejected = [one["rejected"] for one in up.workers().values()]
    assert rejected == [{}, {}, {}]
    assert up.stop() == 0


@pytest.mark.slow
def test_the_command_line_signs_prices_with_keys_from_files_only(up: Up) -> None:
    up.start("--no-keepers")
    open_feed(up)
    keys = up.data / "keys"
    priced = ("oracle", "publish", "BTC-USDT", "60000", "--confidence", "5")

    def code(*options: str) -> str:
        ran = up.run(*priced, *options, "--json")
        return str(json.loads(ran.stdout)["error"]["code"]) if ran.returncode else ""

    assert code() == ""
    assert code("--as", "oracle-2", "--bid", "59999", "--ask", "60001") == ""
    third = up.data / "third.key"
    third.write_text((keys / "oracle_3.key").read_text())
    third.chmod(0o644)
    assert code("--key", str(third)) == "KEY_EXPOSED"
    third.chmod(0o600)
    assert code("--key", str(third), "--deployment", "00" * 32) == "PUBLICATION_FOREIGN"
    deployment = up.json("oracle", "show", "BTC-USDT")["deployment"]
    assert code("--key", str(third), "--deployment", deployment) == ""
    assert code("--key", str(third), "--deployment", "abc") == "BAD_HEX"
    assert code("--key", str(up.data / "none.key")) == "KEY_NOT_FOUND"
    assert code("--as", "trader") == "PERMISSION_DENIED"
    assert [row["value"] for row in up.sources().values()] == ["60000"] * 3
    unsigned = {"value": "60000", "actor": "oracle-1"}
    from tradewind.cli.failure import CommandFailure

    with pytest.raises(CommandFailure) as refused:
        up.api("POST", "/feeds/BTC-USDT/prices", unsigned)
    assert refused.value.code == "PUBLICATION_UNSIGNED"
    proven = up.json("oracle", "verify")
    assert up.stop() == 0
    # What the engine refused is in the log, and signed too; the same without a platform.
    assert (proven["publications"], proven["unproven"], proven["deployment"]) == (4, [], deployment)
    assert up.json("oracle", "verify") == proven


@pytest.mark.slow
def test_a_keeper_works_in_up_and_alone_and_its_removal_is_shown(up: Up) -> None:
    up.start()
    open_keeper(up)
    up.until(lambda: {row["state"] for row in up.workers().values()} == {"running"})
    assert set(up.workers()) == {"funding:keeper_1", "trigger:keeper_1"}
    refused = up.run("keeper", "run", "funding", "--json")
    assert refused.returncode == 75, refused.stdout
    assert json.loads(refused.stdout)["error"]["code"] == "LOCKED"
    up.api("POST", "/keepers/remove", {"keeper": "keeper-1"})
    up.until(lambda: {row["state"] for row in up.workers().values()} == {"ended"})
    assert up.workers()["funding:keeper_1"]["detail"].startswith("KEEPER_NOT_REGISTERED")
    alarms = [one["code"] for one in up.api("GET", "/status")["alarms"]]
    assert "WORKER_ENDED" in alarms
    gone = up.run("keeper", "run", "funding", "--once", "--json")
    assert gone.returncode == 1, gone.stdout
    assert json.loads(gone.stdout)["error"]["code"] == "KEEPER_NOT_REGISTERED"
    body = {"account": "keeper-1", "capabilities": ["crank"], "stake": "500"}
    up.api("POST", "/deposits", {"account": "keeper-1", "asset": "MMT", "amount": "1000", "external_id": "2"})
    up.api("POST", "/keepers", {**body, "stake": "1000"})
    up.until(lambda: up.workers().get("funding:keeper_1", {}).get("state") == "running")
    assert up.stop() == 0


@pytest.mark.slow
def test_a_worker_alone_survives_a_restart_of_the_platform(up: Up) -> None:
    up.start("--no-keepers")
    open_keeper(up)
    command = [*TRADEWIND, "keeper", "run", "trigger", "--data", str(up.data), "--json"]
    worker = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ)
    try:
        time.sleep(1.5)
        assert up.stop() == 0
        time.sleep(0.7)
        assert worker.poll() is None
        up.start("--no-keepers")
        time.sleep(1.0)
        assert worker.poll() is None
        up.api("POST", "/keepers/remove", {"keeper": "keeper-1"})
        out, _ = worker.communicate(timeout=DEADLINE_S)
    finally:
        worker.kill()
    assert worker.returncode == 1
    assert b"KEEPER_NOT_REGISTERED" in out
    assert up.stop() == 0


@pytest.mark.slow
def test_the_demonstration_is_made_once_and_leaves_the_paper_trader_alone(up: Up) -> None:
    up.start("--exchange-demo")
    up.until(lambda: {"funding:keeper_1", "oracle:oracle_3"} <= set(up.workers()))
    up.until(lambda: up.updates() >= 2)
    before = up.api("GET", "/markets/BTC-PERP/leverage")
    assert before["feed"] == "BTC-USDT"
    assert [alarm for alarm in up.api("GET", "/status")["alarms"] if alarm["severity"] == "critical"] == []
    assert up.stop() == 0
    up.start("--exchange-demo")
    up.until(lambda: len(up.workers()) == 6)
    names = [one["symbol"] for one in up.api("GET", "/markets")["markets"]]
    assert sorted(names) == ["BTC-PERP", "BTC/USDT"]
    assert len(up.api("GET", "/keepers")["keepers"]) == 1
    assert up.stop() == 0
