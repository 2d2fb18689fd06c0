"""From callbacks to one asynchronous reader each: ordered, bounded, and never silent about a loss."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

MAX_WAITING_EVENTS = 65_536
MAX_READERS = 64

Event = TypeVar("Event")


class TooManyReaders(RuntimeError):
    """More than `MAX_READERS` readers: a programming error, readers must be closed."""


class Reader(Generic[Event]):
    """One reader's events, oldest first. Iteration ends after `close` once everything was handed over.

    When more than `limit` events wait, all of them are dropped, `lost(count)` tells the reader, and the
    stream ends: a private stream with a hole in it must be read anew, not continued.
    """

    def __init__(self, lost: Callable[[int], Event], limit: int = MAX_WAITING_EVENTS) -> None:
        self.limit = limit
        self.closed = False
        self._lost = lost
        self._waiting: deque[Event] = deque()
        self._ready = asyncio.Event()

    def put(self, event: Event) -> None:
        """Add one event. Ignored once closed."""
        if self.closed:
            return
        if len(self._waiting) >= self.limit:
            count = len(self._waiting) + 1
            self._waiting.clear()
            self._waiting.append(self._lost(count))
            self.closed = True
        else:
            self._waiting.append(event)
        self._ready.set()

    def close(self) -> None:
        """No more events."""
        self.closed = True
        self._ready.set()

    def __aiter__(self) -> Reader[Event]:
        return self

    async def __anext__(self) -> Event:
        while not self._waiting:
            if self.closed:
                raise StopAsyncIteration
            self._ready.clear()
            await self._ready.wait()
        return self._waiting.popleft()


class Fanout(Generic[Event]):
    """Hands every event to every reader. Calls come from one event loop."""

    def __init__(self, lost: Callable[[int], Event], limit: int = MAX_WAITING_EVENTS) -> None:
        self._lost = lost
        self._limit = limit
        self._readers: list[Reader[Event]] = []

    def reader(self, *first: Event) -> Reader[Event]:
        """A new reader, which starts with `first`. Raises `TooManyReaders`."""
        self._readers = [one for one in self._readers if not one.closed]
        if len(self._readers) >= MAX_READERS:
            raise TooManyReaders(f"more than {MAX_READERS} readers of one stream")
        reader = Reader(self._lost, self._limit)
        for event in first:
            reader.put(event)
        self._readers.append(reader)
        return reader

    def put(self, event: Event) -> None:
        """Hand `event` to every reader."""
        for reader in self._readers:
            reader.put(event)

    def close(self) -> None:
        """End every reader's stream."""
        for reader in self._readers:
            reader.close()
        self._readers.clear()
