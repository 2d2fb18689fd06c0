"""What the paper venue reads of a batch beyond its events: orders that the engine refused, and notes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol

from tradewind.core.events import BatchLike as EventBatch
from tradewind.core.events import decode_notes, decode_results
from tradewind.core.native import command_kinds
from tradewind.core.records import codec

from ..market_data import Side


class BatchLike(EventBatch, Protocol):
    """A batch as the engine and its journal reader give it."""

    @property
    def commands(self) -> memoryview:
        """Stamped commands."""


class RefusedOrder(NamedTuple):
    """A PlaceOrder command that the engine refused."""

    seq: int
    time_ns: int
    client_key: bytes
    market: int
    side: Side
    price_ticks: int
    lots: int
    reason: str


_COMMAND = codec("Command")
_PLACE = command_kinds()["PlaceOrder"]


def refused_orders(batch: BatchLike, account: bytes) -> Iterator[RefusedOrder]:
    """PlaceOrder commands of this account (derived id) that were refused."""
    results = decode_results(batch.results)
    for number, result in enumerate(results):
        if result.accepted:
            continue
        fields = _COMMAND.unpack(batch.commands, number * _COMMAND.size)
        if (fields["kind"], fields["op"]) != _PLACE[:2] or fields["account"] != account:
            continue
        order = codec(_PLACE[2]).unpack(fields["payload"])
        yield RefusedOrder(
            result.seq,
            fields["time_ns"],
            fields["client_key"],
            order["market"],
            Side(order["side"]),
            order["price"],
            order["lots"],
            f"{result.name}: {result.message}",
        )


def stream_notes(batch: BatchLike, stream: int) -> Iterator[tuple[int, bytes]]:
    """(kind, payload) of the notes of one stream."""
    for note in decode_notes(batch.notes):
        if note.stream == stream:
            yield note.kind, note.payload
