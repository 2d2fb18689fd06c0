"""How the paper venue reaches an engine: a node with its journal, or a bare engine on a virtual clock."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

from tradewind import _core
from tradewind.core import commands as build
from tradewind.core.events import Result, decode_results

from .wire import BatchLike

Note = tuple[int, int, bytes]
"""(stream, kind, payload) of a record that goes into the journal beside the commands."""
HOUR_NS = 3_600 * 1_000_000_000
MAX_RECORDED_NOTES = 10_000_000


class PortStopped(Exception):
    """The engine or its journal does not accept anything any more: no new risk."""

    code = "PortStopped"


class Port(Protocol):
    """One way in, one way out. Listeners hear every batch, in order, before the `submit` that made it returns."""

    async def submit(self, commands: Sequence[bytes], notes: Sequence[Note] = ()) -> list[Result]:
        """Apply commands and record notes, durably. Raises `PortStopped`."""

    def listen(self, listener: Callable[[BatchLike], None]) -> None:
        """Call `listener` with every batch from now on."""

    async def settle(self) -> None:
        """Wait until the listeners have heard everything that is durable now."""

    def balance(self, account_id: bytes, asset: int, line: int) -> int | None:
        """Micro-units on a line of an account's first sub-account; None when the account is unknown."""

    def now_ns(self) -> int:
        """The present moment."""

    def advance_to(self, now_ns: int) -> None:
        """Move a virtual clock; a real one ignores this."""

    @property
    def system(self) -> bytes:
        """Principal of the sequencer's own commands."""


class _NotesOnly(NamedTuple):
    """A batch that carries notes and nothing else."""

    notes: memoryview
    commands: memoryview = memoryview(b"")
    results: memoryview = memoryview(b"")
    events: memoryview = memoryview(b"")
    postings: memoryview = memoryview(b"")


class EnginePort:
    """A bare engine with a virtual clock: simulation, back-tests and the tests of rules.

    `tape` keeps every command batch and note in order: two runs are the same when their tapes are.
    """

    def __init__(self, engine: Any, system: bytes, now_ns: int) -> None:
        self.engine = engine
        self._system = system
        self._now_ns = now_ns
        self._listeners: list[Callable[[BatchLike], None]] = []
        self.tape: list[bytes] = []

    @property
    def system(self) -> bytes:
        """Principal of the sequencer's own commands."""
        return self._system

    def now_ns(self) -> int:
        """The virtual moment."""
        return self._now_ns

    def advance_to(self, now_ns: int) -> None:
        """Move the virtual clock forward; a step back is ignored."""
        self._now_ns = max(self._now_ns, now_ns)

    def listen(self, listener: Callable[[BatchLike], None]) -> None:
        """Call `listener` with every batch from now on."""
        self._listeners.append(listener)

    async def settle(self) -> None:
        """Everything was heard already."""

    def balance(self, account_id: bytes, asset: int, line: int) -> int | None:
        """Micro-units on a line, read from the engine's own state."""
        amount: int | None = self.engine.balance(account_id, 0, asset, line)
        return amount

    async def submit(self, commands: Sequence[bytes], notes: Sequence[Note] = ()) -> list[Result]:
        """Apply at the virtual moment."""
        for stream, kind, payload in notes:
            self._publish_note(stream, kind, payload)
        if not commands:
            return []
        if self._now_ns - self.engine.time_ns > HOUR_NS:
            self._apply([build.advance_time(principal=self._system, reason="virtual clock")])
        batch = self._apply(commands)
        return decode_results(batch.input_results())

    async def tick(self) -> None:
        """Let the engine handle what is due."""
        self._apply([build.tick(principal=self._system)])

    def _apply(self, commands: Sequence[bytes]) -> Any:
        data = b"".join(commands)
        try:
            batch = self.engine.apply(data, self._now_ns)
        except _core.TradewindError as error:
            raise PortStopped(str(error)) from error
        self.tape.append(data)
        for listener in self._listeners:
            listener(batch)
        return batch

    def _publish_note(self, stream: int, kind: int, payload: bytes) -> None:
        if len(self.tape) >= MAX_RECORDED_NOTES:
            raise PortStopped(f"the tape has reached its bound of {MAX_RECORDED_NOTES}")
        self.tape.append(bytes([stream, kind]) + payload)
        header = (
            stream.to_bytes(2, "little") + kind.to_bytes(2, "little") + len(payload).to_bytes(4, "little")
        )
        padded = header + payload + bytes(-len(payload) % 8)
        for listener in self._listeners:
            listener(_NotesOnly(memoryview(padded)))
