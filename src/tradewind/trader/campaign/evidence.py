"""What a campaign measured, read from its files: the one source of checklist, report and probes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from .samples import AlertLine, DrillLine, FillLine, OrderLine, Sample, TradingFigures
from .series import decode_series
from .state import STATE_FILE, CampaignRefused, CampaignState
from .statistics import Histogram

T = TypeVar("T")
SAMPLES_FILE: Final = "samples.series"
ORDERS_FILE: Final = "orders.series"
FILLS_FILE: Final = "fills.series"
DRILLS_FILE: Final = "drills.series"
ALERTS_FILE: Final = "alerts.series"
SERIES_FILES: Final = (SAMPLES_FILE, ORDERS_FILE, FILLS_FILE, DRILLS_FILE, ALERTS_FILE)
RAW_FILES: Final = (STATE_FILE, *SERIES_FILES)


class OrderFold(msgspec.Struct, kw_only=True):
    """One order as its lines tell it."""

    client_id: str
    symbol: str = ""
    side: str = ""
    price: str = ""
    quantity: str = ""
    filled: str = "0"
    submitted_ns: int | None = None
    campaign_s: float = 0.0
    answer: str = ""
    code: str = ""
    preventable: bool = False
    latency_ms: float | None = None
    state: str = ""
    ended_ns: int | None = None
    fills: int = 0

    @property
    def explained(self) -> bool:
        """Whether the order has a terminal state that says why: filled, cancelled, or a typed refusal."""
        if self.answer == "reject":
            return bool(self.code)
        return self.state in TERMINAL_STATES


TERMINAL_STATES: Final = frozenset({"filled", "cancelled", "expired", "rejected"})


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the campaign, in seconds of campaign time: from `begin_s` (excluded, but 0) to `end_s`."""

    begin_s: float = 0.0
    end_s: float = float("inf")

    def holds(self, campaign_s: float) -> bool:
        """Whether this moment lies in the window."""
        return (campaign_s > self.begin_s or self.begin_s == 0.0) and campaign_s <= self.end_s


class Evidence(msgspec.Struct, kw_only=True):
    """Everything of one campaign, or of one day of it."""

    state: CampaignState
    samples: list[Sample]
    orders: list[OrderFold]
    fills: list[FillLine]
    drills: list[DrillLine]
    alerts: list[AlertLine]
    window: Window = Window()
    earlier: dict[int, Sample] = {}
    """Last sample of each life before the window: what its counters are counted from."""

    @property
    def covered_s(self) -> float:
        """Campaign time in this window."""
        return max(0.0, min(self.state.counted_s, self.window.end_s) - self.window.begin_s)

    def day(self, number: int, day_s: float) -> Evidence:
        """The n-th day of the campaign, 1 is the first."""
        window = Window(begin_s=(number - 1) * day_s, end_s=number * day_s)
        return Evidence(
            state=self.state,
            samples=[one for one in self.samples if window.holds(one.campaign_s)],
            orders=[one for one in self.orders if window.holds(one.campaign_s)],
            fills=[one for one in self.fills if window.holds(one.campaign_s)],
            drills=[one for one in self.drills if window.holds(one.campaign_s)],
            alerts=[one for one in self.alerts if window.holds(one.campaign_s)],
            window=window,
            earlier={
                one.life: one
                for one in self.samples
                if one.campaign_s <= window.begin_s and not window.holds(one.campaign_s)
            },
        )

    def grown(self, read: Callable[[Sample], int | float | None]) -> float | None:
        """How much a counter grew in the window, over all lives; None when it was never measured."""
        total: float | None = None
        last = {life: read(sample) or 0 for life, sample in self.earlier.items()}
        for sample in self.samples:
            value = read(sample)
            if value is None:
                continue
            total = (total or 0) + max(0, value - last.get(sample.life, 0))
            last[sample.life] = value
        return total

    def traded(self, read: Callable[[TradingFigures], int | float | None]) -> float | None:
        """The same for a figure of the trader."""
        return self.grown(lambda one: None if one.trading is None else read(one.trading))

    def each(self, read: Callable[[Sample], int | float | None]) -> list[tuple[float, float]]:
        """(campaign time in hours, value) of every sample that measured it."""
        pairs = ((one.campaign_s / 3_600, read(one)) for one in self.samples)
        return [(hours, float(value)) for hours, value in pairs if value is not None]

    def longest_life(self) -> list[Sample]:
        """The samples of the life with the most of them: slopes are never taken across a restart."""
        by_life: dict[int, list[Sample]] = {}
        for one in self.samples:
            by_life.setdefault(one.life, []).append(one)
        return max(by_life.values(), key=len, default=[])

    def latency(self) -> Histogram:
        """Round trips of all requests to the venue."""
        whole = Histogram()
        for sample in self.samples:
            if sample.api is not None:
                whole.add(sample.api.latency)
        return whole


def fold_orders(lines: Iterable[OrderLine], fills: Sequence[FillLine] = ()) -> list[OrderFold]:
    """Lines of orders as orders, in the order of their first line."""
    orders: dict[str, OrderFold] = {}
    for line in lines:
        order = orders.setdefault(line.client_id, OrderFold(client_id=line.client_id))
        if line.what == "submit":
            order.symbol, order.side = line.symbol, line.side
            order.price, order.quantity = line.price, line.quantity
            order.submitted_ns, order.campaign_s = line.at_ns, line.campaign_s
        elif line.what == "end":
            order.state, order.ended_ns = line.state, line.at_ns
            order.filled = line.filled or order.filled
            order.symbol = order.symbol or line.symbol
        else:
            order.answer, order.code = line.what, line.code
            order.preventable, order.latency_ms = line.preventable, line.latency_ms
    for fill in fills:
        filled = orders.get(fill.client_id)
        if filled is not None:
            # What was executed is told by the executions, whatever the end of the order said.
            before = Decimal(filled.filled) if filled.fills else Decimal(0)
            filled.filled = f"{before + Decimal(fill.quantity):f}"
            filled.fills += 1
    return list(orders.values())


def from_files(files: Mapping[str, bytes]) -> Evidence:
    """Evidence from the raw files by name.

    Raises:
        SeriesDamaged: a series does not match its checksums. CampaignRefused: the state is not readable.
        KeyError: there is no state. ValueError: a line is not what this build writes.
    """
    try:
        state = msgspec.json.decode(files[STATE_FILE], type=CampaignState)
        fills = _lines(files, FILLS_FILE, FillLine)
        return Evidence(
            state=state,
            samples=_lines(files, SAMPLES_FILE, Sample),
            orders=fold_orders(_lines(files, ORDERS_FILE, OrderLine), fills),
            fills=fills,
            drills=_lines(files, DRILLS_FILE, DrillLine),
            alerts=_lines(files, ALERTS_FILE, AlertLine),
        )
    except msgspec.ValidationError as error:
        raise CampaignRefused("CAMPAIGN_DAMAGED", str(error)) from error


def read_files(folder: Path) -> dict[str, bytes]:
    """The raw files of a campaign's folder. Raises OSError."""
    return {name: (folder / name).read_bytes() for name in RAW_FILES if (folder / name).exists()}


def _lines(files: Mapping[str, bytes], name: str, kind: type[T]) -> list[T]:
    return [msgspec.convert(one, kind, str_keys=True) for one in decode_series(files.get(name, b""), name)]
