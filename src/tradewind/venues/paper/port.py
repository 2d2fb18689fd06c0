"""How the paper venue reaches an engine: a node with its journal, or a bare engine on a virtual clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from tradewind.core import commands as build
from tradewind.core.errors import TradewindError
from tradewind.core.events import Result, decode_results
from tradewind.core.native import Batch, JournalReader, Tape

from .wire import BatchLike

if TYPE_CHECKING:
    from tradewind.node.service import NodeService

Note = tuple[int, int, bytes]
"""(stream, kind, payload) of a record that goes into the journal beside the commands."""
HOUR_NS = 3_600 * 1_000_000_000
MAX_RECORDED_NOTES = 10_000_000
MAX_EARLY_BATCHES = 10_000


class PortStopped(Exception):
    """The engine or its journal does not accept anything any more: no new risk."""

    code = "PortStopped"


class PortRestricted(PortStopped):
    """Refused for now, nothing was queued: the disk is down to its reserve, or a queue is at its bound.

    Cancels are taken even then, and the rest again when there is room.
    """

    code = "PortRestricted"


REFUSED_FOR_NOW: Final = frozenset({"CAPACITY_EXCEEDED", "RATE_LIMITED"})


class WrongPlace(Exception):
    """A place in another journal, or in a part of it that is gone."""

    code = "WrongPlace"


class Place(NamedTuple):
    """A block of the journal: its number, the last sequence at its end, its hash."""

    block: int
    last_seq: int
    block_hash: bytes


class Port(Protocol):
    """One way in, one way out. Listeners hear every batch, in order, before the `submit` that made it
    returns.
    """

    async def submit(self, commands: Sequence[bytes], notes: Sequence[Note] = ()) -> list[Result]:
        """Apply commands and record notes, durably. Raises `PortStopped`."""

    def listen(self, listener: Callable[[BatchLike], None]) -> None:
        """Call `listener` with every batch from now on."""

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

    `written` hashes every command batch and note in order: two runs are the same when their digests are. With
    `keep_tape` they are kept in `tape` too, for who looks at them; a replay of rows cannot keep them.
    """

    def __init__(self, engine: Any, system: bytes, now_ns: int, *, keep_tape: bool = True) -> None:
        self.engine = engine
        self._system = system
        self._now_ns = now_ns
        self._listeners: list[Callable[[BatchLike], None]] = []
        self._selective: list[Callable[[BatchLike], None]] = []
        self._early: list[BatchLike] = []
        self.keep_tape = keep_tape
        self.tape: list[bytes] = []
        self.written = Tape()

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

    def listen(self, listener: Callable[[BatchLike], None], *, mirrors: bool = True) -> None:
        """Call `listener` with every batch; the first listener also hears what came before it. One that does
        not care for what the `mirrors` do among themselves may miss it.
        """
        self._listeners.append(listener)
        if not mirrors:
            self._selective.append(listener)
        early, self._early = self._early, []
        for batch in early:
            listener(batch)

    async def submit(self, commands: Sequence[bytes], notes: Sequence[Note] = ()) -> list[Result]:
        """Apply at the virtual moment."""
        for stream, kind, payload in notes:
            self._publish_note(stream, kind, payload)
        if not commands:
            return []
        if self._now_ns - self.engine.time_ns > HOUR_NS:
            self._apply([self._advance_time()])
        batch = self._apply(commands)
        return decode_results(batch.input_results())

    async def tick(self) -> None:
        """Let the engine handle what is due."""
        self._apply([build.tick(principal=self._system)])

    def _advance_time(self) -> bytes:
        builder = build.CommandBuilder("AdvanceTime")
        reason = b"virtual clock".ljust(48, b"\0")
        return builder.pack(self._system, build.NO_ACCOUNT_ID, 0, build.NO_KEY, 0, 0, reason)

    def _apply(self, commands: Sequence[bytes]) -> Any:
        data = b"".join(commands)
        try:
            batch = self.engine.apply(data, self._now_ns)
        except TradewindError as error:
            raise PortStopped(str(error)) from error
        self._write(data)
        self._publish(batch)
        return batch

    def _write(self, data: bytes) -> None:
        self.written.append(data)
        if self.keep_tape:
            if len(self.tape) >= MAX_RECORDED_NOTES:
                raise PortStopped(f"the tape has reached its bound of {MAX_RECORDED_NOTES}")
            self.tape.append(data)

    def heard_only_by(self, listener: Callable[[BatchLike], None]) -> bool:
        """Whether nobody else listens to everything."""
        return [one for one in self._listeners if one not in self._selective] == [listener]

    def tell_others(self, batch: BatchLike, listener: Callable[[BatchLike], None]) -> None:
        """Tell a batch that `listener` knows already to everybody else."""
        for other in self._listeners:
            if other != listener:
                other(batch)

    def _publish(self, batch: BatchLike) -> None:
        if not self._listeners:
            if len(self._early) >= MAX_EARLY_BATCHES:
                raise PortStopped(f"more than {MAX_EARLY_BATCHES} batches and nobody listens")
            self._early.append(batch)
        for listener in self._listeners:
            listener(batch)

    def _publish_note(self, stream: int, kind: int, payload: bytes) -> None:
        self._write(bytes([stream, kind]) + payload)
        header = (
            stream.to_bytes(2, "little") + kind.to_bytes(2, "little") + len(payload).to_bytes(4, "little")
        )
        padded = header + payload + bytes(-len(payload) % 8)
        self._publish(_NotesOnly(memoryview(padded)))


