"""Stopping in order, dying without order, and coming back."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Callable
from pathlib import Path

from .conftest import Running, tradewind

Start = Callable[..., Running]


def test_an_interrupt_cancels_own_orders_verifies_and_exits_zero(start: Start) -> None:
    running = start("--strategy", "none").trading()
    price = str(int(float(running.json("market", "show", "BTC/USDT")["best_bid"])) - 200)
    placed = running.json("order", "place", "buy", "0.001", "BTC/USDT", "--price", price)
    assert running.stop(signal.SIGTERM) == 0, running.log.read_text()
    rows = [
        json.loads(line)
        for line in tradewind("journal", "export", "--data", str(running.data)).out.splitlines()
    ]
    ended = [
        one for one in rows if one["name"] == "OrderCancelled" and one["fields"]["order"] == placed["value"]
    ]
    assert len(ended) == 1, "the order was cancelled by the stop"
    assert rows[-1]["name"] == "SnapshotTaken", "the journal was sealed"
    assert not (running.data / "run.json").exists()


def test_everything_comes_back_after_an_orderly_stop(start: Start) -> None:
    running = start("--strategy", "none").trading()
    running.json("account", "open", "erin")
    running.json("collateral", "deposit", "7.5", "USDT", "--account", "erin", "--external-id", "e")
    assert running.stop() == 0
    again = start("--strategy", "none", data=running.data).trading()
    [row] = again.json("collateral", "balances", "--account", "erin")["balances"]
    assert (row["asset"], row["free"]) == ("USDT", "7.5")
    # A long path breaks the line before "resumed".
    again.until("told that the log goes on", lambda: "resumed at command" in again.log.read_text())


def test_kill_9_under_load_loses_nothing_that_was_acknowledged(start: Start) -> None:
    running = start().trading()
    running.json("account", "open", "frank")
    acknowledged: list[str] = []

    def deposits() -> None:
        for number in range(200):
            name = f"d{number}"
            ran = running.run(
                "collateral", "deposit", "1", "USDT", "--account", "frank", "--external-id", name, "--json"
            )
            if ran.code != 0:
                return
            acknowledged.append(name)

    load = threading.Thread(target=deposits)
    load.start()
    running.until("loaded", lambda: len(acknowledged) >= 5)
    running.kill()
    load.join()
    assert tradewind("journal", "verify", "--data", str(running.data)).code == 0
    replayed = tradewind("journal", "replay", "--data", str(running.data), "--json").json
    assert replayed["equal"] is True
    again = start(data=running.data).trading()
    [row] = again.json("collateral", "balances", "--account", "frank")["balances"]
    assert int(row["free"]) >= len(acknowledged) >= 5
    for name in acknowledged:
        repeated = again.run(
            "collateral", "deposit", "1", "USDT", "--account", "frank", "--external-id", name, "--json"
        )
        assert repeated.json["error"]["code"] == "DUPLICATE_DEPOSIT", name
    trading = again.json("status")["status"]["trading"]
    assert trading["state"] == "normal", f"recovery reconciled: {trading}"


def test_a_halt_works_with_the_core_dead_and_the_next_start_obeys_it(start: Start) -> None:
    running = start("--strategy", "none").trading()
    price = str(int(float(running.json("market", "show", "BTC/USDT")["best_bid"])) - 200)
    placed = running.json("order", "place", "buy", "0.001", "BTC/USDT", "--price", price)
    running.kill()
    halted = running.json("halt", "the core is dead")
    assert (halted["outcome"], halted["orders_before"], halted["orders_after"]) == ("verified", 1, 0)
    assert running.json("halt", "again")["outcome"] == "no_effect"
    assert running.run("flatten", "no").code == 69, "without a market nothing can be reduced"
    again = start("--strategy", "none", data=running.data).trading()
    assert again.json("status")["status"]["trading"]["state"] == "halted"
    assert again.json("order", "show", str(placed["value"]))["status"] == "cancelled"


def test_other_starting_funds_than_the_first_ones_are_a_conflict(start: Start) -> None:
    running = start("--cash", "500 USDT", "--for", "1s")
    assert running.process.wait(30) == 0
    other = tradewind("up", "--data", str(running.data), "--port", "0", "--cash", "600 USDT", "--json")
    assert (other.code, other.json["error"]["code"]) == (78, "CONFIG_CONFLICT")


def test_a_damaged_log_refuses_the_start_and_names_the_place(start: Start, tmp_path: Path) -> None:
    running = start("--for", "2s")
    assert running.process.wait(30) == 0
    [segment] = list((running.data / "journal").glob("*.twj")) or list(
        (running.data / "journal").glob("*seg*")
    )
    content = bytearray(segment.read_bytes())
    content[6_000] ^= 1
    segment.write_bytes(bytes(content))
    verified = tradewind("journal", "verify", "--data", str(running.data), "--json")
    assert (verified.code, verified.json["error"]["code"]) == (1, "JOURNAL_CORRUPT")
    refused = tradewind("up", "--data", str(running.data), "--port", "0", "--feed", "generated", "--json")
    assert (refused.code, refused.json["error"]["code"]) == (1, "JOURNAL_CORRUPT")
