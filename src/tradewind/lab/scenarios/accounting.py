"""The books of a scenario, kept from the events alone: balances by line, positions, and what happened.

Everything is vectors over account handles, so that 100,000 accounts cost one pass of NumPy per batch. A
sample compares its sums with the engine's own lines: the two must agree to the micro-unit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy

from tradewind.core.enums import Line
from tradewind.core.native import event_kinds
from tradewind.core.records import codec

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Vector = NDArray[numpy.int64]

USER_LINES = 8
FIRST_SYSTEM_LINE = 0x80
ISOLATED_SHARE = 128
"""Sub-accounts an owner may have; a position's place is account × 128 + sub-account."""


def body_of(events: Any, record: str) -> Any:
    """The bodies of events (already of one kind) as an array of `record`."""
    width = events.dtype["body"].itemsize
    raw = numpy.ascontiguousarray(events["body"])
    whole = numpy.frombuffer(raw.tobytes(), numpy.uint8).reshape(len(raw), width)
    dtype = codec(record).dtype()
    return numpy.frombuffer(numpy.ascontiguousarray(whole[:, : dtype.itemsize]).tobytes(), dtype)


class Accounting:
    """Balances and positions of one settlement asset and one leveraged market."""

    def __init__(self, accounts: int, settlement: int, market: int) -> None:
        self.settlement, self.market = settlement, market
        self.event_dtype = codec("Event").dtype()
        self.posting_dtype = codec("Posting").dtype()
        self.kinds = {name: code for name, (code, _) in event_kinds().items()}
        self.names = {code: name for name, code in self.kinds.items()}
        self.lines = numpy.zeros((USER_LINES, accounts), numpy.int64)
        self.lots = numpy.zeros(accounts, numpy.int64)
        self.cost = numpy.zeros(accounts, numpy.int64)
        self.totals: dict[int, int] = {}
        """Σ of every posting by asset: zero at all times."""
        self.system: dict[int, int] = {}
        """Settlement money by system line."""
        self.counts: dict[str, int] = {}
        self.mark = self.index = self.open_interest = 0
        self.clamped = 0
        self.causes: dict[int, int] = {}
        self.trips: list[dict[str, Any]] = []
        self.refusals: dict[int, int] = {}

    def add(self, batch: Any) -> None:
        """Reads one batch."""
        self._add_postings(numpy.frombuffer(batch.postings, self.posting_dtype))
        events = numpy.frombuffer(batch.events, self.event_dtype)
        codes, counts = numpy.unique(events["kind"], return_counts=True)
        for code, count in zip(codes.tolist(), counts.tolist(), strict=True):
            name = self.names[code]
            self.counts[name] = self.counts.get(name, 0) + count
            if name in ("PositionChanged", "PositionSettled"):
                self._add_positions(events[events["kind"] == code])
            elif name == "MarkUpdated":
                self._add_marks(events[events["kind"] == code])
            elif name == "BreakerTripped":
                self._add_trips(events[events["kind"] == code], name)

    def add_refusals(self, codes: Any) -> None:
        """Counts reject codes."""
        found, counts = numpy.unique(codes, return_counts=True)
        for code, count in zip(found.tolist(), counts.tolist(), strict=True):
            if code:
                self.refusals[code] = self.refusals.get(code, 0) + count

    def _add_postings(self, postings: Any) -> None:
        amounts, assets = postings["amount"], postings["asset"]
        for asset in numpy.unique(assets).tolist():
            self.totals[asset] = self.totals.get(asset, 0) + int(amounts[assets == asset].sum())
        ours = postings[assets == self.settlement]
        user = ours["line"] < USER_LINES
        mine = ours[user]
        numpy.add.at(self.lines, (mine["line"], mine["owner"]), mine["amount"])
        rest = ours[~user]
        for line in numpy.unique(rest["line"]).tolist():
            self.system[line] = self.system.get(line, 0) + int(rest["amount"][rest["line"] == line].sum())

    def _add_positions(self, events: Any) -> None:
        events = events[(events["market"] == self.market) & (events["account"] < len(self.lots))]
        bodies = body_of(events, "PositionBody")
        # The last event of an account wins: NumPy assigns in order.
        self.lots[events["account"]] = bodies["lots"]
        self.cost[events["account"]] = bodies["cost"]
        causes, counts = numpy.unique(bodies["cause"], return_counts=True)
        for cause, count in zip(causes.tolist(), counts.tolist(), strict=True):
            self.causes[cause] = self.causes.get(cause, 0) + count

    def _add_marks(self, events: Any) -> None:
        events = events[events["market"] == self.market]
        if not len(events):
            return
        bodies = body_of(events, "MarkBody")
        self.mark, self.index = int(bodies["mark"][-1]), int(bodies["index"][-1])
        self.clamped += int(bodies["clamped"].sum())

    def _add_trips(self, events: Any, name: str) -> None:
        record = event_kinds()[name][1]
        bodies = body_of(events, record)
        for event, body in zip(events, bodies, strict=True):
            row = {field: body[field].item() for field in bodies.dtype.names if "reserved" not in field}
            row = {field: value for field, value in row.items() if not isinstance(value, bytes)}
            self.trips.append({"time_ns": int(event["time_ns"]), **row})

    def equities(self, unit: int) -> Vector:
        """Equity of every account at mark: free and held, and what its position has gained."""
        owned = self.lines[Line.FREE] + self.lines[Line.HELD]
        gain: Vector = owned + self.lots * (self.mark * unit) - self.cost
        return gain

    def maintenance(self, unit: int, base_e2: int, size_k_ppm: int, floor_ppm: int) -> Vector:
        """Maintenance margin of every account (P4.2), to a few micro: for counting who is due."""
        value = numpy.abs(self.lots) * (self.mark * unit)
        size = numpy.ceil(size_k_ppm * numpy.ceil(numpy.sqrt(value.astype(numpy.float64))) / 1_000)
        entry = numpy.maximum(-(-100_000_000 // base_e2), size)
        fraction = numpy.maximum(floor_ppm, numpy.ceil(entry / 2)).astype(numpy.int64)
        margin: Vector = -(-value * fraction // 1_000_000)
        return margin

    def imbalance(self) -> dict[int, int]:
        """Assets whose postings do not sum to zero: none, ever."""
        return {asset: total for asset, total in self.totals.items() if total}