class NodePort:
    """A running node. `history` first, then `go_live`, without awaiting anything in between."""

    def __init__(self, node: NodeService) -> None:
        self.node = node
        self.place: Place | None = None
        """The last block that the listeners have heard."""
        self._listeners: list[Callable[[BatchLike], None]] = []
        self._live = False

    @property
    def system(self) -> bytes:
        """Principal of the sequencer's own commands."""
        return self.node.system_principal

    def now_ns(self) -> int:
        """The moment at which a command would be stamped now."""
        return self.node.now_ns()

    def advance_to(self, now_ns: int) -> None:
        """The node's clock is real."""

    def listen(self, listener: Callable[[BatchLike], None]) -> None:
        """Call `listener` with every batch after `go_live`."""
        self._listeners.append(listener)

    def history(self, after: Place | None = None) -> Iterator[BatchLike]:
        """Every published block behind `after` (default: all), blocks that hold only notes included.

        Raises `WrongPlace` when the journal has another block at `after`.
        """
        head = self.node.head()
        reader = JournalReader(self.node.journal_path, 0 if after is None else after.last_seq)
        reader.set_upper_block(head["blocks"] if "blocks" in head else head["durable_blocks"])
        seen = after is None
        while (batch := reader.next()) is not None:
            if after is not None and batch.block <= after.block:
                seen = seen or (batch.block, batch.block_hash) == (after.block, after.block_hash)
                continue
            if not seen:
                break
            self._note_place(batch)
            yield batch
        if not seen:
            raise WrongPlace(f"the journal has no block {after} any more")

    async def go_live(self, name: str = "paper-venue") -> None:
        """From the next published block on, listeners hear everything before its submitter does."""
        await self.node.attach(self._on_batch, name=name, from_seq=self.node.next_seq)
        self._live = True

    def _on_batch(self, batch: Batch) -> None:
        self._note_place(batch)
        for listener in self._listeners:
            listener(batch)

    def _note_place(self, batch: Batch) -> None:
        self.place = Place(batch.block, batch.last_seq, batch.block_hash)

    async def submit(self, commands: Sequence[bytes], notes: Sequence[Note] = ()) -> list[Result]:
        """Commit in one block and wait until it is durable. Raises `PortStopped` when the node has stopped,
        `PortRestricted` when it refuses for now.
        """
        try:
            if commands and notes:
                return await self.node.submit_with_notes(list(commands), list(notes))
            if commands:
                return await self.node.submit(list(commands))
            await self.node.submit_with_notes([], list(notes))
        except TradewindError as error:
            kind = PortRestricted if error.name in REFUSED_FOR_NOW else PortStopped
            raise kind(f"{error.name}: {error}") from error
        return []
