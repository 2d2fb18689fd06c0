"""Whether what is asked now decides about an order whose outcome is unknown (T7.6).

Resolution and reconciliation are one class (P2). Within it a proof goes first, and other reads leave room for
one: who resolves says so here, and connectors look when they ask the limiter.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_DECIDES: ContextVar[bool] = ContextVar("tradewind_decides", default=False)


def decides() -> bool:
    """Whether this task, or the one that began it, asks to decide about an unknown order."""
    return _DECIDES.get()


@contextmanager
def deciding() -> Iterator[None]:
    """What is asked inside decides about an unknown order."""
    token = _DECIDES.set(True)
    try:
        yield
    finally:
        _DECIDES.reset(token)
