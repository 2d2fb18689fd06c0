"""The last nonce of every key, kept durably: a request that was once accepted is never accepted again.

One append-only file of checked records. A record is on the disk before the request that carries its nonce has
any effect. On opening, the highest nonce of each key is kept and the file is written anew; a record torn by a
crash belongs to a request that had no effect, so it may be dropped.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import struct
import threading
from pathlib import Path
from typing import Final
from zlib import crc32

MAX_NONCE: Final = (1 << 64) - 1
RECORD: Final = struct.Struct(">16sQI")
MAX_KEYS: Final = 65_536
COMPACT_RECORDS: Final = 1_000_000
"""The file is written anew when it holds more records than this (28 MB)."""


class NonceError(Exception):
    """The nonce cannot be accepted: not a 64-bit number, not higher than the last, or no room for the key."""


def _identity(key: str) -> bytes:
    return hashlib.blake2b(key.encode(), digest_size=16).digest()


def _pack(identity: bytes, nonce: int) -> bytes:
    body = identity + nonce.to_bytes(8, "big")
    return RECORD.pack(identity, nonce, crc32(body))


class NonceStore:
    """High-water marks of nonces. `path` None keeps them in memory only (tests)."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._last: dict[bytes, int] = {}
        self._locks: dict[bytes, asyncio.Lock] = {}
        self._records = 0
        self._file = -1
        self._writing = threading.Lock()
        if path is not None:
            self._read(path)
            self._rewrite()

    def _read(self, path: Path) -> None:
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return
        for at in range(0, len(content) - RECORD.size + 1, RECORD.size):
            identity, nonce, check = RECORD.unpack_from(content, at)
            if crc32(content[at : at + 24]) != check:
                break  # torn by a crash: what follows was never acknowledged
            self._last[identity] = max(nonce, self._last.get(identity, -1))

    def _rewrite(self) -> None:
        assert self._path is not None
        new = self._path.with_suffix(".new")
        content = b"".join(_pack(identity, nonce) for identity, nonce in list(self._last.items()))
        file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
        try:
            os.write(file, content)
            os.fsync(file)
            os.replace(new, self._path)
            folder = os.open(self._path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except BaseException:
            os.close(file)
            raise
        if self._file >= 0:
            os.close(self._file)
        self._file, self._records = file, len(self._last)

    def last(self, key: str) -> int | None:
        """The highest nonce accepted for a key."""
        return self._last.get(_identity(key))

    async def accept(self, key: str, nonce: int | None) -> None:
        """Take a nonce; it is on the disk when this returns. Raises `NonceError`, and `OSError` if it cannot
        be written (then nothing was accepted).
        """
        identity = _identity(key)
        if nonce is None or not 0 <= nonce <= MAX_NONCE:
            raise NonceError("not a 64-bit number")
        if identity not in self._last and len(self._last) >= MAX_KEYS:
            raise NonceError("too many keys")
        lock = self._locks.setdefault(identity, asyncio.Lock())
        async with lock:
            if nonce <= self._last.get(identity, -1):
                raise NonceError("not higher than the last")
            self._last[identity] = nonce  # even if the disk fails: a nonce is never offered twice
            if self._path is not None:
                await asyncio.to_thread(self._append, _pack(identity, nonce))

    def _append(self, record: bytes) -> None:
        with self._writing:
            if self._records >= COMPACT_RECORDS:
                self._rewrite()  # holds this nonce as well: it was taken before
                return
            if os.write(self._file, record) != len(record):
                raise OSError("short write of a nonce")
            os.fdatasync(self._file)
            self._records += 1

    def close(self) -> None:
        """Write the marks compactly and close the file."""
        with self._writing:
            if self._file >= 0:
                self._rewrite()
                os.close(self._file)
                self._file = -1
