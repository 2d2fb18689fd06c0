"""What the engine has no field for, kept in the journal in the same block as the command it belongs to.

The engine knows an order by a key of 16 bytes; clients name orders by text of up to 64 characters and by
numbers of their own. The key of a command is fresh each time, because venues allow a name again once its
order has ended; the note tells which text, number and kind belong to the key.
"""

from __future__ import annotations

import hashlib
import secrets
from collections import deque
from typing import Final

import msgspec

from tradewind.core.events import Note
from tradewind.venues.protocol import TimeInForce

from .model import Kind, PlaceRequest

GATEWAY_STREAM: Final = 3
PLACED: Final = 1
LEVERAGE: Final = 2
KEY_BYTES: Final = 16
MAX_CLIENT_ID: Final = 64
SECOND_NS: Final = 1_000_000_000
VALIDITIES: Final = ((500, 5 * SECOND_NS), (1_000, SECOND_NS), (1 << 62, SECOND_NS // 4))
"""Below so many keys in the window, a command is valid so long: 2,400 commands a second for ever."""


class Placed(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a client said about an order, beside what the engine was told."""

    key: bytes
    client_id: str
    tag: int
    kind: Kind
    time_in_force: TimeInForce
    trigger_ticks: int
    display_lots: int


class Chosen(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The leverage that an owner chose for the orders of a market, in hundredths."""

    account: str
    symbol: str
    leverage_e2: int


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Placed)
_CHOSEN = msgspec.msgpack.Decoder(Chosen)


class KeyMaker:
    """Keys of commands: derived from the account and the client's id, never the same twice."""

    def __init__(self) -> None:
        self._salt = secrets.token_bytes(16)
        self._count = 0

    def key(self, account: str, client_id: str) -> bytes:
        """A fresh key of 16 bytes."""
        self._count += 1
        text = f"{self._count}/{account}/{client_id}".encode()
        return hashlib.blake2b(text, digest_size=KEY_BYTES, key=self._salt).digest()


class KeyWindow:
    """How long the keys of one account's commands stay valid.

    The engine keeps 4,096 valid keys of an account. A short validity allows more commands a second, a long
    one survives a slow disk: the fuller the window, the shorter.
    """

    def __init__(self) -> None:
        self._by_second: deque[list[int]] = deque()
        self._count = 0

    def validity_ns(self, now_ns: int) -> int:
        """Of the next command; counts it."""
        now_s = now_ns // SECOND_NS
        while self._by_second and self._by_second[0][0] < now_s:
            self._count -= self._by_second.popleft()[1]
        validity_ns = next(valid_ns for below, valid_ns in VALIDITIES if self._count < below)
        end_s = (now_ns + validity_ns) // SECOND_NS
        # Seconds ascend but for the few that a longer validity reached before: those count until then.
        if self._by_second and self._by_second[-1][0] >= end_s:
            self._by_second[-1][1] += 1
        else:
            self._by_second.append([end_s, 1])
        self._count += 1
        return validity_ns


def placed_note(key: bytes, request: PlaceRequest) -> tuple[int, int, bytes]:
    """The note of a placement: stream, kind, bytes."""
    placed = Placed(
        key,
        request.client_id,
        request.tag,
        request.kind,
        request.time_in_force,
        request.trigger_ticks,
        request.display_lots,
    )
    return GATEWAY_STREAM, PLACED, _ENCODER.encode(placed)


def leverage_note(account: str, symbol: str, leverage_e2: int) -> tuple[int, int, bytes]:
    """The note of a choice: stream, kind, bytes."""
    return GATEWAY_STREAM, LEVERAGE, _ENCODER.encode(Chosen(account, symbol, leverage_e2))


def read_note(note: Note) -> Placed | Chosen | None:
    """What a note says; None for notes of other writers and kinds.

    Raises:
        msgspec.DecodeError: a damaged note of our own.
    """
    if note.stream != GATEWAY_STREAM:
        return None
    if note.kind == PLACED:
        return _DECODER.decode(note.payload)
    return _CHOSEN.decode(note.payload) if note.kind == LEVERAGE else None
