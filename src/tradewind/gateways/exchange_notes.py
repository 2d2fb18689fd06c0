"""What the engine has no field for, kept in the journal in the same block as the command it belongs to.

The engine knows an order by a key of 16 bytes; clients name orders by text of up to 64 characters and by
numbers of their own. The key of a command is fresh each time, because venues allow a name again once its
order has ended; the note tells which text, number and kind belong to the key.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import Final

import msgspec

from tradewind.core.events import Note
from tradewind.venues.protocol import TimeInForce

from .model import Kind, PlaceRequest

GATEWAY_STREAM: Final = 3
PLACED: Final = 1
KEY_BYTES: Final = 16
MAX_CLIENT_ID: Final = 64


class Placed(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a client said about an order, beside what the engine was told."""

    key: bytes
    client_id: str
    tag: int
    kind: Kind
    time_in_force: TimeInForce
    trigger_ticks: int
    display_lots: int


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Placed)


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


def read_placed(note: Note) -> Placed | None:
    """The placement of a note; None for notes of other writers and kinds.

    Raises:
        msgspec.DecodeError: a damaged note of our own.
    """
    if (note.stream, note.kind) != (GATEWAY_STREAM, PLACED):
        return None
    return _DECODER.decode(note.payload)
