"""The command tree, exit statuses, and the verbs that need no running platform."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tradewind.api.identities import open_identities
from tradewind.cli import program
from tradewind.cli.exit_codes import MEANINGS, ExitCode
from tradewind.core import commands as build
from tradewind.core import journal as log
from tradewind.core.engine import GenesisConfig, Grant
from tradewind.node.service import NodeService

from .conftest import in_process, tradewind

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
async def data(tmp_path: Path) -> Path:
    """A data directory with a short log: two accounts, an asset, one deposit, one refused command, one
    note.
    """
    identities = open_identities(tmp_path)
    system, operator = identities.key("system"), identities.key("operator")
    now_ns = time.time_ns()
    genesis = GenesisConfig(now_ns, [Grant(*grant) for grant in identities.grants(now_ns)])
    async with await NodeService.start(
        tmp_path, genesis=genesis, segment_bytes=1 << 20, reserve_bytes=0
    ) as node:
        opened = [
            build.open_account(principal=system, client_key=bytes(16), owner_key=identities.key(name))
            for name in ("operator", "trader")
        ]
        await node.submit(opened)
        asset = build.register_asset(principal=operator, client_key=b"1" * 16, symbol="USDT")
        assert [one.accepted for one in await node.submit([asset, asset])] == [True, False]
        await node.record(1, 9, json.dumps({"kind": "test"}).encode())
    return tmp_path


def test_every_verb_of_the_tree_can_be_imported_and_has_help() -> None:
    app = program.build_app()
    for name in program.VERBS:
        command = app[name]
        assert command.help, name


def test_help_lists_the_verbs_and_the_exit_statuses() -> None:
    ran = tradewind("--help")
    assert ran.code == 0
    assert all(re.search(rf"\b{name}\b", ran.out) for name in program.VERBS)
    flat = " ".join(ran.out.split())
    assert all(f"{code.value} {text}" in flat for code, text in MEANINGS.items())


def test_help_imports_neither_engine_nor_server() -> None:
    script = (
        "import sys; from tradewind.cli import run; run(['--help']); "
        "heavy = {'tradewind._core', 'fastapi', 'nicegui', 'uvicorn', 'msgspec'} & set(sys.modules); "
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


def test_the_page_of_exit_statuses_names_every_one() -> None:
    page = (ROOT / "docs" / "exit-codes.md").read_text()
    rows = dict(re.findall(r"^\| (\d+) \| `\w+` \| (.+?) \|$", page, re.MULTILINE))
    assert rows == {str(code.value): text for code, text in MEANINGS.items()}
    assert set(MEANINGS) == set(ExitCode)


@pytest.mark.parametrize(
    "arguments", [("bogus",), ("up", "--bogus"), ("order", "place", "hold", "1", "BTC/USDT"), ("halt",)]
)
def test_wrong_usage_exits_2(arguments: tuple[str, ...]) -> None:
    assert tradewind(*arguments).code == 2


@pytest.mark.parametrize(
    "arguments",
    [("status",), ("market", "list"), ("halt", "reason"), ("order", "list"), ("collateral", "balances")],
)
def test_verbs_that_need_a_platform_exit_69_without_one(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    ran = tradewind(*arguments, "--data", str(tmp_path), "--json")
    assert (ran.code, ran.json["error"]["code"]) == (69, "NOT_RUNNING")


def test_a_run_file_of_a_dead_process_is_not_believed(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(json.dumps({"pid": 1, "port": 1, "url": "http://localhost:1"}))
    (tmp_path / "api.token").write_text("x" * 43)
    assert tradewind("status", "--data", str(tmp_path)).code == 69


def test_a_venue_without_a_connector_says_so_and_exits_2(tmp_path: Path) -> None:
    ran = tradewind("venue", "status", "mtgox", "--data", str(tmp_path), "--json")
    assert (ran.code, ran.json["error"]["code"]) == (2, "UnknownVenue")


def test_journal_verbs_without_a_journal_exit_2(tmp_path: Path) -> None:
    for verb in ("verify", "tail", "export", "replay", "snapshot"):
        ran = tradewind("journal", verb, "--data", str(tmp_path), "--json")
        assert (ran.code, ran.json["error"]["code"]) == (2, "NO_JOURNAL"), verb


def test_verify_and_replay_agree_offline(data: Path) -> None:
    verified = tradewind("journal", "verify", "--data", str(data), "--json").json
    replayed = tradewind("journal", "replay", "--data", str(data), "--json").json
    assert verified["last_seq"] == replayed["replayed_commands"] == replayed["next_seq"] - 1
    assert replayed["equal"] is True


def test_a_flipped_bit_anywhere_is_found_and_located(data: Path) -> None:
    [segment] = (data / "journal").glob("*.twj")
    whole = segment.read_bytes()
    used = log.verify(data / "journal").bytes
    for place in range(0, used, max(1, used // 7)):
        damaged = bytearray(whole)
        damaged[place] ^= 0x10
        segment.write_bytes(bytes(damaged))
        ran = in_process("journal", "verify", "--data", str(data), "--json")
        found = ran.code == 1 and ran.json["error"]["code"].startswith("JOURNAL")
        torn = ran.code == 0 and ran.json["torn_tail"] is not None
        assert found or torn, f"byte {place}: {ran}"
    segment.write_bytes(whole)
    assert tradewind("journal", "verify", "--data", str(data)).code == 0


def test_export_gives_every_command_result_event_and_record(data: Path, tmp_path: Path) -> None:
    lines = tradewind("journal", "export", "--data", str(data)).out.splitlines()
    rows = [json.loads(line) for line in lines]
    commands = [one for one in rows if one["type"] == "command"]
    assert [one["seq"] for one in commands] == list(range(1, len(commands) + 1))
    assert [one["name"] for one in commands[:3]] == ["OpenAccount", "OpenAccount", "RegisterAsset"]
    assert commands[3]["fields"]["result"] == {"accepted": False, "code": "ALREADY_EXISTS", "value": 0}
    [note] = [one for one in rows if one["type"] == "record"]
    assert note["fields"] == {"kind": 9, "content": {"kind": "test"}}
    target = tmp_path / "log.csv"
    assert tradewind("journal", "export", str(target), "--format", "csv", "--data", str(data)).code == 0
    with target.open(newline="") as file:
        table = list(csv.DictReader(file))
    assert [one["name"] for one in table] == [one["name"] for one in rows]
    again = tradewind("journal", "export", str(target), "--data", str(data), "--json")
    assert (again.code, again.json["error"]["code"]) == (2, "FILE_EXISTS"), (
        "an old export is never overwritten"
    )


def test_tail_shows_refusals_with_their_names(data: Path) -> None:
    ran = tradewind("journal", "tail", "--data", str(data))
    assert "ALREADY_EXISTS" in ran.out
    assert "AssetRegistered" in ran.out


def test_tail_follows_what_is_written_later(data: Path) -> None:
    command = [
        sys.executable,
        "-u",
        "-c",
        "from tradewind.cli import main; main()",
        "journal",
        "tail",
        "--follow",
        "--lines",
        "1",
        "--json",
        "--data",
        str(data),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as tail:
        try:
            assert tail.stdout is not None
            first = json.loads(tail.stdout.readline())
            tradewind("journal", "snapshot", "--data", str(data))
            following = json.loads(tail.stdout.readline())
            tail.send_signal(2)
            assert tail.wait(20) == 0
        finally:
            tail.kill()
    assert following["name"] == "SnapshotTaken"
    assert following["seq"] > first["seq"]


def test_a_proof_convinces_a_stranger_and_a_forged_one_does_not(data: Path, tmp_path: Path) -> None:
    proof = tmp_path / "three.proof"
    made = tradewind("journal", "prove", "3", "--data", str(data), "--output", str(proof), "--json").json
    assert (made["valid"], made["command"]["name"]) == (True, "RegisterAsset")
    check = ("journal", "prove", "--check", str(proof), "--json", "--root")
    assert in_process(*check, made["root"]).json["command"]["seq"] == 3
    wrong_root = tradewind(*check, "ab" * 32)
    assert (wrong_root.code, wrong_root.json["valid"]) == (1, False)
    content = bytearray(proof.read_bytes())
    for place in range(0, len(content), len(content) // 11):
        forged = bytearray(content)
        forged[place] ^= 1
        proof.write_bytes(bytes(forged))
        assert in_process(*check, made["root"]).code == 1, f"byte {place}"
    assert tradewind("journal", "prove", "99", "--data", str(data)).code == 1
    assert tradewind("journal", "prove", "--data", str(data)).code == 2
    assert tradewind("journal", "prove", "--check", str(proof), "--root", "xyz").code == 2


def test_replay_rebuilds_a_database_that_holds_the_balances(data: Path, tmp_path: Path) -> None:
    pytest.importorskip("sqlalchemy")
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    document = tradewind("journal", "replay", "--data", str(data), "--into", url, "--json").json
    assert document["projection"]["applied_seq"] == document["next_seq"] - 1
    nowhere = tradewind(
        "journal", "replay", "--data", str(data), "--into", "sqlite:////proc/no/such.db", "--json"
    )
    assert (nowhere.code, nowhere.json["error"]["code"]) == (2, "NO_DATABASE")


def test_a_reader_that_goes_away_ends_the_output_quietly(data: Path) -> None:
    export = f"{sys.executable} -c 'from tradewind.cli import main; main()' journal export --data {data}"
    command = f"{export} | head -n 1"
    ran = subprocess.run(command, shell=True, capture_output=True, text=True, check=False, env={**os.environ})
    assert ran.stderr == ""
    assert len(ran.stdout.splitlines()) == 1


def test_validate_names_what_it_ran_and_exits_by_the_verdict(tmp_path: Path) -> None:
    green = tradewind("validate", "V02", "v09", "--data", str(tmp_path), "--json")
    assert green.code == 0, green
    assert [one["id"] for one in green.json["checks"]] == ["V02", "V09"]
    assert len(green.json["build_hash"]) == 64
    (tmp_path / "trader.log").write_text("api_secret=AbCdEf0123456789AbCdEf0123456789\n")
    red = tradewind("validate", "V26", "--data", str(tmp_path), "--json")
    assert (red.code, red.json["checks"][0]["verdict"]) == (1, "fail"), red
    table = tradewind("validate", "V09", "V26", "--data", str(tmp_path))
    assert table.code == 1
    assert "RED" in table.out and "trader.log" in table.out
    unknown = tradewind("validate", "V99", "--data", str(tmp_path), "--json")
    assert (unknown.code, unknown.json["error"]["code"]) == (2, "UNKNOWN_CHECK")
