"""External volume as a parent sees it: own trades are not in it (T13.5)."""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Final, TypeVar

SECOND_NS: Final = 1_000_000_000
KEEP_NS: Final = 600 * SECOND_NS
MAX_TRADE_IDS: Final = 4_096
Entry = TypeVar("Entry")


class Tape:
    """External volume of one symbol: since its beginning, and by second of the last ten minutes."""

    def __init__(self) -> None:
        self.began_ns: int | None = None
        self.gap_ns = 0
        """The last moment at which trades may have been missed."""
        self.lots = 0
        self.value = 0
        """Sum of price_ticks times lots."""
        self._seconds: deque[list[int]] = deque(maxlen=KEEP_NS // SECOND_NS + 2)
        self._printed: OrderedDict[str, tuple[int, int, int]] = OrderedDict()
        self._own: OrderedDict[str, None] = OrderedDict()

    def begin(self, now_ns: int) -> None:
        """From now on every trade is heard."""
        if self.began_ns is None:
            self.began_ns = self.gap_ns = now_ns

    def missed(self, now_ns: int) -> None:
        """Trades may have been missed until now (the feed was not live)."""
        self.gap_ns = now_ns

    def add(self, now_ns: int, price_ticks: int, lots: int, trade_id: str = "") -> None:
        """One public trade. With an id that an own fill had, it is ours and not counted."""
        self.begin(now_ns)
        if trade_id and self._own.pop(trade_id, self) is None:
            return
        self._count(now_ns, price_ticks, lots)
        if trade_id:
            _remember(self._printed, trade_id, (now_ns, price_ticks, lots))

    def own(self, trade_id: str) -> None:
        """An own fill of this id: its print, before or after it, is not external. Only for venues whose
        public trades contain ours under the same ids.
        """
        printed = self._printed.pop(trade_id, None)
        if printed is None:
            _remember(self._own, trade_id, None)
        else:
            at_ns, price_ticks, lots = printed
            self._count(at_ns, price_ticks, -lots)

    def within(self, now_ns: int, window_ns: int) -> int:
        """Lots of the last `window_ns`. A second that lies only partly in it is left out, so that a cap made
        of it holds in the exact window too.
        """
        return sum(lots for second_ns, lots in self._seconds if now_ns - window_ns <= second_ns <= now_ns)

    def covered_ns(self, now_ns: int) -> int:
        """For how long no trade was missed."""
        return 0 if self.began_ns is None else max(0, now_ns - self.gap_ns)

    def _count(self, now_ns: int, price_ticks: int, lots: int) -> None:
        self.lots += lots
        self.value += lots * price_ticks
        second_ns = now_ns // SECOND_NS * SECOND_NS
        for entry in reversed(self._seconds):
            if entry[0] == second_ns:
                entry[1] += lots
                return
            if entry[0] < second_ns:
                break
        if lots > 0:
            self._seconds.append([second_ns, lots])


def _remember(table: OrderedDict[str, Entry], key: str, value: Entry) -> None:
    table[key] = value
    if len(table) > MAX_TRADE_IDS:
        table.popitem(last=False)
