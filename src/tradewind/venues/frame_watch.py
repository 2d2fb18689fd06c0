"""Looks whether a venue's messages still are what we know: fields that are new, words that are new, losses.

Connectors read only what they trade by and ignore the rest, as they must. A watch reads the first frames of
a connection and then a few in full (`shapes`), so that what a venue adds or changes is seen by name and not
by its consequences. It changes nothing: what a strange word means for risk is decided where it is used.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

import structlog

from tradewind.venues.market_data import DecodeError
from tradewind.venues.shapes import Catalogue, document_of, read

FIRST_FRAMES: Final = 256
"""These are all looked at; behind them one in `EVERY_FRAMES`."""
EVERY_FRAMES: Final = 1_024
MAX_FRAME_BYTES: Final = 256 * 1024
"""Longer frames (snapshots) are not looked at behind the first ones."""
MAX_NAMES: Final = 256
ALARM_EVERY_S: Final = 3_600.0
"""One message in the log for each name and hour (trading T2.7)."""

log = structlog.get_logger(__name__)


class FrameWatch:
    """Of one connection or feed. `name_of` tells the shape of a frame, None for one that is not judged."""

    def __init__(
        self,
        catalogue: Catalogue,
        name_of: Callable[[Any], str | None],
        steady_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.catalogue, self.frames, self.looked_at, self.unnamed = catalogue, 0, 0, 0
        self.unread: Counter[str] = Counter()
        """`shape: path` of fields that the shape does not know."""
        self.strange: Counter[str] = Counter()
        """`shape: path=word` of words that the shape does not know."""
        self.unlike: Counter[str] = Counter()
        """Shapes whose frames were not of the shape."""
        self._name_of, self._steady_s = name_of, steady_s
        self._alarmed_s: dict[str, float] = {}

    def see(self, frame: bytes) -> None:
        """A frame as it came. Never raises, and keeps nothing of it but names."""
        self.frames += 1
        if self.frames > FIRST_FRAMES and (self.frames % EVERY_FRAMES or len(frame) > MAX_FRAME_BYTES):
            return
        try:
            name = self._name_of(document_of(frame))
        except DecodeError:
            return  # the decoder counts it
        if name is None:
            self.unnamed += 1
            return
        self.look(name, frame)

    def look(self, name: str, body: bytes) -> None:
        """A message whose shape is known (an answer of REST). Never raises."""
        self.looked_at += 1
        try:
            reading = read(self.catalogue[name], body)
        except DecodeError as error:
            self._count(self.unlike, name, error.reason)
            return
        for path in reading.unread:
            self._count(self.unread, f"{name}: {path}", "a field that is not known")
        for word in reading.strange:
            self._count(self.strange, f"{name}: {word}", "a word that is not known")

    @property
    def names(self) -> list[str]:
        """Everything that was new, for people."""
        return sorted([*self.unread, *self.strange, *(f"{name}: another shape" for name in self.unlike)])

    def _count(self, counter: Counter[str], name: str, what: str) -> None:
        if name not in counter and len(counter) >= MAX_NAMES:
            name = "(other)"
        counter[name] += 1
        now_s = self._steady_s()
        if now_s - self._alarmed_s.get(name, -ALARM_EVERY_S) >= ALARM_EVERY_S:
            self._alarmed_s[name] = now_s
            log.warning("venue_message_changed", venue=self.catalogue.venue, name=name, what=what)
