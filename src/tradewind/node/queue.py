"""What waits for the writer, and how it is cut into blocks. Pure bookkeeping: no I/O, no clock."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

from tradewind.core import native
from tradewind.node.errors import QueueFull
from tradewind.node.limits import NodeLimits

Note = tuple[int, int, bytes]
"""Stream, kind, bytes of another writer's record."""


class Submission:
    """Commands and notes that go into one block together; `done` gets (batch, results of these commands)."""

    __slots__ = ("commands", "count", "done", "notes", "size")

    def __init__(
        self, commands: bytes, notes: Sequence[Note], done: asyncio.Future[tuple[native.Batch, memoryview]]
    ):
        self.commands = commands
        self.count = len(commands) // native.COMMAND_SIZE
        self.notes = tuple(notes)
        self.size = len(commands) + sum(len(payload) + 16 for _, _, payload in self.notes)
        self.done = done


class SubmitQueue:
    """First in, first out, with bounds on commands and bytes."""

    def __init__(self, limits: NodeLimits) -> None:
        self._limits = limits
        self._waiting: deque[Submission] = deque()
        self.commands = 0
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, submission: Submission) -> None:
        """
        Raises:
            QueueFull: the queue would exceed a bound; nothing was queued.
        """
        # A submission of notes alone travels with a Tick, so it counts as one command.
        commands = self.commands + max(submission.count, 1)
        if commands > self._limits.pending_commands:
            raise QueueFull("commands", commands, self._limits.pending_commands)
        size = self.bytes + submission.size
        if size > self._limits.pending_bytes:
            raise QueueFull("bytes", size, self._limits.pending_bytes)
        self.commands, self.bytes = commands, size
        self._waiting.append(submission)

    def take_block(self) -> list[Submission]:
        """The longest run from the front that fits one block; at least one submission when any waits."""
        block: list[Submission] = []
        commands = size = 0
        while self._waiting:
            head = self._waiting[0]
            fits = (
                commands + head.count <= self._limits.batch_commands
                and size + head.size <= self._limits.batch_bytes
            )
            if block and not fits:
                break
            commands += head.count
            size += head.size
            block.append(self._waiting.popleft())
        self.commands -= sum(max(submission.count, 1) for submission in block)
        self.bytes -= size
        return block

    def drain(self) -> list[Submission]:
        """Everything that waits, for a node that stops."""
        waiting = list(self._waiting)
        self._waiting.clear()
        self.commands = self.bytes = 0
        return waiting
