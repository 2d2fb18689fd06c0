"""API keys of a gateway: who may do what, with which secret."""

from __future__ import annotations

import hmac
import os
import secrets
import stat
from collections import deque
from collections.abc import Iterable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import Final

import msgspec

MAX_KEYS: Final = 1_000
MAX_FILE_BYTES: Final = 1 << 20
OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
FAILURES: Final = 3
"""Bad signatures within `FAILURE_WINDOW_NS` that lock a key (T19.2)."""
FAILURE_WINDOW_NS: Final = 60 * 10**9
LOCK_NS: Final = 60 * 10**9
SECRET_BYTES: Final = 32


class Right(StrEnum):
    """What a key permits. CANCEL is part of TRADE; a key with CANCEL alone cannot place."""

    READ = "read"
    TRADE = "trade"
    CANCEL = "cancel"
    WITHDRAW = "withdraw"
    """No gateway moves funds out; a key that claims the right shows that our checks refuse such a key."""


ORDINARY: Final = (Right.READ, Right.TRADE, Right.CANCEL)
"""What a key of a trader has."""


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """One key. `secret` is raw bytes for HMAC, or the 32 bytes of an Ed25519 public key."""

    key: str
    account: str
    secret: bytes
    algorithm: str = "hmac"
    """hmac or ed25519"""
    rights: frozenset[Right] = frozenset(ORDINARY)
    passphrase: str = ""
    """Polymarket only."""
    addresses: tuple[str, ...] = ()
    """Addresses that may use it, where the venue binds keys to addresses; () is any."""

    def __repr__(self) -> str:
        return f"ApiKey({self.key[:6]}…, account={self.account!r})"

    def allows(self, right: Right) -> bool:
        """Whether the key permits this. Who may trade may cancel."""
        return right in self.rights or (right is Right.CANCEL and Right.TRADE in self.rights)


class KeyFileError(Exception):
    """The key file cannot be used. `code`: KEYS_EXPOSED, KEYS_DAMAGED, TOO_MANY_KEYS; never what it holds."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def equal(given: bytes | str, right: bytes | str) -> bool:
    """Whether two signatures are the same, in a time that does not depend on where they differ."""
    return hmac.compare_digest(_bytes(given), _bytes(right))


def _bytes(value: bytes | str) -> bytes:
    return value.encode(errors="surrogatepass") if isinstance(value, str) else value


def new_key(
    account: str,
    *,
    rights: Iterable[Right] = ORDINARY,
    passphrase: bool = False,
    addresses: tuple[str, ...] = (),
) -> ApiKey:
    """A key with a fresh random secret of 64 hexadecimal digits: the text itself is what signs at venues
    whose secrets are text, its base64 form is what clients are given where secrets are base64.
    """
    return ApiKey(
        key=secrets.token_hex(28),
        account=account,
        secret=secrets.token_hex(SECRET_BYTES).encode(),
        rights=frozenset(rights),
        passphrase=secrets.token_hex(16) if passphrase else "",
        addresses=addresses,
    )


class KeyStore:
    """Keys in a file that only its owner can read, and the locks of keys that were abused (in memory)."""

    def __init__(self, path: Path) -> None:
        """
        Raises:
            KeyFileError: the file is readable by others, or damaged.
        """
        self.path = path
        self._keys: dict[str, ApiKey] = {one.key: one for one in _read(path)}
        self._failures: dict[str, deque[int]] = {}
        self._locked_until_ns: dict[str, int] = {}

    def __iter__(self) -> Iterator[ApiKey]:
        return iter(tuple(self._keys.values()))

    def __len__(self) -> int:
        return len(self._keys)

    def find(self, key: str) -> ApiKey | None:
        """The key of this name; None when there is none. Whether it is locked is another question."""
        return self._keys.get(key)

    def of_account(self, account: str) -> list[ApiKey]:
        """Keys of an account, oldest first."""
        return [one for one in self._keys.values() if one.account == account]

    def add(self, key: ApiKey) -> None:
        """Makes a key durable; one of the same name is replaced.

        Raises:
            KeyFileError: TOO_MANY_KEYS. OSError: the file cannot be written; nothing was changed.
        """
        keys = {**self._keys, key.key: key}
        if len(keys) > MAX_KEYS:
            raise KeyFileError("TOO_MANY_KEYS", f"at most {MAX_KEYS} keys are kept")
        self._write(keys)
        self._keys = keys

    def remove(self, key: str) -> bool:
        """Takes a key away for ever; whether there was one. Raises `OSError`; then nothing was changed."""
        if key not in self._keys:
            return False
        keys = {name: one for name, one in self._keys.items() if name != key}
        self._write(keys)
        self._keys = keys
        self._failures.pop(key, None)
        self._locked_until_ns.pop(key, None)
        return True

    def count_failure(self, key: str, now_ns: int) -> bool:
        """One bad signature for an existing key; whether the key is locked now. Unknown names are not
        counted: nobody can fill the table with them.
        """
        if key not in self._keys:
            return False
        failures = self._failures.setdefault(key, deque(maxlen=FAILURES))
        failures.append(now_ns)
        if len(failures) == FAILURES and now_ns - failures[0] <= FAILURE_WINDOW_NS:
            self._locked_until_ns[key] = now_ns + LOCK_NS
            failures.clear()
        return self.locked(key, now_ns)

    def locked(self, key: str, now_ns: int) -> bool:
        """Whether a key is locked for bad signatures (60 s)."""
        until_ns = self._locked_until_ns.get(key)
        if until_ns is None:
            return False
        if now_ns < until_ns:
            return True
        del self._locked_until_ns[key]
        return False

    def _write(self, keys: dict[str, ApiKey]) -> None:
        """A whole new file takes the old one's place: a crash leaves one of them, never a half."""
        content = msgspec.json.format(msgspec.json.encode(list(keys.values())), indent=1)
        fresh = self.path.with_name(f".{self.path.name}.new")
        fresh.unlink(missing_ok=True)
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self.path)
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _read(path: Path) -> list[ApiKey]:
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        return []
    if mode & OTHERS:
        raise KeyFileError("KEYS_EXPOSED", f"{path} has mode {mode:04o}; others may read it: chmod 600 it")
    with path.open("rb") as file:
        content = file.read(MAX_FILE_BYTES + 1)
    try:
        if len(content) > MAX_FILE_BYTES:
            raise ValueError("too large")
        return msgspec.json.decode(content, type=list[ApiKey])
    except (msgspec.DecodeError, ValueError):
        # The error itself may repeat a secret.
        raise KeyFileError("KEYS_DAMAGED", f"{path} does not hold a list of keys") from None
