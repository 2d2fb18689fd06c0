"""An event loop whose clock jumps to the next thing that is due: minutes are measured within a second."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from tradewind.readiness.errors import CannotMeasureError


class _Skipping(selectors.SelectSelector):
    """Waits for nothing: the time that would pass is added to the loop's clock."""

    loop: VirtualLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            if timeout is None:
                raise CannotMeasureError("everything waits for something that never comes")
            self.loop.now_s += max(0.0, timeout)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """`loop.time()` begins at 0."""

    def __init__(self) -> None:
        selector = _Skipping()
        selector.loop = self
        self.now_s = 0.0
        super().__init__(selector)

    def time(self) -> float:
        """Seconds since the loop was made, none of which anybody waited."""
        return self.now_s

    def time_ns(self) -> int:
        """The same in ns."""
        return int(self.now_s * 1e9)


Result = TypeVar("Result")


def run_virtually(work: Callable[[VirtualLoop], Coroutine[Any, Any, Result]]) -> Result:
    """The result of `work`, which gets the loop that it runs on.

    Raises:
        CannotMeasureError: every task waits for something that never comes.
    """
    loop = VirtualLoop()
    try:
        return loop.run_until_complete(work(loop))
    finally:
        loop.close()
