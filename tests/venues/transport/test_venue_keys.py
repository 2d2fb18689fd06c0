"""Records of venue keys: one purpose, one unit, and no nonces when their mark was lost (T3.2, T3.5, T3.7)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tradewind.cli import run
from tradewind.venues.transport.keys import (
    KeyFolder,
    KeyPurpose,
    UnknownKey,
    WrongPurpose,
    fingerprint,
)
from tradewind.venues.transport.lease import KeyBusy
from tradewind.venues.transport.nonce import NonceStateLost, NonceUnit, NonceUnitMismatch

KEY = fingerprint("kraken", "public-id")


def used(folder: KeyFolder) -> int:
    """Registers the key, takes a nonce and stops cleanly; the last nonce."""
    folder.register("kraken", "public-id", label="desk")
    lock, nonces = folder.open(KEY)
    last = nonces.next()
    nonces.close()
    lock.release()
    return last


def test_a_key_counts_as_used_before_its_first_nonce_and_its_lost_mark_stops_it(tmp_path: Path) -> None:
    folder = KeyFolder(tmp_path)
    assert folder.records() == []
    last = used(folder)
    assert folder.record(KEY).used and "public-id" not in (folder.folder / f"{KEY}.key").read_text()
    assert folder.register("kraken", "public-id").label == "desk"
    (folder.folder / f"{KEY}.nonce").unlink()
    with pytest.raises(NonceStateLost):
        folder.open(KEY)
    assert folder.status(KEY)["fault"] == "NonceStateLost"
    with pytest.raises(ValueError, match="reason"):
        folder.reseed(KEY, 60, " ")
    assert folder.reseed(KEY, 60, "disk replaced").high_water > last + 59_000_000
    lock, nonces = folder.open(KEY)
    assert nonces.next() > last
    nonces.close()
    lock.release()
    notes = [json.loads(line) for line in (folder.folder / f"{KEY}.journal").read_text().splitlines()]
    assert [(one["act"], one["reason"]) for one in notes] == [("reseed", "disk replaced")]


def test_a_key_in_use_cannot_be_reseeded_or_migrated_or_opened_again(tmp_path: Path) -> None:
    folder = KeyFolder(tmp_path)
    used(folder)
    lock, nonces = folder.open(KEY)
    for act in (
        lambda: folder.open(KEY),
        lambda: folder.reseed(KEY, 60, "why"),
        lambda: folder.migrate(KEY),
    ):
        with pytest.raises(KeyBusy):
            act()
    assert " on " in folder.status(KEY)["holder"]
    nonces.close()
    lock.release()
    assert folder.status(KEY)["holder"] == ""


def test_trading_keys_and_tool_keys_do_not_mix_and_units_do_not_change_by_themselves(tmp_path: Path) -> None:
    folder = KeyFolder(tmp_path)
    folder.register("kraken", "public-id")
    with pytest.raises(WrongPurpose):
        folder.register("kraken", "public-id", purpose=KeyPurpose.TOOLS)
    with pytest.raises(WrongPurpose):
        folder.open(KEY, purpose=KeyPurpose.TOOLS)
    with pytest.raises(NonceUnitMismatch):
        folder.register("kraken", "public-id", unit=NonceUnit.NS)
    with pytest.raises(UnknownKey):
        folder.open("../../etc")


def test_migration_happens_once_and_is_mended_when_it_was_interrupted(tmp_path: Path) -> None:
    folder = KeyFolder(tmp_path)
    last = used(folder)
    before = (folder.folder / f"{KEY}.key").read_bytes()
    folder.migrate(KEY)
    (folder.folder / f"{KEY}.key").write_bytes(before)
    assert folder.status(KEY)["fault"] == "NonceUnitMismatch"
    folder.migrate(KEY)
    with pytest.raises(NonceUnitMismatch):
        folder.migrate(KEY)
    lock, nonces = folder.open(KEY)
    assert nonces.next() > last * 1_000
    nonces.close()
    lock.release()
    other = folder.register("binance", "x").fingerprint
    assert folder.migrate(other) is None and folder.record(other).unit is NonceUnit.NS


def test_the_command_lists_reseeds_and_migrates(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = KeyFolder(tmp_path)

    def keys(*arguments: str) -> tuple[int, str]:
        code = run(["keys", *arguments, "--data", str(tmp_path)])
        shown = capsys.readouterr()
        return code, shown.out + shown.err

    assert keys("list")[0] == 0
    used(folder)
    (folder.folder / f"{KEY}.nonce").write_text("{}")
    code, text = keys("list", "--json")
    assert code == 1 and json.loads(text)["keys"][0]["fault"] == "NonceStateLost"
    assert keys("reseed", "nothing", "--ahead-s", "60", "--reason", "x")[0] == 2
    assert keys("reseed", KEY, "--ahead-s", "5", "--reason", "x")[0] == 2
    assert keys("reseed", KEY, "--ahead-s", "60", "--reason", "restored from a copy")[0] == 0
    lock, nonces = folder.open(KEY)
    code, text = keys("migrate-unit", KEY)
    assert code == 75 and "in use by process" in text
    nonces.close()
    lock.release()
    assert keys("migrate-unit", KEY)[0] == 0
    code, text = keys("migrate-unit", KEY)
    assert code == 78 and "NonceUnitMismatch" in text


def test_a_damaged_record_and_a_full_folder_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = KeyFolder(tmp_path)
    folder.register("kraken", "public-id")
    monkeypatch.setattr("tradewind.venues.transport.keys.MAX_KEYS", 1)
    with pytest.raises(ValueError, match="at most 1 keys"):
        folder.register("kraken", "another")
    (folder.folder / f"{KEY}.key").write_text("{")
    with pytest.raises(NonceStateLost, match="damaged"):
        folder.records()


def test_a_key_that_cannot_be_opened_is_given_back(tmp_path: Path) -> None:
    folder = KeyFolder(tmp_path)
    used(folder)
    (folder.folder / f"{KEY}.nonce").write_text("{}")
    for _ in range(2):
        with pytest.raises(NonceStateLost):
            folder.open(KEY)
