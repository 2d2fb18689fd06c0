"""One reading at a time for everybody who wants the same: what many doubts cost together is what one costs.

Who asks is served by a reading that leaves behind the question, never by one that was under way already: an
answer is as fresh as if it had been asked for alone. While a reading waits for its turn (points, a free
connection), others join it; so the fewer points there are, the more of them share one reading.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

Want = TypeVar("Want")
Result = TypeVar("Result")
MAX_SHARED: Final = 10_000
"""Who waits for one reading; one more raises `OverflowError`."""


class Batch(Generic[Want]):
    """Who shares a reading. It is open until the request leaves."""

    def __init__(self, leave: Callable[[], None]) -> None:
        self._wants: list[Want] = []
        self._leave = leave

    def close(self) -> list[Want]:
        """What is wanted; from now on nobody joins. Call it in the moment of the write, as often as you
        like.
        """
        self._leave()
        return self._wants


class SharedRead(Generic[Want, Result]):
    """`read(batch)` makes one reading for all wants of a batch; its answer goes to each of them.

    A reading that ends without having closed its batch was never sent, and tells that to everybody in it.
    """

    def __init__(self, read: Callable[[Batch[Want]], Awaitable[Result]]) -> None:
        self._read = read
        self._open: tuple[Batch[Want], list[asyncio.Future[Result]]] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._turn = asyncio.Lock()
        self.asked = 0
        self.readings = 0

    async def get(self, want: Want) -> Result:
        """The answer of the next reading. An exception of `read` is raised for everybody who shared it."""
        if self._open is None:
            self._open = self._begin()
        batch, waiting = self._open
        if len(waiting) >= MAX_SHARED:
            raise OverflowError(f"{MAX_SHARED} wait for one reading")
        self.asked += 1
        answer: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        batch._wants.append(want)
        waiting.append(answer)
        return await answer

    def _begin(self) -> tuple[Batch[Want], list[asyncio.Future[Result]]]:
        waiting: list[asyncio.Future[Result]] = []
        batch: Batch[Want] = Batch(lambda: self._close(batch))
        task = asyncio.create_task(self._run(batch, waiting))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return batch, waiting

    def _close(self, batch: Batch[Want]) -> None:
        if self._open is not None and self._open[0] is batch:
            self._open = None

    async def _run(self, batch: Batch[Want], waiting: list[asyncio.Future[Result]]) -> None:
        async with self._turn:  # the one before has ended: at most one under way, and one that fills
            if all(one.done() for one in waiting):
                self._close(batch)
                return
            self.readings += 1
            try:
                result = await self._read(batch)
            except Exception as error:  # noqa: BLE001 who asked hears of it
                self._close(batch)
                for one in waiting:
                    if not one.done():
                        one.set_exception(error)
                return
            except asyncio.CancelledError:
                self._close(batch)
                for one in waiting:
                    one.cancel()
                raise
            self._close(batch)
            for one in waiting:
                if not one.done():
                    one.set_result(result)
