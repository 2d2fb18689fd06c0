"""Figures that are taken inside Rust, and the standard stream of commands for what is driven from Python."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from tradewind import _core
from tradewind.core.engine import GenesisConfig
from tradewind.core.records import codec

FLOWS: Sequence[str] = ("mixed", "place", "cancel", "replace", "trade")
"""53 % places, 38 % cancels, 9 % takes; or one kind of command only."""
BATCH_COMMANDS = 4_096
COMMAND_SIZE = _core.COMMAND_SIZE
COUNTED_FUNCTION = "tw_bench_apply"
"""Symbol of the only function in which instructions are counted."""


class FlowFigures(msgspec.Struct, frozen=True):
    """What a flow did in `elapsed_ns` of applying, its generation excluded."""

    commands: int
    refused: int
    trades: int
    events: int
    postings: int
    elapsed_ns: int
    live_orders: int


class LatencyFigures(msgspec.Struct, frozen=True):
    """Nanoseconds of single commands; each sample holds one reading of the clock, `timer_ns`."""

    commands: int
    refused: int
    trades: int
    events: int
    postings: int
    p50_ns: int
    p99_ns: int
    p999_ns: int
    max_ns: int
    timer_ns: int


class JournalFigures(msgspec.Struct, frozen=True):
    """Nanoseconds of append and sync per block, of all blocks, and of verifying the whole log of `bytes`."""

    records: int
    bytes: int
    p50_ns: int
    p99_ns: int
    p999_ns: int
    max_ns: int
    elapsed_ns: int
    verify_ns: int


class MarketFigures(msgspec.Struct, frozen=True):
    """Resident memory of the process before and after an engine created `markets` empty markets."""

    markets: int
    before_bytes: int
    after_bytes: int


def engine_flow(flow: str, commands: int, live: int, batch: int = BATCH_COMMANDS) -> FlowFigures:
    """Applies a flow over about `live` resting orders, on one thread, without journal and auditor.

    Raises:
        ValueError: unknown flow, or a number out of bounds.
    """
    return FlowFigures(**_core.bench_engine(flow, commands, live, batch))


def engine_latency(flow: str, commands: int, live: int) -> LatencyFigures:
    """Applies a flow command by command. Raises as `engine_flow`."""
    return LatencyFigures(**_core.bench_latency(flow, commands, live))


def journal_blocks(path: Path, batch: int, rounds: int) -> JournalFigures:
    """Appends and syncs `rounds` blocks of `batch` 128-byte records in an empty folder.

    Raises:
        ValueError: a number out of bounds; JournalFailure: the disk refuses, or the folder holds a journal.
    """
    return JournalFigures(**_core.bench_journal(path, batch, rounds))


def idle_markets(markets: int) -> MarketFigures:
    """Creates empty markets. Take it in a fresh process: a heap that grew before hides the growth."""
    return MarketFigures(**_core.bench_idle_markets(markets))


def command_kind(name: str) -> tuple[int, int]:
    """Kind and operation number of a command.

    Raises:
        KeyError: there is no such command.
    """
    kind, operation, _ = _core.command_kinds()[name]
    return kind, operation


def build_digest() -> str:
    """BLAKE3 of the compiled module that this process runs: a figure belongs to one build."""
    return _core.blake3(Path(str(_core.__file__)).read_bytes()).hex()


class StandardStream:
    """The standard stream as bytes. An engine applies `setup` at `setup_ns`, then the rest, in order."""

    def __init__(self, live: int) -> None:
        """
        Raises:
            ValueError: `live`, the number of resting orders, is out of bounds.
        """
        self._core = _core.BenchStream(live)
        self.live_wanted = live
        self.genesis = GenesisConfig.decode(self._core.genesis)
        self.setup: list[bytes] = self._core.setup
        self.setup_ns = self._core.setup_ns

    def next(self, flow: str, count: int) -> tuple[bytes, int]:
        """The next `count` commands and the moment (ns) to apply them."""
        return self._core.next(flow, count, self.live_wanted)

    def fill(self) -> Iterator[tuple[bytes, int]]:
        """Places until the wanted number of orders rests."""
        while (missing := self.live_wanted - self._core.live) > 0:
            yield self.next("place", min(missing, BATCH_COMMANDS))

    @property
    def live(self) -> int:
        """Orders that rest when everything handed out is applied."""
        return self._core.live

    def state_hash(self) -> bytes:
        """State hash of an engine that applied everything handed out."""
        return self._core.state_hash()


def accepted(results: memoryview) -> int:
    """How many of these `CommandResult` records are acceptances."""
    flag = next(offset for name, offset, _ in codec("CommandResult").fields if name == "accepted")
    return sum(results[flag :: _core.RESULT_SIZE])


def write_journal(path: Path, stream: StandardStream, batches: int) -> bytes:
    """A new journal with the stream's set-up, resting orders and `batches` of the mixed flow; its state hash.

    Raises:
        JournalFailure: the disk refuses, or the folder holds a journal.
    """
    node = _core.Node.create(path, stream.genesis.encode(), audit=False)
    try:
        for part in stream.setup:
            node.commit(part, (), stream.setup_ns)
        for part, now_ns in stream.fill():
            node.commit(part, (), now_ns)
        for _ in range(batches):
            part, now_ns = stream.next("mixed", BATCH_COMMANDS)
            node.commit(part, (), now_ns)
        return node.state_hash()
    finally:
        node.close()


class PriceFigures(msgspec.Struct, frozen=True):
    """Nanoseconds of a price step (three publications and a Tick) over `positions` leveraged positions."""

    positions: int
    steps: int
    refused: int
    marks: int
    p50_ns: int
    max_ns: int


class CoverageFigures(msgspec.Struct, frozen=True):
    """Nanoseconds of a change of one leveraged position among `markets` markets; `finite`: coverages seen."""

    markets: int
    positions: int
    changes: int
    finite: int
    p50_ns: int
    max_ns: int


class CrashFigures(msgspec.Struct, frozen=True):
    """A fall of 40 % within a minute: `steps` are sales, takeovers and deleveraging fills."""

    positions: int
    commands: int
    events: int
    steps: int
    flagged: int
    elapsed_ns: int


class OrderFigures(msgspec.Struct, frozen=True):
    """What a counted run of orders in a leveraged market did."""

    commands: int
    refused: int
    trades: int


def price_steps(positions: int, steps: int) -> PriceFigures:
    """Moves the price up and down over healthy positions. Raises ValueError for numbers out of bounds."""
    return PriceFigures(**_core.bench_price_steps(positions, steps))


def coverage_changes(markets: int, positions: int, changes: int) -> CoverageFigures:
    """Changes one position after the other. Raises ValueError for numbers out of bounds."""
    return CoverageFigures(**_core.bench_coverage_changes(markets, positions, changes))


def crash(positions: int) -> CrashFigures:
    """Lets the market crash. Raises ValueError for numbers out of bounds."""
    return CrashFigures(**_core.bench_crash(positions))


def leveraged_orders(kind: str, positions: int, count: int) -> OrderFigures:
    """Orders of one kind, `take` or `batch`, through the counted function. Raises ValueError."""
    return OrderFigures(**_core.bench_leveraged_orders(kind, positions, count))
