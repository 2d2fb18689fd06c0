"""Counters from batches: commands, trades, volume and fees, read from the records without building objects.

`BatchCounters.apply` is attached to the node; it costs about half a microsecond per command.
"""

from __future__ import annotations

import struct
from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Protocol

from tradewind.core import event_types
from tradewind.core.errors import name_of
from tradewind.core.hashing import command_names
from tradewind.core.records import Field, codec, record_sizes, struct_format

MAX_MARKETS = 200
"""Markets with their own series; the rest is counted as "other" (O6.1)."""
OTHER_MARKETS = -1
BATCH_BOUNDS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024, 2_048, 4_096)
SECONDS_BOUNDS = tuple(0.0001 * 2**power for power in range(19))
"""Order-path buckets of O6.3: 100 µs × 2ⁿ to 26 s."""
RATE_WINDOW_S = 5.0
MAX_RATE_SAMPLES = 64


def _fields(record: str, names: Sequence[str], shift: int = 0) -> list[Field]:
    return [(name, offset + shift, kind) for name, offset, kind in codec(record).fields if name in names]


_BODY = next(offset for name, offset, _ in codec("Event").fields if name == "body")
_COMMAND = struct.Struct(struct_format(_fields("Command", ("kind", "op")), record_sizes()["Command"]))
_RESULT = struct.Struct(struct_format(_fields("CommandResult", ("code",)), record_sizes()["CommandResult"]))
_TRADE = struct.Struct(
    struct_format(
        _fields("Event", ("kind", "market"))
        + _fields("TradeBody", ("notional", "taker_fee", "maker_fee"), _BODY),
        record_sizes()["Event"],
    )
)
_SET_FILL = struct.Struct(
    struct_format(
        _fields("Event", ("kind", "market", "order"))
        + _fields("SetFilledBody", ("taker_order", "value", "fee"), _BODY),
        record_sizes()["Event"],
    )
)
_SET_FILL_KIND = next(code for code, kind in event_types.EVENT_TYPES.items() if kind is event_types.SetFilled)
_TRADE_KIND = next(code for code, kind in event_types.EVENT_TYPES.items() if kind is event_types.Trade)
_COMMAND_NAMES = {code: name for code, (name, _) in command_names().items()}


class CountedBatch(Protocol):
    """What is read of a durable batch."""

    @property
    def commands(self) -> memoryview: ...
    @property
    def results(self) -> memoryview: ...
    @property
    def events(self) -> memoryview: ...
    @property
    def count(self) -> int: ...
    @property
    def time_ns(self) -> int: ...


class Histogram:
    """Counts per upper bound, and the sum, of non-negative values."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count one value."""
        place = next((index for index, bound in enumerate(self.bounds) if value <= bound), len(self.bounds))
        self.counts[place] += 1
        self.total += value

    def cumulative(self) -> list[tuple[str, float]]:
        """(upper bound, values at or below it), ending with "+Inf"."""
        running, rows = 0, []
        for bound, count in zip((*self.bounds, float("inf")), self.counts, strict=True):
            running += count
            rows.append(("+Inf" if bound == float("inf") else f"{bound:g}", float(running)))
        return rows


class BatchCounters:
    """What was counted since the process started."""

    def __init__(self) -> None:
        self.commands: Counter[tuple[str, int]] = Counter()
        """(kind, reject code; 0 = committed) → commands."""
        self.trades: Counter[int] = Counter()
        self.volume_micro: Counter[int] = Counter()
        self.taker_fees_micro: Counter[int] = Counter()
        self.maker_fees_micro: Counter[int] = Counter()
        self.blocks = 0
        self.batch_sizes = Histogram(BATCH_BOUNDS)
        self.last_time_ns: int | None = None
        self._samples: deque[tuple[float, int]] = deque(maxlen=MAX_RATE_SAMPLES)

    def apply(self, batch: CountedBatch) -> None:
        """Count one durable batch."""
        pairs = Counter(
            zip(_COMMAND.iter_unpack(batch.commands), _RESULT.iter_unpack(batch.results), strict=True)
        )
        for (command, (code,)), count in pairs.items():
            self.commands[_COMMAND_NAMES.get(command, "unknown"), code] += count
        sets = False
        for kind, market, notional, taker_fee, maker_fee in _TRADE.iter_unpack(batch.events):
            if kind == _TRADE_KIND:
                self._trade(market, notional, taker_fee, maker_fee)
            elif kind == _SET_FILL_KIND:
                sets = True
        if sets:
            self._count_sets(batch)
        self.blocks += 1
        self.batch_sizes.observe(batch.count)
        self.last_time_ns = batch.time_ns

    def _count_sets(self, batch: CountedBatch) -> None:
        """Every order of a set counts as a trade of its outcome."""
        for kind, market, order, taker_order, value, fee in _SET_FILL.iter_unpack(batch.events):
            if kind == _SET_FILL_KIND:
                taker_fee, maker_fee = (fee, 0) if order == taker_order else (0, fee)
                self._trade(market, max(value, 0), taker_fee, maker_fee)

    def _trade(self, market: int, notional: int, taker_fee: int, maker_fee: int) -> None:
        if market not in self.trades and len(self.trades) >= MAX_MARKETS:
            market = OTHER_MARKETS
        self.trades[market] += 1
        self.volume_micro[market] += notional
        self.taker_fees_micro[market] += taker_fee
        self.maker_fees_micro[market] += maker_fee

    @property
    def commands_total(self) -> int:
        """Commands committed, refused ones included (both are in the log)."""
        return sum(self.commands.values())

    def rejects(self) -> dict[str, int]:
        """Refused commands by name of the code."""
        by_code: Counter[str] = Counter()
        for (_, code), count in self.commands.items():
            if code:
                by_code[name_of(code) or str(code)] += count
        return dict(by_code)

    def commands_per_s(self, now_s: Callable[[], float]) -> float | None:
        """Rate over the last seconds; None until two samples were taken."""
        now, total = now_s(), self.commands_total
        self._samples.append((now, total))
        while len(self._samples) > 2 and now - self._samples[0][0] > RATE_WINDOW_S:
            self._samples.popleft()
        first_s, first_total = self._samples[0]
        return None if now <= first_s else (total - first_total) / (now - first_s)


def quantile_us(samples_ns: Sequence[int], fraction: float) -> int | None:
    """The value at `fraction` of the sorted samples in microseconds; None without samples."""
    if not samples_ns:
        return None
    ordered = sorted(samples_ns)
    return ordered[min(len(ordered) - 1, int(len(ordered) * fraction))] // 1_000
