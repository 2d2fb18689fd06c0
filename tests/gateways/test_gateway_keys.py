"""Keys of a gateway: durable, private, comparable in constant time, locked when they are abused."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from tradewind.gateways.exchange import Exchange
from tradewind.gateways.keys import (
    FAILURE_WINDOW_NS,
    LOCK_NS,
    ApiKey,
    KeyFileError,
    KeyStore,
    Right,
    equal,
    new_key,
)


def test_keys_survive_in_a_file_that_only_the_owner_reads(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    store = KeyStore(path)
    kept, gone = new_key("demo", rights=[Right.CANCEL]), new_key("other", passphrase=True)
    store.add(kept)
    store.add(gone)
    assert store.remove(gone.key) and not store.remove(gone.key)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    again = KeyStore(path)
    assert list(again) == [kept] and again.find(kept.key) == kept and again.find(gone.key) is None


def test_a_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    KeyStore(path).add(new_key("demo"))
    path.chmod(0o640)
    with pytest.raises(KeyFileError) as refused:
        KeyStore(path)
    assert refused.value.code == "KEYS_EXPOSED"


@pytest.mark.parametrize("content", [b"", b"[", b'[{"key": 1}]', b"{}", b"\xff" * 10])
def test_a_damaged_file_is_refused_without_repeating_it(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "keys.json"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(KeyFileError) as refused:
        KeyStore(path)
    assert refused.value.code == "KEYS_DAMAGED" and refused.value.__cause__ is None


def test_no_secret_is_shown() -> None:
    key = new_key("demo", passphrase=True)
    for text in (repr(key), str(key), f"{[key]}"):
        assert key.secret.decode() not in text and key.passphrase not in text and key.key not in text


def test_rights() -> None:
    trader = ApiKey(key="k", account="a", secret=b"s", rights=frozenset({Right.TRADE}))
    assert trader.allows(Right.CANCEL) and not trader.allows(Right.READ)
    canceller = ApiKey(key="k", account="a", secret=b"s", rights=frozenset({Right.CANCEL}))
    assert canceller.allows(Right.CANCEL) and not canceller.allows(Right.TRADE)


def test_three_bad_signatures_in_a_minute_lock_for_a_minute(tmp_path: Path) -> None:
    store = KeyStore(tmp_path / "keys.json")
    key, other = new_key("demo"), new_key("demo")
    store.add(key)
    store.add(other)
    assert not store.count_failure(key.key, 0)
    assert not store.count_failure(key.key, 1)
    # The first has left the window by now.
    late = FAILURE_WINDOW_NS + 1
    assert not store.count_failure(key.key, late)
    assert store.count_failure(key.key, late)
    assert store.locked(key.key, late + LOCK_NS - 1) and not store.locked(other.key, late)
    assert not store.locked(key.key, late + LOCK_NS)
    assert not store.count_failure(key.key, late + LOCK_NS)


def test_unknown_keys_cannot_fill_the_table(tmp_path: Path) -> None:
    store = KeyStore(tmp_path / "keys.json")
    for number in range(100):
        assert not store.count_failure(f"no such key {number}", number)
    assert not store._failures


def test_signatures_are_compared_as_text_or_bytes() -> None:
    assert equal("abc", b"abc") and equal("é", "é")
    assert not equal("abc", "abd") and not equal("", "a") and not equal("\ud800", "a")


async def test_every_account_of_an_exchange_has_a_key(exchange: Exchange) -> None:
    assert {one.account for one in exchange.keys} == {"demo", "other"}
    assert exchange.keys.of_account("demo")[0].allows(Right.TRADE)
