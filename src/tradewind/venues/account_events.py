"""The private events of one account: its present state first, then everything, to every reader."""

from __future__ import annotations

import time
from collections.abc import Callable

from tradewind.venues.protocol import PrivateEvent, StreamState
from tradewind.venues.streams import Fanout, Reader


def _lost(count: int) -> PrivateEvent:
    return StreamState(live=False, reason=f"{count} events not taken in time", since_ns=time.time_ns())


class AccountEvents(Fanout[PrivateEvent]):
    """What every connector hands out as `private`. `state()`: whether events are proven now, and why not."""

    def __init__(self, account: str, state: Callable[[], tuple[bool, str]]) -> None:
        super().__init__(_lost)
        self._account, self._state = account, state
        self._was_live = False

    def of(self, account: str) -> Reader[PrivateEvent]:
        """Events from now on, after the present `StreamState`. The stream of another account says that and
        ends: nothing of ours is ever told under another name. Raises `TooManyReaders`.
        """
        if account != self._account:
            other: Reader[PrivateEvent] = Reader(_lost)
            other.put(StreamState(live=False, reason="another account", since_ns=time.time_ns()))
            other.close()
            return other
        live, reason = self._state()
        return self.reader(StreamState(live=live, reason="" if live else reason, since_ns=time.time_ns()))

    def moved(self, reason: str, at_ns: int) -> None:
        """The connection moved: tells it when that changed whether events are proven."""
        live, _ = self._state()
        was, self._was_live = self._was_live, live
        if was is not live:
            self.put(StreamState(live=live, reason=reason, since_ns=at_ns))
