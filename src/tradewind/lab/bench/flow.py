"""The mixed flow in a neutral form: other libraries are driven with the very commands that ours gets."""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tradewind.core.engine import Engine
from tradewind.core.enums import TimeInForce
from tradewind.core.event_types import Trade
from tradewind.core.events import decode_events, decode_results
from tradewind.core.measure import BATCH_COMMANDS, StandardStream, command_kind
from tradewind.core.records import codec
from tradewind.lab.bench.context import MeasureFailed, per_second

# The file is read by `adapters/drive.py` in another interpreter, which does not have this package.
ADD: Final = 0
TAKE: Final = 1
CANCEL: Final = 2
MAGIC: Final = b"TWFLOW01"
HEADER: Final = struct.Struct("<8sQQ")
OPERATION: Final = struct.Struct("<BBxxiqQ")

Operation = tuple[int, int, int, int, int]
"""Kind, side, lots, price in ticks, and the order id: of the target for cancels."""


@dataclass(frozen=True, slots=True)
class Ours:
    """What our engine did with the flow, through its Python batch interface, ledger and events included."""

    commands: int
    refused: int
    traded_lots: int
    elapsed_ns: int

    @property
    def commands_per_second(self) -> float | None:
        return per_second(self.commands, self.elapsed_ns)


def write_flow(path: Path, commands: int, live: int) -> Ours:
    """Writes resting orders and then `commands` of the mixed flow over them, and times our engine on it.

    Raises:
        MeasureFailed: the stream holds a command that other libraries do not know.
    """
    stream = StandardStream(live)
    engine = Engine(stream.genesis, audit=False)
    for part in stream.setup:
        engine.core.apply(part, stream.setup_ns)
    resting: list[Operation] = []
    for part, now_ns in stream.fill():
        answers = decode_results(engine.core.apply(part, now_ns).input_results())
        resting += _operations(part, [answer.value for answer in answers])
    operations: list[Operation] = []
    refused = traded = elapsed_ns = 0
    while len(operations) < commands:
        part, now_ns = stream.next("mixed", min(BATCH_COMMANDS, commands - len(operations)))
        begin_ns = time.perf_counter_ns()
        batch = engine.core.apply(part, now_ns)
        results = batch.input_results()
        elapsed_ns += time.perf_counter_ns() - begin_ns
        answers = decode_results(results)
        refused += sum(not answer.accepted for answer in answers)
        traded += sum(event.lots for event in decode_events(batch) if isinstance(event, Trade))
        operations += _operations(part, [answer.value for answer in answers])
    with path.open("wb") as output:
        output.write(HEADER.pack(MAGIC, len(resting), len(operations)))
        output.writelines(OPERATION.pack(*operation) for operation in (*resting, *operations))
    return Ours(len(operations), refused, traded, elapsed_ns)


def _operations(part: bytes, values: list[int]) -> Iterator[Operation]:
    """Commands of a batch; `values` are the order ids that the engine gave."""
    envelope, place, cancel = codec("Command"), codec("PlaceOrder"), codec("CancelOrder")
    position = {name: index for index, name in enumerate(envelope.field_names)}
    kind_at, op_at, payload_at = position["kind"], position["op"], position["payload"]
    placing, cancelling = command_kind("PlaceOrder"), command_kind("CancelOrder")
    for row, value in zip(envelope.iter(part), values, strict=True):
        found = (row[kind_at], row[op_at])
        if found == placing:
            order = place.unpack(row[payload_at])
            kind = TAKE if order["time_in_force"] == TimeInForce.IOC else ADD
            yield kind, order["side"], order["lots"], order["price"], value
        elif found == cancelling:
            yield CANCEL, 0, 0, 0, cancel.unpack(row[payload_at])["order"]
        else:
            raise MeasureFailed(f"the mixed flow holds a command of kind {found}")
