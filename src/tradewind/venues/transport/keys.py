"""What this installation knows of its venue keys: never a secret, only what was used, in which unit (T3).

One folder holds `<fingerprint>.key` (the record), `.nonce` (the mark), `.lock`, `.journal` (what operators
did) and `.quarantine` (why it is out of use). A fingerprint is a hash of venue and public key id.
"""

from __future__ import annotations

import hashlib
import time
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import msgspec

from tradewind.venues.transport import durable, nonce, quarantine
from tradewind.venues.transport.lease import KeyLock, holder_of
from tradewind.venues.transport.nonce import Mark, NonceAllocator, NonceClock, NonceError, NonceUnit

FOLDER: Final = Path("state") / "keys"
FINGERPRINT_BYTES: Final = 8
MAX_KEYS: Final = 256
MAX_RECORD_BYTES: Final = 4_096


class KeyPurpose(StrEnum):
    """A key is used for trading, by tools that look, by the watchdog or by the kill process; never for two
    of it.
    """

    TRADING = "trading"
    TOOLS = "tools"
    WATCHDOG = "watchdog"
    KILL = "kill"


class KeyRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One key. `used`: nonces of it may have been sent."""

    fingerprint: str
    venue: str
    label: str
    purpose: KeyPurpose
    unit: NonceUnit
    used: bool = False
    migrated: bool = False


class UnknownKey(KeyError):
    """No key of this fingerprint is registered."""

    code = "UnknownKey"

    def __str__(self) -> str:
        return f"no key {self.args[0]!r}"


class WrongPurpose(PermissionError):
    """A tool was given the trading key, or trading the key of a tool."""

    code = "WrongPurpose"


def fingerprint(venue: str, key_id: str) -> str:
    """Name of a key in files, logs and metrics; the public key id cannot be read from it."""
    return hashlib.blake2b(f"{venue}\0{key_id}".encode(), digest_size=FINGERPRINT_BYTES).hexdigest()


class KeyFolder:
    """The keys below a data directory."""

    def __init__(self, data: Path) -> None:
        self.folder = data / FOLDER

    def register(
        self,
        venue: str,
        key_id: str,
        *,
        label: str = "",
        purpose: KeyPurpose = KeyPurpose.TRADING,
        unit: NonceUnit = NonceUnit.US,
    ) -> KeyRecord:
        """The record of a key; a new one when there is none.

        Raises:
            NonceUnitMismatch: it counts in another unit. WrongPurpose: it is used for something else.
            OSError, ValueError: the folder cannot be written, or is full.
        """
        name = fingerprint(venue, key_id)
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        present = self._read(name)
        if present is None:
            if len(self.records()) >= MAX_KEYS:
                raise ValueError(f"at most {MAX_KEYS} keys")
            used = (self.folder / f"{name}.nonce").exists()
            record = KeyRecord(
                fingerprint=name, venue=venue, label=label, purpose=purpose, unit=unit, used=used
            )
            self._write(record)
            return record
        if present.purpose is not purpose:
            raise WrongPurpose(f"key {name} is for {present.purpose}")
        if present.unit is not unit:
            raise nonce.NonceUnitMismatch(f"key {name} counts in {present.unit}, not in {unit}")
        return present

    def records(self) -> list[KeyRecord]:
        """Every registered key, by fingerprint. A record that cannot be read raises `NonceStateLost`."""
        if not self.folder.is_dir():
            return []
        return [self.record(path.stem) for path in sorted(self.folder.glob("*.key"))]

    def record(self, name: str) -> KeyRecord:
        """One key. Raises `UnknownKey`."""
        found = self._read(name)
        if found is None:
            raise UnknownKey(name)
        return found

    def open(
        self,
        name: str,
        *,
        purpose: KeyPurpose = KeyPurpose.TRADING,
        clock: NonceClock | None = None,
    ) -> tuple[KeyLock, NonceAllocator]:
        """Lock and nonces of a key. The key counts as used from here on, before the first nonce leaves.

        Raises:
            KeyBusy: another process has it. UnknownKey, WrongPurpose, NonceError: it cannot be used.
        """
        record = self.record(name)
        if record.purpose is not purpose:
            raise WrongPurpose(f"key {name} is for {record.purpose}")
        lock = KeyLock(self.folder, name)
        try:
            allocator = NonceAllocator.open(self._mark(name), record.unit, used=record.used, clock=clock)
            if not record.used:
                self._write(msgspec.structs.replace(record, used=True))
        except BaseException:
            lock.release()
            raise
        return lock, allocator

    def reseed(self, name: str, ahead_s: int, reason: str) -> Mark:
        """Gives a key whose mark was lost a new one. Journaled.

        Raises:
            KeyBusy: a process uses it. UnknownKey, ValueError (seconds, empty reason), NonceError.
        """
        record = self.record(name)
        if not reason.strip():
            raise ValueError("a reason is needed")
        lock = KeyLock(self.folder, name)
        try:
            self._note(name, {"act": "reseed", "ahead_s": ahead_s, "reason": reason[:500]})
            return nonce.reseed(self._mark(name), record.unit, ahead_s)
        finally:
            lock.release()

    def migrate(self, name: str) -> Mark | None:
        """Lets a key count in nanoseconds from now on; once, and never back. Journaled. None: never used.

        Raises:
            KeyBusy: a process uses it. UnknownKey. NonceError: it does so already, or has no mark.
        """
        record = self.record(name)
        lock = KeyLock(self.folder, name)
        try:
            if record.unit is NonceUnit.NS:
                raise nonce.NonceUnitMismatch(f"key {name} counts in ns already")
            mark = nonce.read_mark(self._mark(name))
            # The record last: stopped in between, the file tells the unit and the record is mended here.
            if record.used and (mark is None or mark.unit is NonceUnit.US):
                self._note(name, {"act": "migrate-unit", "from": "us", "to": "ns"})
                mark = nonce.migrate_unit(self._mark(name))
            self._write(msgspec.structs.replace(record, unit=NonceUnit.NS, migrated=True))
            return mark
        finally:
            lock.release()

    def release(self, name: str, reason: str) -> str:
        """Lets a key be used again that was out of use; why it was. Journaled.

        Raises:
            KeyBusy: a process uses it. UnknownKey. ValueError: no reason, or it is in use anyway.
        """
        self.record(name)
        if not reason.strip():
            raise ValueError("a reason is needed")
        lock = KeyLock(self.folder, name)
        try:
            held = quarantine.read(self._quarantine(name))
            if held is None:
                raise ValueError(f"key {name} is not out of use")
            self._note(name, {"act": "release", "was": held.reason, "reason": reason[:500]})
            quarantine.release(self._quarantine(name))
            return held.reason
        finally:
            lock.release()

    def _quarantine(self, name: str) -> Path:
        return quarantine.place_of(self.folder / f"{name}.lock")

    def status(self, name: str) -> dict[str, Any]:
        """A key for a table: record, mark, holder, and what is wrong with it."""
        record = self.record(name)
        row: dict[str, Any] = msgspec.to_builtins(record)
        try:
            mark, fault = nonce.read_mark(self._mark(name)), ""
        except NonceError as error:
            mark, fault = None, error.code
        if mark is None and record.used and not fault:
            fault = "NonceStateLost"
        if mark is not None and mark.unit is not record.unit:
            fault = "NonceUnitMismatch"
        holder = holder_of(self.folder, name)
        row["high_water"] = None if mark is None else mark.high_water
        row["epoch"] = None if mark is None else mark.epoch
        row["holder"] = "" if holder is None else f"{holder.pid} on {holder.host}"
        held = quarantine.read(self._quarantine(name))
        if held is not None:
            fault = fault or "KeyQuarantined"
        row["quarantined"] = "" if held is None else held.reason
        row["fault"] = fault
        return row

    def _mark(self, name: str) -> Path:
        return self.folder / f"{name}.nonce"

    def _read(self, name: str) -> KeyRecord | None:
        if not (name.isascii() and name.isalnum()):
            return None
        try:
            with (self.folder / f"{name}.key").open("rb") as file:
                return msgspec.json.decode(file.read(MAX_RECORD_BYTES), type=KeyRecord)
        except FileNotFoundError:
            return None
        except msgspec.DecodeError as error:
            raise nonce.NonceStateLost(f"the record of key {name} is damaged") from error

    def _write(self, record: KeyRecord) -> None:
        durable.replace(self.folder / f"{record.fingerprint}.key", msgspec.json.encode(record) + b"\n")

    def _note(self, name: str, what: dict[str, Any]) -> None:
        line = msgspec.json.encode({"time_ns": time.time_ns(), **what}) + b"\n"
        durable.append(self.folder / f"{name}.journal", line)
