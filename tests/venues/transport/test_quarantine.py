"""A key that was put out of use stays so over restarts, until an operator releases it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tradewind.venues.transport import quarantine
from tradewind.venues.transport.keys import KeyFolder, UnknownKey
from tradewind.venues.transport.lease import KeyBusy, KeyLock
from tradewind.venues.transport.private_http import PrivateHttp
from tradewind.venues.transport.signer import SignerLane


def lane(lock: KeyLock) -> SignerLane:
    return SignerLane(PrivateHttp("http://127.0.0.1:9"), lock=lock, stamp_ms=lambda: 0)


async def test_a_quarantine_survives_the_process_and_ends_by_an_operators_word_alone(tmp_path: Path) -> None:
    keys = KeyFolder(tmp_path)
    name = keys.register("kraken", "id").fingerprint
    first = lane(KeyLock(keys.folder, name))
    first.quarantine("InvalidNonce:other_process")
    await first.close()
    second = lane(KeyLock(keys.folder, name))
    assert second.quarantined == "InvalidNonce:other_process"
    assert keys.status(name)["fault"] == "KeyQuarantined"
    with pytest.raises(KeyBusy):
        keys.release(name, "why not")
    await second.close()
    with pytest.raises(ValueError, match="reason"):
        keys.release(name, " ")
    assert keys.release(name, "the other process was found") == "InvalidNonce:other_process"
    assert b'"act":"release"' in (keys.folder / f"{name}.journal").read_bytes()
    third = lane(KeyLock(keys.folder, name))
    assert third.quarantined == ""
    await third.close()
    with pytest.raises(ValueError, match="not out of use"):
        keys.release(name, "again")
    with pytest.raises(UnknownKey):
        keys.release("0" * 16, "x")


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff" * 100])
def test_a_quarantine_that_cannot_be_read_keeps_the_key_out_of_use(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "k.quarantine"
    assert quarantine.read(path) is None
    path.write_bytes(content)
    found = quarantine.read(path)
    assert found is not None
    assert found.reason == quarantine.UNREADABLE
