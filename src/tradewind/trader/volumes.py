"""Public volume of the last five minutes per symbol, in buckets of ten seconds (L23, T12.1)."""

from __future__ import annotations

from typing import Final

SECOND_NS: Final = 1_000_000_000
BUCKET_NS: Final = 10 * SECOND_NS
BUCKETS: Final = 30
WINDOW_NS: Final = BUCKETS * BUCKET_NS


class _Tape:
    __slots__ = ("bucket", "fraction", "lots", "since_ns", "total")

    def __init__(self, now_ns: int) -> None:
        self.since_ns = now_ns
        self.bucket = now_ns // BUCKET_NS
        self.lots = [0] * BUCKETS
        self.total = 0
        self.fraction = 0

    def move_to(self, bucket: int) -> None:
        if bucket - self.bucket >= BUCKETS:
            self.lots = [0] * BUCKETS
            self.total, self.bucket = 0, bucket
            return
        while self.bucket < bucket:
            self.bucket += 1
            place = self.bucket % BUCKETS
            self.total -= self.lots[place]
            self.lots[place] = 0


class Volumes:
    """Lots traded in public. What one print leaves over below a lot is carried to the next one."""

    def __init__(self) -> None:
        self._tapes: dict[str, _Tape] = {}

    def watch(self, symbol: str, now_ns: int) -> None:
        """From now on prints of the symbol are seen without a gap; after a gap call it again."""
        self._tapes[symbol] = _Tape(now_ns)

    def add(self, symbol: str, outside_lots: int, ratio: int, now_ns: int) -> None:
        """A print of `outside_lots`, `ratio` of which are one of our lots."""
        tape = self._tapes.get(symbol)
        if tape is None:
            tape = self._tapes[symbol] = _Tape(now_ns)
        bucket = now_ns // BUCKET_NS
        if bucket > tape.bucket:
            tape.move_to(bucket)
        lots, tape.fraction = divmod(outside_lots + tape.fraction, ratio)
        tape.lots[tape.bucket % BUCKETS] += lots
        tape.total += lots

    def seen(self, symbol: str, now_ns: int) -> int | None:
        """Lots of the last five minutes as far as they were watched: at most those that there were. None
        before the first print.
        """
        tape = self._tapes.get(symbol)
        if tape is None:
            return None
        bucket = now_ns // BUCKET_NS
        if bucket > tape.bucket:
            tape.move_to(bucket)
        return tape.total

    def lots(self, symbol: str, now_ns: int) -> int | None:
        """Lots of the last five minutes (of up to ten seconds less); None before they were seen."""
        tape = self._tapes.get(symbol)
        if tape is None or now_ns - tape.since_ns < WINDOW_NS:
            return None
        bucket = now_ns // BUCKET_NS
        if bucket > tape.bucket:
            tape.move_to(bucket)
        return tape.total
