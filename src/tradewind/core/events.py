"""Reading batches: results, events, postings and notes as typed objects.

Machines read `batch.events` with `RecordCodec("Event").dtype()`; people read `decode_events(batch)`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import msgspec

from tradewind import _core
from tradewind.core import event_types
from tradewind.core.base import Posting
from tradewind.core.enums import NO_ACCOUNT, NO_MARKET
from tradewind.core.errors import Rejected, message_of, name_of, reject
from tradewind.core.event_types import EVENT_TYPES, Event
from tradewind.core.records import codec, event_header_fields, is_text, struct_format, visible_fields

__all__ = [
    "NO_ACCOUNT",
    "NO_MARKET",
    "BatchLike",
    "Event",
    "Note",
    "Posting",
    "Result",
    "UnknownEvent",
    "decode_events",
    "decode_notes",
    "decode_postings",
    "decode_results",
    "event_types",
]


class BatchLike(Protocol):
    """What the decoders need of a batch."""

    @property
    def results(self) -> memoryview: ...
    @property
    def events(self) -> memoryview: ...
    @property
    def postings(self) -> memoryview: ...
    @property
    def notes(self) -> memoryview: ...


class UnknownEvent(_core.TradewindError):
    """The log holds an event kind that this build does not know."""

    name = "UNKNOWN_EVENT"


class Result(msgspec.Struct, frozen=True, gc=False):
    """The answer to one command.

    `value` is the handle it created: order, market, account, asset or ticket. `duplicate` tells that this is
    the stored answer of an earlier command with the same key and body.
    """

    seq: int
    code: int
    accepted: bool
    duplicate: bool
    value: int
    bound: int
    given: int

    @property
    def name(self) -> str:
        """Name of the reject code, empty when accepted."""
        return name_of(self.code)

    @property
    def message(self) -> str:
        """The sentence of the reject, empty when accepted."""
        return message_of(self.code, self.bound, self.given)

    def error(self) -> Rejected | None:
        """The reject as an exception, None when accepted."""
        return None if self.accepted else reject(self.code, self.bound, self.given)

    def expect(self) -> int:
        """The created handle.

        Raises:
            Rejected: the class of the code.
        """
        if not self.accepted:
            raise reject(self.code, self.bound, self.given)
        return self.value


class Note(msgspec.Struct, frozen=True, gc=False):
    """A record of another writer (the trader) in the same log."""

    stream: int
    kind: int
    payload: bytes


_RESULT_FIELDS = ("seq", "code", "accepted", "duplicate", "value", "bound", "given")
_RESULT = struct.Struct(
    struct_format(
        [row for row in codec("CommandResult").fields if row[0] in _RESULT_FIELDS], _core.RESULT_SIZE
    )
)
_POSTING = codec("Posting").struct
_NOTE_HEAD = struct.Struct("<HHI")


def decode_results(results: memoryview) -> list[Result]:
    """Results as objects, in order."""
    return [
        Result(seq, code, accepted == 1, duplicate == 1, value, bound, given)
        for seq, code, accepted, duplicate, value, bound, given in _RESULT.iter_unpack(results)
    ]


def decode_postings(postings: memoryview) -> list[Posting]:
    """Postings as objects, in order."""
    return [
        Posting(owner, asset, line, sub, amount)
        for owner, asset, line, sub, amount in _POSTING.iter_unpack(postings)
    ]


def decode_notes(notes: memoryview) -> Iterator[Note]:
    """Notes in the order in which they were given.

    Raises:
        struct.error: a note is cut short.
    """
    position = 0
    while position < len(notes):
        stream, kind, length = _NOTE_HEAD.unpack_from(notes, position)
        start = position + _NOTE_HEAD.size
        yield Note(stream, kind, bytes(notes[start : start + length]))
        position = start + (length + 7) // 8 * 8


_Decoder = tuple[Callable[[Any, int], tuple[Any, ...]], Callable[..., Event], tuple[int, ...]]


def _decoder(code: int, body: str) -> _Decoder:
    """Reads header and body in one step; text fields are at the given positions.

    The generated classes declare their fields in the order of the wire, so the values fit as they come.
    """
    event_fields = codec("Event").fields
    body_offset = next(offset for field, offset, _ in event_fields if field == "body")
    head = event_header_fields()
    visible = visible_fields(body)
    fields = head + [(field, offset + body_offset, kind) for field, offset, kind in visible]
    text = tuple(
        len(head) + position
        for position, (field, _, kind) in enumerate(visible)
        if is_text(body, field, kind)
    )
    unpack = struct.Struct(struct_format(fields, _core.EVENT_SIZE)).unpack_from
    return unpack, EVENT_TYPES[code], text


_DECODERS: dict[int, _Decoder] = {code: _decoder(code, body) for code, body in _core.event_kinds().values()}
_HEAD = struct.Struct(
    struct_format(
        [row for row in codec("Event").fields if row[0] in ("kind", "posting_count", "first_posting")],
        _core.EVENT_SIZE,
    )
)


def decode_events(batch: BatchLike) -> Iterator[Event]:
    """Every event of a batch with its postings, in order.

    Raises:
        UnknownEvent: the log comes from a newer build.
    """
    events = batch.events
    postings = decode_postings(batch.postings)
    for number, (kind, count, first) in enumerate(_HEAD.iter_unpack(events)):
        decoder = _DECODERS.get(kind)
        if decoder is None:
            raise UnknownEvent(f"event kind {kind:#06x} is unknown to this build")
        unpack, construct, text = decoder
        values = unpack(events, number * _core.EVENT_SIZE)
        if text:
            values = _with_text(values, text)
        yield construct(*values, tuple(postings[first : first + count]) if count else ())


def _with_text(values: tuple[Any, ...], positions: tuple[int, ...]) -> tuple[Any, ...]:
    changed = list(values)
    for position in positions:
        changed[position] = values[position].rstrip(b"\0").decode(errors="replace")
    return tuple(changed)
