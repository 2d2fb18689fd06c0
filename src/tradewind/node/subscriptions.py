"""Subscriptions: every batch after its durability, in order, exactly once.

A subscriber that asks for a past sequence reads the log first and then goes over to live batches without a
gap. One that falls behind its bound either reads the missing part from the log too (`CATCH_UP`) or is
disconnected with a typed error (`DISCONNECT`). Its queue never grows.
"""

from __future__ import annotations

import asyncio
from collections import deque
from enum import StrEnum
from pathlib import Path

from tradewind.core import native
from tradewind.node.errors import SlowConsumer


class SlowPolicy(StrEnum):
    """What happens to a subscriber whose queue is full."""

    CATCH_UP = "catch_up"
    DISCONNECT = "disconnect"


class Published:
    """How far publication has come; shared by all subscriptions of a node."""

    __slots__ = ("blocks", "next_seq")

    def __init__(self, blocks: int, next_seq: int) -> None:
        self.blocks = blocks
        self.next_seq = next_seq


class Subscription:
    """An asynchronous iterator over batches. It ends when the node closes and raises when the node fails."""

    def __init__(
        self, name: str, *, journal: Path, published: Published, from_seq: int, bound: int, policy: SlowPolicy
    ) -> None:
        self.name = name
        self.bound = bound
        self.policy = policy
        self.next_seq = from_seq
        """Sequence after the last batch handed out."""
        self.catch_ups = 0
        """How often the log had to fill a gap."""
        self._journal = journal
        self._published = published
        self._waiting: deque[native.Batch] = deque()
        self._wake = asyncio.Event()
        self._reader: native.JournalReader | None = None
        self._live = from_seq == published.next_seq
        self._closed = False
        self._failure: Exception | None = None

    @property
    def lag_commands(self) -> int:
        """Commands that are published and not handed out yet."""
        return self._published.next_seq - self.next_seq

    @property
    def active(self) -> bool:
        return not self._closed and self._failure is None

    def offer(self, batch: native.Batch) -> None:
        """Called by the node on its loop, once per batch, in order."""
        if not self._live or not self.active:
            return
        if len(self._waiting) < self.bound:
            self._waiting.append(batch)
        elif self.policy is SlowPolicy.CATCH_UP:
            # The queue is handed out first; what follows it comes from the log.
            self._live = False
            self.catch_ups += 1
        else:
            resume = self._waiting[-1].last_seq + 1
            self._failure = SlowConsumer(self.name, self.bound, resume)
        self._wake.set()

    def wake(self) -> None:
        """Something was published while this subscription reads the log."""
        self._wake.set()

    def end(self, failure: Exception | None = None) -> None:
        """What waits is still handed out; then the iterator ends, or raises `failure`."""
        self._failure = self._failure or failure
        self._closed = True
        self._wake.set()

    def close(self) -> None:
        """Stops at once and forgets what waits."""
        self._waiting.clear()
        self.end()

    def __aiter__(self) -> Subscription:
        return self

    async def __anext__(self) -> native.Batch:
        """
        Raises:
            SlowConsumer: disconnected by policy. NodeStopped: the node failed. JournalCorrupt: damage.
        """
        while True:
            batch = await self._next_or_none()
            if batch is not None:
                self.next_seq = batch.last_seq + 1
                return batch
            if self._failure is not None:
                raise self._failure
            if self._closed:
                raise StopAsyncIteration
            self._wake.clear()
            await self._wake.wait()

    async def _next_or_none(self) -> native.Batch | None:
        if self._waiting:
            return self._waiting.popleft()
        if self._live or self._failure is not None:
            return None
        batch = await self._read_log()
        reached = self.next_seq if batch is None else batch.last_seq + 1
        if reached == self._published.next_seq:
            # Nothing is awaited between this comparison and the next publication: no gap, no double.
            self._live = True
            self._reader = None
        return batch

    async def _read_log(self) -> native.Batch | None:
        if self._reader is None:
            self._reader = await asyncio.to_thread(native.JournalReader, self._journal, self.next_seq)
        reader = self._reader
        if reader.next_block >= self._published.blocks:
            return None
        # Blocks that are written but not durable yet are not published: the reader stops before them.
        reader.set_upper_block(self._published.blocks)
        return await asyncio.to_thread(reader.next)
