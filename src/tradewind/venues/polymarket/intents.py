"""Signed orders by our own id, on disk before they are sent (T7.2, T7.3).

Polymarket has no client ids: an order is named by the hash of its signed fields. The salt derives from our
id; with the timestamp that is kept here, the same bytes can be posted again behind a crash, and a hash of the
venue leads back to our id. A rebuilt order would be another order.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections import OrderedDict
from pathlib import Path
from typing import Final

import msgspec

from tradewind.venues.market_data import Side

MAX_INTENTS: Final = 100_000
SALT_BITS: Final = 53
MAX_LINE: Final = 16_384


class Intent(msgspec.Struct, frozen=True, kw_only=True):
    """One signed order. `body` is what is posted; it holds a signature, and is not a secret."""

    client_id: str
    reference: str
    symbol: str
    side: Side
    price_ticks: int
    lots: int
    order_type: str
    post_only: bool
    body: str
    made_ns: int


def salt_of(client_id: str) -> int:
    """53 bits of the digest of our id: the same id, the same salt."""
    digest = hashlib.blake2b(client_id.encode(), digest_size=16).digest()
    return int.from_bytes(digest) >> (128 - SALT_BITS)


class IntentBook:
    """Intents in a file of lines; the latest `MAX_INTENTS` are in memory."""

    def __init__(self, path: Path) -> None:
        """
        Raises:
            OSError: the file cannot be opened. ValueError: a line before the last one is damaged.
        """
        self.path = path
        self._by_client: OrderedDict[str, Intent] = OrderedDict()
        self._by_reference: dict[str, Intent] = {}
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        self._load()

    def _load(self) -> None:
        with self.path.open("rb") as file:
            start, lines = 0, file.readlines()
        for number, line in enumerate(lines):
            try:
                intent = msgspec.json.decode(line, type=Intent) if line.endswith(b"\n") else None
            except msgspec.DecodeError:
                intent = None
            if intent is None:
                if number != len(lines) - 1:
                    raise ValueError(f"line {number + 1} of {self.path.name} is damaged")
                os.ftruncate(self._descriptor, start)  # a torn write: it was never sent
                return
            start += len(line)
            self._remember(intent)

    def find(self, client_id: str) -> Intent | None:
        """The order of our id."""
        return self._by_client.get(client_id)

    def of_reference(self, reference: str) -> Intent | None:
        """The order of a hash."""
        return self._by_reference.get(reference)

    async def add(self, intent: Intent) -> None:
        """Returns when it is on the disk.

        Raises:
            OSError: it is not. ValueError: too long.
        """
        line = msgspec.json.encode(intent) + b"\n"
        if len(line) > MAX_LINE:
            raise ValueError("an intent is too long")
        await asyncio.to_thread(self._write, line)
        self._remember(intent)

    def _write(self, line: bytes) -> None:
        if os.write(self._descriptor, line) != len(line):
            raise OSError("a line was written in part")
        os.fdatasync(self._descriptor)

    def _remember(self, intent: Intent) -> None:
        self._by_client[intent.client_id] = intent
        self._by_reference[intent.reference] = intent
        if len(self._by_client) > MAX_INTENTS:
            _, oldest = self._by_client.popitem(last=False)
            self._by_reference.pop(oldest.reference, None)

    def close(self) -> None:
        """May be called twice."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
