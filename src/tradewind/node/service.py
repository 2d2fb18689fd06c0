"""The node as a service: group commit, publication, timers, snapshots, fail-stop.

While one block syncs in a worker thread the next one fills. Results resolve and batches are published only
after their block is durable, first to the attached projections, then to the submitters: who reads a
projection after an answer sees the effect. When the journal cannot write, nothing more is acknowledged:
everything pending fails with `NodeStopped`.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

import structlog

from tradewind.core import commands as build
from tradewind.core import native
from tradewind.core.engine import GenesisConfig
from tradewind.core.errors import InvalidGenesis, MalformedFrame, reject
from tradewind.core.events import Result, decode_results
from tradewind.node.clock import SteadyClock
from tradewind.node.errors import NodeStopped, NoGenesis, QueueFull, SpaceReserved
from tradewind.node.limits import NodeLimits
from tradewind.node.publications import PublicationGate
from tradewind.node.queue import Note, Submission, SubmitQueue
from tradewind.node.space import Space, SpaceLevel, measure, only_reduces
from tradewind.node.subscriptions import Published, SlowPolicy, Subscription
from tradewind.security.publications import deployment_id

log = structlog.get_logger("tradewind.node")

JOURNAL_FOLDER = "journal"
BatchCallback = Callable[[native.Batch], object]
T = TypeVar("T")


class NodeState(StrEnum):
    """What the node takes."""

    RUNNING = "running"
    REDUCE_ONLY = "reduce_only"
    STOPPED = "stopped"


class NodeService:
    """One writer over one data directory. Made by `start`; its methods belong to the loop that started it."""

    def __init__(
        self,
        *,
        node: native.Node,
        journal: Path,
        report: dict[str, Any],
        limits: NodeLimits,
        clock: Callable[[], int],
        executor: ThreadPoolExecutor,
    ) -> None:
        self.limits = limits
        self.journal_path = journal
        self.publications = PublicationGate(deployment_id(native.journal_genesis(journal)))
        self.open_report = report
        """What opening found: torn tail, snapshot, replayed commands; `created` for a new journal."""
        self.space: Space | None = None
        self.stop_reason: str | None = None
        self.clock_problem: str | None = None
        """Why the last Tick was refused, None while the clock works."""
        self.detached: dict[str, str] = {}
        """Attached callbacks that failed, with the reason."""
        self.commands_committed = 0
        self.commands_rejected = 0
        self.blocks_committed = 0
        self.largest_block = 0
        self.commit_latencies_ns: deque[int] = deque(maxlen=limits.latency_samples)
        self._node = node
        self._clock = clock
        self._executor = executor
        self._queue = SubmitQueue(limits)
        self._writing: list[Submission] = []
        head = node.head()
        self._head = head
        if isinstance(clock, SteadyClock):
            clock.not_before(node.time_ns)
        self._published = Published(head["durable_blocks"], node.next_seq)
        self._subscriptions: list[Subscription] = []
        self._callbacks: dict[str, BatchCallback] = {}
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._closing = False
        self._snapshot_wanted: asyncio.Future[dict[str, Any]] | None = None
        self._images: set[asyncio.Task[None]] = set()
        self._image_lock = asyncio.Lock()
        self._last_command_s = time.monotonic()
        self._last_snapshot = (node.next_seq, time.monotonic())
        self._last_checkpoint_block = self._published.blocks
        self._tasks: list[asyncio.Task[None]] = []

    @classmethod
    async def start(
        cls,
        data_dir: Path,
        *,
        genesis: GenesisConfig | None = None,
        limits: NodeLimits | None = None,
        clock: Callable[[], int] | None = None,
        segment_bytes: int = 64 << 20,
        reserve_bytes: int = 256 << 20,
        audit: bool = True,
        progress: Callable[[int, int], object] | None = None,
    ) -> NodeService:
        """Opens `data_dir/journal`, or creates it from `genesis` when there is none. `clock`: a `SteadyClock`
        when absent.

        Raises:
            JournalLocked: another process writes there. NoGenesis: no journal and no genesis.
            JournalCorrupt, ReplayMismatch, InvariantBroken: the log cannot be trusted.
            JournalNoSpace, JournalIo: the disk refuses.
        """
        limits = limits or NodeLimits()
        journal = data_dir / JOURNAL_FOLDER
        executor = ThreadPoolExecutor(1, "tw-writer")

        def open_or_create() -> tuple[native.Node, dict[str, Any]]:
            if native.journal_exists(journal):
                shard = _genesis_of(journal).shard
                node, report = native.Node.open(
                    journal,
                    shard=shard,
                    segment_bytes=segment_bytes,
                    reserve_bytes=reserve_bytes,
                    audit=audit,
                    progress=progress,
                )
                return node, {**report, "created": False}
            if genesis is None:
                raise NoGenesis(f"{journal} holds no journal and no genesis configuration was given")
            node = native.Node.create(
                journal,
                genesis.encode(),
                segment_bytes=segment_bytes,
                reserve_bytes=reserve_bytes,
                audit=audit,
            )
            return node, {"created": True, "torn_tail": None, "replayed_commands": 0, "snapshot_seq": None}

        try:
            node, report = await asyncio.get_running_loop().run_in_executor(executor, open_or_create)
        except BaseException:
            executor.shutdown(wait=False)
            raise
        service = cls(
            node=node,
            journal=journal,
            report=report,
            limits=limits,
            clock=clock or SteadyClock(),
            executor=executor,
        )
        service._tasks = [
            asyncio.create_task(service._run_writer(), name="node-writer"),
            asyncio.create_task(service._keep_time(), name="node-timers"),
        ]
        log.info("node_started", journal=str(journal), next_seq=node.next_seq, created=report["created"])
        return service

    # What it says about itself

    @property
    def state(self) -> NodeState:
        if self.stop_reason is not None:
            return NodeState.STOPPED
        if self.space is not None and self.space.level is SpaceLevel.RESERVED:
            return NodeState.REDUCE_ONLY
        return NodeState.RUNNING

    @property
    def healthy(self) -> bool:
        """Running, with a working clock and all attached projections."""
        return self.state is NodeState.RUNNING and self.clock_problem is None and not self.detached

    @property
    def next_seq(self) -> int:
        """Sequence after the last published command."""
        return self._published.next_seq

    @property
    def pending_commands(self) -> int:
        return self._queue.commands

    @property
    def clock_behind_ns(self) -> int:
        """How far the machine's clock is behind the log; 0 in normal times."""
        wall = self._clock.wall if isinstance(self._clock, SteadyClock) else self._clock
        return max(0, self._node.time_ns - wall())

    @property
    def deployment(self) -> bytes:
        """What sources sign for: the identity of this installation's log (32 bytes)."""
        return self.publications.deployment

    @property
    def system_principal(self) -> bytes:
        """Public key that signs the sequencer's own commands and custody."""
        return self._node.system_principal

    def head(self) -> dict[str, Any]:
        """Last durable block: `blocks`, `last_seq`, `hash`, `time_ns`."""
        return self._head

    def adl_rank(self, account: int, sub: int, market: int) -> tuple[int, int, int] | None:
        """A position's place in the order of auto-deleveraging (P5.8): quintile, rank, positions of its side.

        Quintile and rank 1 give way first. None without such a position, or without equity.
        """
        return self._node.adl_rank(account, sub, market)

    def now_ns(self) -> int:
        """The moment at which a command would be stamped: never before the last one."""
        return max(self._clock(), self._node.time_ns)

    async def state_hashes(self) -> tuple[bytes, bytes]:
        """State hash and cursor hash after everything that is committed by now."""
        return await self._in_writer(lambda: (self._node.state_hash(), self._node.cursor_hash()))

    async def market_archive(self, market: int) -> bytes | None:
        """The records by which a settled market of outcomes is archived; None for every other market."""
        return await self._in_writer(lambda: self._node.market_archive(market))

    async def root(self) -> tuple[int, bytes]:
        """Number of blocks and the Merkle root over them."""
        return await self._in_writer(self._node.root)

    # The way in

    async def submit(
        self, commands: bytes | Sequence[bytes], attestations: Sequence[bytes] = ()
    ) -> list[Result]:
        """Commits commands and returns their results in order, when they are durable. `attestations` are the
        signatures of the publications among them (`security.publications`), in their order.

        Raises:
            NodeStopped: the node failed or is closed; the commands may or may not be in the log.
            QueueFull, SpaceReserved, MalformedFrame, CapacityExceeded: nothing was queued.
            Rejected: PUBLICATION_UNSIGNED, PUBLICATION_FORGED, PUBLICATION_FOREIGN; nothing was queued.
        """
        _, results = await self._submit(commands, (), attestations)
        return decode_results(results)

    async def submit_buffer(self, commands: bytes) -> memoryview:
        """As `submit`, for machines: the results as `CommandResult` records."""
        _, results = await self._submit(commands, ())
        return results

    async def record(self, stream: int, kind: int, payload: bytes) -> int:
        """Makes a note durable in the same log and returns its block number. Raises as `submit`."""
        batch, _ = await self._submit(b"", [(stream, kind, payload)])
        return batch.block

    async def submit_with_notes(
        self, commands: bytes | Sequence[bytes], notes: Sequence[Note]
    ) -> list[Result]:
        """Commits commands and notes in one block: both are durable or neither is. Raises as `submit`."""
        _, results = await self._submit(commands, notes)
        return decode_results(results)

    async def _submit(
        self, commands: bytes | Sequence[bytes], notes: Sequence[Note], attestations: Sequence[bytes] = ()
    ) -> tuple[native.Batch, memoryview]:
        frame = commands if isinstance(commands, bytes) else b"".join(commands)
        self._check(frame, notes)
        attested = self.publications.check(frame, attestations)
        if attested:
            notes = [*notes, *attested]
        loop = asyncio.get_running_loop()
        submission = Submission(frame, notes, loop.create_future())
        self._queue.put(submission)
        self._wake.set()
        return await submission.done

    def _check(self, frame: bytes, notes: Sequence[Note]) -> None:
        if self.stop_reason is not None or self._closing:
            raise NodeStopped(self.stop_reason or "it is closing")
        if len(frame) % native.COMMAND_SIZE:
            raise MalformedFrame(
                f"{len(frame)} bytes are no whole number of {native.COMMAND_SIZE}-byte commands"
            )
        count = len(frame) // native.COMMAND_SIZE
        if count > self.limits.batch_commands:
            raise reject("CAPACITY_EXCEEDED", bound=self.limits.batch_commands, given=count)
        for _, _, payload in notes:
            if len(payload) > self.limits.note_bytes:
                raise QueueFull("bytes in one note", len(payload), self.limits.note_bytes)
        if not frame and not notes:
            raise MalformedFrame("no command and no note")
        if self.state is NodeState.REDUCE_ONLY and self.space is not None and not only_reduces(frame):
            raise SpaceReserved(self.space.free_bytes, self.limits.space_reserved_bytes)

    # The way out

    def subscribe(
        self,
        *,
        name: str,
        from_seq: int | None = None,
        bound: int | None = None,
        policy: SlowPolicy = SlowPolicy.CATCH_UP,
    ) -> Subscription:
        """Batches from the block that holds `from_seq` (default: the next one), in order, exactly once.

        Raises:
            QueueFull: too many subscribers. ValueError: `from_seq` is in the future.
        """
        self._subscriptions = [known for known in self._subscriptions if known.active]
        if len(self._subscriptions) + len(self._callbacks) >= self.limits.subscribers:
            raise QueueFull("subscribers", len(self._subscriptions) + 1, self.limits.subscribers)
        start = self._published.next_seq if from_seq is None else max(from_seq, 1)
        if start > self._published.next_seq:
            raise ValueError(f"sequence {start} is in the future, the next one is {self._published.next_seq}")
        subscription = Subscription(
            name,
            journal=self.journal_path,
            published=self._published,
            from_seq=start,
            bound=bound or self.limits.subscriber_batches,
            policy=policy,
        )
        if self.stop_reason is not None:
            subscription.end(NodeStopped(self.stop_reason))
        self._subscriptions.append(subscription)
        return subscription

    async def attach(self, callback: BatchCallback, *, name: str, from_seq: int = 1) -> None:
        """Gives a synchronous, quick callback every batch from `from_seq` on: first the past, then each as
        it comes.

        It runs before submitters get their answers. One that raises is detached, named in `detached`, and
        makes the node unhealthy; the log goes on.

        Raises:
            ValueError: the name is taken. QueueFull: too many subscribers. What the callback raises on the
            past.
        """
        if name in self._callbacks:
            raise ValueError(f"a callback named {name!r} is attached already")
        subscription = self.subscribe(name=name, from_seq=from_seq)
        try:
            while subscription.next_seq < self._published.next_seq:
                callback(await anext(subscription))
        finally:
            subscription.close()
            self._subscriptions.remove(subscription)
        # Nothing was awaited since the last comparison, so the next publication is the next batch.
        self._callbacks[name] = callback

    def detach(self, name: str) -> None:
        """Stops giving batches to a callback; unknown names are ignored."""
        self._callbacks.pop(name, None)
        self.detached.pop(name, None)

    def _publish(self, batch: native.Batch) -> None:
        if batch.first_seq != self._published.next_seq:
            raise RuntimeError(f"batch {batch.first_seq} does not follow {self._published.next_seq - 1}")
        self._published.blocks = batch.block + 1
        self._published.next_seq = batch.last_seq + 1
        self._head = {
            "blocks": batch.block + 1,
            "last_seq": batch.last_seq,
            "hash": batch.block_hash,
            "time_ns": batch.time_ns,
        }
        for name, callback in list(self._callbacks.items()):
            try:
                callback(batch)
            except Exception as error:  # noqa: BLE001 - one bad projection must not stop the log
                del self._callbacks[name]
                self.detached[name] = f"{type(error).__name__}: {error}"
                log.error("projection_detached", name=name, seq=batch.first_seq, error=str(error))
        for subscription in self._subscriptions:
            subscription.offer(batch)
            subscription.wake()

    # The writer

    async def _run_writer(self) -> None:
        try:
            await self._write_blocks()
        except Exception as error:  # noqa: BLE001 - a defect here must not leave submitters waiting for ever
            self._fail(f"writer: {type(error).__name__}: {error}", self._writing)

    async def _write_blocks(self) -> None:
        while True:
            self._wake.clear()
            if not len(self._queue) and self._snapshot_wanted is None:
                self._idle.set()
                await self._wake.wait()
            self._idle.clear()
            if self._snapshot_wanted is not None:
                wanted, self._snapshot_wanted = self._snapshot_wanted, None
                await self._write_snapshot(wanted)
            self._writing = self._queue.take_block()
            if self._writing:
                await self._write_block(self._writing)
            if self.stop_reason is not None:
                return

    async def _write_block(self, block: list[Submission]) -> None:
        frame = block[0].commands if len(block) == 1 else b"".join(item.commands for item in block)
        notes = [note for item in block for note in item.notes]
        started_ns = time.perf_counter_ns()
        try:
            batch = await self._in_writer(lambda: self._node.commit(frame, notes, self._clock()))
        except Exception as error:  # noqa: BLE001 - whatever it is, nothing may be acknowledged
            self._fail(f"{type(error).__name__}: {error}", block)
            return
        self.commit_latencies_ns.append(time.perf_counter_ns() - started_ns)
        self._account(batch)
        self._publish(batch)
        results = batch.input_results()
        position = 0
        for item in block:
            end = position + item.count * native.RESULT_SIZE
            if not item.done.done():
                item.done.set_result((batch, results[position:end]))
            position = end

    def _account(self, batch: native.Batch) -> None:
        self._last_command_s = time.monotonic()
        self.blocks_committed += 1
        self.commands_committed += batch.count
        self.largest_block = max(self.largest_block, batch.count)

    def _fail(self, reason: str, block: list[Submission]) -> None:
        """Fail-stop: no acknowledgement, everything pending fails, subscribers are told."""
        self.stop_reason = reason
        self._node.halt(reason)
        log.critical("node_stopped", reason=reason, next_seq=self._published.next_seq)
        for item in [*block, *self._queue.drain()]:
            if not item.done.done():
                item.done.set_exception(NodeStopped(reason))
        wanted, self._snapshot_wanted = self._snapshot_wanted, None
        if wanted is not None and not wanted.done():
            wanted.set_exception(NodeStopped(reason))
        for subscription in self._subscriptions:
            subscription.end(NodeStopped(reason))
        self._idle.set()

    async def _in_writer(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    # Snapshots and timers

    async def snapshot(self) -> dict[str, Any]:
        """Records a snapshot in the log and writes it: `seq`, `path`, `bytes`, `state_hash`.

        Raises:
            NodeStopped: the node failed. JournalNoSpace, JournalIo: the file was not written, the log goes
            on.
        """
        self._check(build.tick(principal=self.system_principal), ())
        if self._snapshot_wanted is None:
            self._snapshot_wanted = asyncio.get_running_loop().create_future()
            self._wake.set()
        return await asyncio.shield(self._snapshot_wanted)

    async def _write_snapshot(self, wanted: asyncio.Future[dict[str, Any]]) -> None:
        """The command is committed in order with all others; the file is written beside the following
        blocks.
        """
        try:
            batch, image = await self._in_writer(lambda: self._node.snapshot(self._clock()))
        except Exception as error:  # noqa: BLE001 - the log may hold a block that was not published
            self._fail(f"{type(error).__name__}: {error}", [])
            return
        self._account(batch)
        self._publish(batch)
        self._last_snapshot = (batch.last_seq + 1, time.monotonic())
        writing = asyncio.create_task(self._write_image(image, wanted), name="node-snapshot")
        self._images.add(writing)
        writing.add_done_callback(self._images.discard)

    async def _write_image(self, image: native.SnapshotImage, wanted: asyncio.Future[dict[str, Any]]) -> None:
        # One at a time: the journal's snapshot folder has one writer.
        async with self._image_lock:
            try:
                report = await asyncio.to_thread(image.write)
            except native.TradewindError as error:
                if not wanted.done():
                    wanted.set_exception(error)
                return
        if not wanted.done():
            wanted.set_result(report)

    async def _keep_time(self) -> None:
        next_space_s = 0.0
        while self.stop_reason is None:
            if time.monotonic() >= next_space_s:
                next_space_s = time.monotonic() + self.limits.space_interval_s
                self._measure_space()
            with contextlib.suppress(NodeStopped, QueueFull):
                await self._tick_if_due()
            self._snapshot_if_due()
            await asyncio.sleep(self.limits.tick_interval_s)

    def _measure_space(self) -> None:
        before = self.space
        try:
            self.space = measure(self.journal_path, self.limits, bool(self._node_reserve_released()))
        except (OSError, native.TradewindError) as error:
            log.error("space_not_measured", error=str(error))
            return
        if before is None or before.level is not self.space.level:
            log.warning("space_level", level=self.space.level, free_bytes=self.space.free_bytes)

    def _node_reserve_released(self) -> bool:
        # Asking waits for a commit under way, so it is asked only when nothing is being written.
        if not self._idle.is_set():
            return self.space is not None and self.space.level is SpaceLevel.RESERVED
        return bool(self._node.head()["reserve_released"])

    async def _tick_if_due(self) -> None:
        due_ns = self._node.next_due_ns
        due = due_ns is not None and due_ns <= self.now_ns()
        quiet_s = time.monotonic() - self._last_command_s
        if due or quiet_s >= self.limits.heartbeat_s:
            [result] = await self.submit(self._own(build.tick))
            self.clock_problem = None if result.accepted else result.message
        if self._published.blocks - self._last_checkpoint_block >= self.limits.checkpoint_blocks:
            self._last_checkpoint_block = self._published.blocks
            await self.submit(self._own(build.checkpoint))

    def _own(self, builder: Callable[..., bytes]) -> bytes:
        return builder(principal=self.system_principal, shard=self._node.shard)

    def _snapshot_if_due(self) -> None:
        seq, taken_s = self._last_snapshot
        commands = self._published.next_seq - seq
        age_s = time.monotonic() - taken_s
        many = commands >= self.limits.snapshot_commands and age_s >= self.limits.snapshot_spacing_s
        due = many or (age_s >= self.limits.snapshot_interval_s and commands > 0)
        if due and self._snapshot_wanted is None and self.stop_reason is None:
            # The next one is counted from here, also when this one fails: a full disk is not asked again at
            # once.
            self._last_snapshot = (self._published.next_seq, time.monotonic())
            self._snapshot_wanted = asyncio.get_running_loop().create_future()
            self._snapshot_wanted.add_done_callback(_log_failure)
            self._wake.set()

    # The end

    async def close(self) -> None:
        """Writes what waits, ends the subscriptions and gives the directory free. May be called twice."""
        if self._closing:
            return
        self._closing = True
        self._tasks[1].cancel()
        if self.stop_reason is None:
            self._wake.set()
            while len(self._queue) or not self._idle.is_set():
                await self._idle.wait()
                await asyncio.sleep(0)
        self._tasks[0].cancel()
        await asyncio.gather(*self._tasks, *self._images, return_exceptions=True)
        for item in self._queue.drain():
            item.done.set_exception(NodeStopped("it was closed"))
        await self._in_writer(self._node.close)
        self._executor.shutdown(wait=True)
        for subscription in self._subscriptions:
            subscription.end()
        self.stop_reason = self.stop_reason or "closed"

    async def __aenter__(self) -> NodeService:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def _log_failure(wanted: asyncio.Future[dict[str, Any]]) -> None:
    if not wanted.cancelled() and (error := wanted.exception()) is not None:
        log.error("snapshot_failed", error=str(error))


def _genesis_of(journal: Path) -> GenesisConfig:
    """The configuration with which a journal began; a damaged one is named with its file."""
    try:
        return GenesisConfig.decode(native.journal_genesis(journal))
    except InvalidGenesis as error:
        error.args = (f"{journal / 'genesis'} is damaged: {error}",)
        raise
