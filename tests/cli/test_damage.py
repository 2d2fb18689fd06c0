"""What an operator sees when files of the installation are damaged, lost or foreign: one typed line, its
exit status, no trace, and nothing carried on as if all were well.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tradewind.cli import program
from tradewind.cli.exit_codes import ExitCode

from .conftest import Ran, Running, in_process, tradewind

Start = Callable[..., Running]


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory that ran and was stopped in order; each test damages a copy."""
    running = Running(tmp_path_factory.mktemp("stopped") / "data", "--for", "2s")
    assert running.process.wait(30) == 0, running.log.read_text()
    (running.data / "journal" / "reserve.bin").unlink()
    return running.data


@pytest.fixture
def data(stopped: Path, tmp_path: Path) -> Path:
    target = tmp_path / "data"
    shutil.copytree(stopped, target)
    return target


def segment_of(data: Path) -> Path:
    [segment] = (data / "journal").glob("*.twj")
    return segment


def flip(path: Path, offset: int) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        [byte] = file.read(1)
        file.seek(offset)
        file.write(bytes([byte ^ 4]))


def end_of_blocks(data: Path) -> int:
    return len(segment_of(data).read_bytes().rstrip(b"\0"))


def up(data: Path, *options: str) -> Ran:
    ran = tradewind(
        "up", "--data", str(data), "--port", "0", "--feed", "generated", "--for", "1s", "--json", *options
    )
    assert "Traceback" not in ran.out + ran.err, ran
    return ran


def refusal(ran: Ran) -> tuple[int, str]:
    """Exit status and code of the last line, behind what was printed while it still worked."""
    assert ran.out.count('"error"') == 1, ran
    return ran.code, ran.out.partition('"error"')[2].split('"code": "')[1].split('"')[0]


def test_damage_in_the_middle_is_named_by_verify_replay_tail_export_prove_and_up(data: Path) -> None:
    flip(segment_of(data), end_of_blocks(data) // 2)
    verbs = (("verify",), ("replay",), ("tail",), ("export",), ("prove", "1"))
    for verb in verbs:
        ran = in_process("journal", *verb, "--data", str(data), "--json")
        assert refusal(ran) == (ExitCode.RED, "JOURNAL_CORRUPT"), verb
        assert "offset" in ran.out, verb
    assert refusal(up(data)) == (ExitCode.RED, "JOURNAL_CORRUPT")


def test_a_log_cut_behind_its_back_is_not_carried_on(data: Path) -> None:
    """The closing snapshot proves that the lost end was durable once."""
    end = end_of_blocks(data)
    with segment_of(data).open("r+b") as file:
        file.truncate(end // 2)
    for verb in ("verify", "replay"):
        ran = in_process("journal", verb, "--data", str(data), "--json")
        assert refusal(ran) == (ExitCode.RED, "JOURNAL_CORRUPT"), verb
    ran = up(data)
    assert refusal(ran) == (ExitCode.RED, "JOURNAL_CORRUPT")
    assert "durable blocks were lost" in ran.out


def test_a_lost_genesis_is_a_damaged_journal_and_not_an_empty_directory(data: Path) -> None:
    (data / "journal" / "genesis").unlink()
    assert refusal(up(data)) == (ExitCode.RED, "JOURNAL_CORRUPT")
    verified = in_process("journal", "verify", "--data", str(data), "--json")
    assert refusal(verified) == (ExitCode.RED, "JOURNAL_CORRUPT")
    (data / "journal" / "genesis").write_bytes(b"")
    ran = up(data)
    assert refusal(ran) == (ExitCode.RED, "INVALID_GENESIS")
    assert "journal/genesis" in ran.out


def test_a_damaged_or_exposed_token_refuses_the_start(data: Path) -> None:
    token = data / "api.token"
    for content in (b"", b"\xbd" * 60, b"short"):
        token.write_bytes(content)
        assert refusal(up(data)) == (ExitCode.CONFIG, "KEY_DAMAGED"), content
    token.write_text("x" * 43)
    token.chmod(0o644)
    assert refusal(up(data)) == (ExitCode.CONFIG, "KEY_EXPOSED")


def test_keys_of_another_installation_can_neither_trade_on_this_log_nor_halt_it(data: Path) -> None:
    shutil.rmtree(data / "keys")
    assert refusal(up(data)) == (ExitCode.CONFIG, "KEY_MISMATCH")
    halted = in_process("halt", "night", "--data", str(data), "--json")
    assert refusal(halted) == (ExitCode.CONFIG, "KEY_MISMATCH")


def test_a_damaged_key_refuses_the_start(data: Path) -> None:
    (data / "keys" / "trader.pub").write_bytes(b"\xf2" * 64)
    assert refusal(up(data)) == (ExitCode.CONFIG, "KEY_DAMAGED")


def test_a_profile_that_is_missing_or_no_profile_is_a_configuration_error(tmp_path: Path) -> None:
    broken = tmp_path / "broken.toml"
    broken.write_text("x = [")
    for profile in ("nosuch", str(broken)):
        assert refusal(up(tmp_path / "data", "--profile", profile)) == (ExitCode.CONFIG, "BAD_PROFILE")


def test_starting_funds_in_the_traded_asset_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    data = tmp_path / "data"
    ran = up(data, "--cash", "500 USDT", "--cash", "1 BTC")
    assert refusal(ran) == (ExitCode.CONFIG, "BAD_CASH")
    assert not data.exists(), "the next start must not find funds that were refused"


def test_what_the_operating_system_refuses_is_named_with_its_file(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("not a folder")
    ran = up(tmp_path)
    assert refusal(ran) == (ExitCode.CANNOT, "EEXIST")
    assert str(tmp_path / "logs") in ran.out


def test_a_defect_of_the_program_is_one_line_with_its_place(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr("tradewind.cli.client.Client.get", broken)
    (tmp_path / "run.json").write_text('{"port": 1}')
    (tmp_path / "api.token").write_text("x" * 43)
    ran = in_process("status", "--data", str(tmp_path))
    assert ran.code == ExitCode.CANNOT
    assert ran.err.startswith("INTERNAL_ERROR: ZeroDivisionError at tradewind.cli.status:")
    assert "Traceback" not in ran.err
    monkeypatch.setenv(program.TRACEBACK, "1")
    assert "Traceback" in in_process("status", "--data", str(tmp_path)).err


def test_journal_verbs_name_what_is_wrong_with_their_arguments(data: Path) -> None:
    wrong = (
        (("export", "--from-seq=-1"), "BAD_SEQ"),
        (("prove", "0"), "BAD_SEQ"),
        (("tail", "--lines", "0"), "BAD_LINES"),
        (("replay", "--into", "nonsense"), "NO_DATABASE"),
        (("replay", "--into", "oracle://user:secret@127.0.0.1/x"), "MISSING_EXTRA"),
    )
    for verb, code in wrong:
        ran = in_process("journal", *verb, "--data", str(data), "--json")
        assert refusal(ran) == (ExitCode.CANNOT, code), verb
        assert "secret" not in ran.out + ran.err
