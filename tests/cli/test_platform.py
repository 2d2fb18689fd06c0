"""A user operates a running platform with the command line alone."""

from __future__ import annotations

import contextlib
import json
import socket
import urllib.request
from collections.abc import Callable
from pathlib import Path

from .conftest import Running, in_process, tradewind

Start = Callable[..., Running]


def test_a_second_process_on_the_same_data_is_refused_at_once(platform: Running) -> None:
    second = tradewind("up", "--data", str(platform.data), "--port", "0", "--feed", "generated", "--json")
    assert second.code == 75, second
    assert second.json["error"]["code"] == "LOCKED"


def test_a_busy_port_is_named_and_leaves_the_data_free(platform: Running, tmp_path: Path) -> None:
    port = json.loads((platform.data / "run.json").read_text())["port"]
    ran = tradewind(
        "up", "--data", str(tmp_path / "other"), "--port", str(port), "--feed", "generated", "--json"
    )
    assert (ran.code, ran.json["error"]["code"]) == (2, "PORT_IN_USE")
    assert tradewind("journal", "verify", "--data", str(tmp_path / "other")).code == 0


def test_console_health_and_metrics_answer_and_the_generated_market_says_so(platform: Running) -> None:
    port = json.loads((platform.data / "run.json").read_text())["port"]

    def get(path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=20) as answer:
            assert answer.status == 200
            return str(answer.read().decode())

    assert json.loads(get("/health"))["feed"]["label"] == "generated"
    assert "tradewind_journal_head_seq" in get("/metrics")
    assert "<html" in get("/").lower()
    assert platform.json("status")["status"]["feed"]["generated"] is True
    assert "GENERATED" in platform.log.read_text()


def test_three_hundred_connections_that_never_finish_their_request_shut_nobody_out(
    platform: Running,
) -> None:
    address = ("127.0.0.1", json.loads((platform.data / "run.json").read_text())["port"])
    with contextlib.ExitStack() as held:
        for _ in range(300):
            held.enter_context(socket.create_connection(address, timeout=20)).sendall(b"GET / HTTP/1.1\r\n")
        with urllib.request.urlopen(f"http://127.0.0.1:{address[1]}/health", timeout=2) as answer:
            assert answer.status == 200


def test_a_manual_order_of_the_trader_lives_through_its_whole_life(platform: Running) -> None:
    market = platform.json("market", "show", "BTC/USDT")
    price = str(int(float(market["best_bid"])) - 200)
    placed = platform.json("order", "place", "buy", "0.001", "BTC/USDT", "--price", price)
    number = str(placed["value"])
    assert placed["effect"]["state"] == "working"
    assert [one["order"] for one in platform.json("order", "list")["orders"]] == [placed["value"]]
    higher = str(int(price) + 1)
    platform.json("order", "replace", number, "--price", higher)
    assert platform.json("order", "show", number)["price"] == higher
    assert platform.json("order", "cancel", number)["effect"]["state"] == "cancelled"
    assert platform.json("order", "list")["orders"] == []


def test_risk_denies_a_manual_order_by_name_and_nothing_reaches_the_book(platform: Running) -> None:
    ran = platform.run("order", "place", "buy", "1", "BTC/USDT", "--price", "59000", "--json")
    assert ran.code == 1, ran
    error = ran.json["error"]
    assert error["code"] == "RISK_DENIED"
    assert {"OrderQtyLimit", "OrderNotionalLimit"} <= set(error["codes"])
    assert platform.json("order", "list")["orders"] == []


def test_bad_input_is_refused_by_name_on_the_command_line_too(platform: Running) -> None:
    for quantity, price, name in (
        ("NaN", "59000", "NOT_A_NUMBER"),
        ("0.001", "inf", "NOT_A_NUMBER"),
        ("1e-3", "59000", "NOT_A_NUMBER"),
        ("0.001", "59000.001", "TICK_MISALIGNED"),
        ("0.00001", "59000", "LOT_MISALIGNED"),
        ("0", "59000", "INVALID_SIZE"),
    ):
        ran = platform.run("order", "place", "buy", quantity, "BTC/USDT", "--price", price, "--json")
        assert (ran.code, ran.json["error"]["code"]) == (1, name), ran
    unknown = platform.run("order", "place", "buy", "0.001", "BTX/USDT", "--price", "59000")
    assert unknown.code == 1
    assert "BTC/USDT" in unknown.err, "the message suggests the market that was meant"


