"""What every simulated exchange of the lab has: an engine, books that read its events, simulated time.

The engine's own time is measured apart from everything that Python does around it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any, Generic, Protocol, TypeVar

import numpy

from tradewind.core import commands
from tradewind.core.engine import Engine, GenesisConfig
from tradewind.core.errors import TradewindError, message_of, name_of
from tradewind.core.records import codec


class ScenarioFailed(TradewindError):
    """The engine refused what a simulation needs, or the books do not agree."""

    name = "SCENARIO_FAILED"


class Ledger(Protocol):
    """Books that are kept from the events of batches."""

    def add(self, batch: Any) -> None:
        """Reads one batch."""


Kept = TypeVar("Kept", bound=Ledger)


class Driven(Generic[Kept]):
    """An engine that is sent batches of commands at simulated moments."""

    clock_key: bytes
    """Sends Ticks."""
    batch_size: int
    """Most commands at once."""

    def __init__(self, genesis: GenesisConfig, books: Kept, now_ns: int, *, audit: bool) -> None:
        self.engine = Engine(genesis, audit=audit)
        self.books = books
        self.now_ns = now_ns
        self.engine_ns = 0
        """Processor time inside `apply`, so that a busy machine does not count."""
        self.commands = 0
        self.sent = 0
        self.result_dtype = codec("CommandResult").dtype()

    def key(self) -> bytes:
        """The next client key."""
        self.sent += 1
        return self.sent.to_bytes(16, "little")

    def note_results(self, results: Any) -> None:
        """Sees the results of every batch."""

    def send(self, rows: Iterable[bytes]) -> Any:
        """Applies commands in batches at the present moment; the results of all of them."""
        rows = list(rows)
        found = []
        for start in range(0, len(rows), self.batch_size):
            block = b"".join(rows[start : start + self.batch_size])
            began = time.thread_time_ns()
            batch = self.engine.core.apply(block, self.now_ns)
            self.engine_ns += time.thread_time_ns() - began
            self.commands += batch.count
            self.books.add(batch)
            results = numpy.frombuffer(batch.input_results(), self.result_dtype)
            self.note_results(results)
            found.append(results)
        return numpy.concatenate(found) if found else numpy.empty(0, self.result_dtype)

    def must(self, rows: Iterable[bytes]) -> Any:
        """As `send`; every command has to be accepted.

        Raises:
            ScenarioFailed: with the first refusal.
        """
        results = self.send(rows)
        refused = results[results["accepted"] == 0]
        if len(refused):
            code, bound, given = (int(refused[0][field]) for field in ("code", "bound", "given"))
            raise ScenarioFailed(f"{name_of(code)}: {message_of(code, bound, given)}")
        return results

    def wait(self, nanoseconds: int) -> None:
        """Time goes on; the Tick lets the engine do what has fallen due."""
        self.now_ns += nanoseconds
        self.send([commands.tick(principal=self.clock_key)])