def test_accounts_markets_and_money_from_nothing(platform: Running) -> None:
    platform.json("account", "open", "carol")
    for asset in ("EUR", "USDC"):
        platform.json("collateral", "asset", "register", asset)
        platform.json(
            "collateral", "deposit", "1000.25", asset, "--account", "carol", "--external-id", f"c-{asset}"
        )
    create = ("--tick-size", "0.0001", "--lot-size", "0.01", "--taker-bps", "10", "--maker-bps", "5")
    platform.json("market", "create", "EUR/USDC", *create)
    order = platform.json("order", "place", "sell", "10", "EUR/USDC", "--price", "1.1", "--account", "carol")
    rows = platform.json("collateral", "balances", "--account", "carol")["balances"]
    assert {(one["asset"], one["free"], one["held"]) for one in rows} == {
        ("EUR", "990.25", "10"),
        ("USDC", "1000.25", "0"),
    }
    platform.json("market", "pause", "EUR/USDC", "--reason", "drill")
    paused = platform.run(
        "order", "place", "sell", "1", "EUR/USDC", "--price", "1.1", "--account", "carol", "--json"
    )
    assert (paused.code, paused.json["error"]["code"]) == (1, "PAUSED")
    assert platform.json("market", "resume", "EUR/USDC")["effect"] == {"resumed": False}
    assert platform.json("market", "resume", "EUR/USDC", "--as", "resumer-2")["effect"] == {"resumed": True}
    platform.json("order", "cancel-after", "60", "--account", "carol")
    platform.json("order", "cancel-all", "--account", "carol")
    assert platform.json("order", "show", str(order["value"]))["status"] == "cancelled"
    platform.json("market", "close", "EUR/USDC")
    assert platform.json("market", "show", "EUR/USDC")["status"] == "closed"


def test_roles_are_listed_granted_and_suspended(platform: Running) -> None:
    platform.json("account", "open", "dave")
    platform.json("role", "grant", "trader", "dave", "--days", "1")
    platform.json("role", "suspend", "dave")
    denied = platform.run("account", "sub", "1", "--owner", "dave", "--json")
    assert (denied.code, denied.json["error"]["code"]) == (1, "PRINCIPAL_SUSPENDED")
    platform.json("role", "reinstate", "dave")
    platform.json("role", "reinstate", "dave", "--as", "role-admin-2")
    platform.json("account", "sub", "1", "--owner", "dave")
    listed = {one["name"]: one for one in platform.json("role", "list")["principals"]}
    assert list(listed["dave"]["roles"]) == ["trader"]


def test_every_table_verb_prints_a_table_and_json(platform: Running) -> None:
    for verb in (
        ("status",),
        ("market", "list"),
        ("market", "book", "BTC/USDT"),
        ("account", "list"),
        ("collateral", "asset", "list"),
        ("collateral", "balances"),
        ("collateral", "list"),
        ("order", "list"),
        ("position", "list"),
        ("position", "limits"),
        ("role", "list"),
        ("venue", "status"),
        ("venue", "symbols"),
        ("venue", "balances"),
        ("venue", "status", "native"),
        ("venue", "symbols", "native"),
        ("venue", "balances", "native"),
        ("venue", "orders", "native"),
        ("venue", "ping", "native"),
    ):
        table = in_process(*verb, "--data", str(platform.data))
        assert table.code == 0 and table.out.strip(), (verb, table)
        assert isinstance(platform.json(*verb), dict), verb


def test_the_log_verifies_while_it_is_written_and_replay_equals_it(platform: Running) -> None:
    assert platform.json("journal", "snapshot")["bytes"] > 0
    assert platform.json("journal", "verify")["verified"] is True
    assert platform.json("journal", "replay")["equal"] is True
    head = platform.json("status")["head"]
    assert len(head["state_hash"]) == 64


def test_tail_follows_the_log(platform: Running) -> None:
    ran = platform.run("journal", "tail", "--lines", "500", "--json")
    assert ran.code == 0
    rows = [json.loads(line) for line in ran.out.splitlines()]
    assert {"event", "record"} & {one["type"] for one in rows}
    assert [one["seq"] for one in rows] == sorted(one["seq"] for one in rows)


def test_halt_is_verified_idempotent_and_resume_waits_for_its_cool_down(start: Start) -> None:
    running = start("--strategy", "none").trading()
    price = str(int(float(running.json("market", "show", "BTC/USDT")["best_bid"])) - 200)
    running.json("order", "place", "buy", "0.001", "BTC/USDT", "--price", price)
    halted = running.json("halt", "drill")
    assert (halted["outcome"], halted["orders_before"], halted["orders_after"]) == ("verified", 1, 0)
    assert running.json("order", "list")["orders"] == []
    assert running.json("halt", "drill again")["outcome"] == "no_effect"
    denied = running.run("order", "place", "buy", "0.001", "BTC/USDT", "--price", price, "--json")
    assert denied.json["error"]["codes"] == ["StateHalted"]
    early = running.run("resume", "too early", "--json")
    assert (early.code, early.json["error"]["result"]["outcome"]) == (1, "refused")
    running.kill()
    again = start("--strategy", "none", data=running.data).trading()
    assert again.json("status")["status"]["trading"]["state"] == "halted", "a halt survives kill -9"
    assert again.json("flatten", "drill")["position_after"] == "0 BTC/USDT"


def test_it_serves_within_its_deadline_and_ends_by_itself(start: Start) -> None:
    running = start("--for", "3s").serving()
    assert running.process.wait(30) == 0
    assert "stopped in order" in running.log.read_text()
    assert not (running.data / "run.json").exists()
