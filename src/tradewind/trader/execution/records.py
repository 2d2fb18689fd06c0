"""Records of parents and children in the trader's stream (T13.1), and the market facts of a cost report.

Parent state, schedules and cost reports are functions of these records alone. Prices are ticks, quantities
lots of the parent's instrument, times ns since 1970 UTC. `parent` 0 stands for a single order.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from tradewind.venues.market_data import Side

SINGLE = 0
"""Number of the parent of an order that has none."""


class Mark(msgspec.Struct, frozen=True):
    """Best bid and ask at a moment."""

    bid_ticks: int
    ask_ticks: int
    at_ns: int

    @property
    def mid_ticks(self) -> Decimal:
        """Middle of both, in ticks; exact."""
        return Decimal(self.bid_ticks + self.ask_ticks) / 2


class CurvePoint(msgspec.Struct, frozen=True):
    """Expected market volume of one hour bucket, as far as it lies in the parent's time."""

    start_ns: int
    end_ns: int
    expected_lots: int


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """Parameters of an algorithm, resolved. What an algorithm has no use for is None or 0."""

    interval_s: int = 0
    participation_pct: Decimal | None = None
    passive_pct: Decimal = Decimal(60)
    display_lots: int = 0


class Scale(msgspec.Struct, frozen=True, kw_only=True):
    """What must be known of an instrument to read a parent's records."""

    base: str
    quote: str
    tick: Decimal
    lot: Decimal
    min_quantity: Decimal
    min_notional: Decimal
    volume_ratio: int = 1
    """Lots of the public trades in one lot of ours: external volumes stand in the former."""


class ParentOpened(msgspec.Struct, frozen=True, kw_only=True):
    """A parent order was accepted. Nothing of it was sent yet."""

    parent: int
    version: int
    algorithm: str
    symbol: str
    side: Side
    lots: int
    limit_ticks: int | None
    start_ns: int
    end_ns: int
    terms: Terms
    completion: str
    completion_bps: Decimal | None
    max_cost_bps: Decimal | None
    seed: int
    strategy: str
    actor: str
    reason: str
    client_key: str
    body_hash: str
    scale: Scale
    arrival: Mark
    decision_ns: int
    curve: list[CurvePoint]
    curve_hash: str
    expected_bps: Decimal
    model_version: int


class ParentChanged(msgspec.Struct, frozen=True, kw_only=True):
    """A parent changed state. `then`: where it goes once its children have ended."""

    parent: int
    state: str
    then: str
    reason: str
    actor: str
    at_ns: int


class ParentReplanned(msgspec.Struct, frozen=True, kw_only=True):
    """A VWAP schedule was laid again at the end of a bucket, from realised market volume (T13.4)."""

    parent: int
    bucket: int
    at_ns: int
    realised_lots: int
    expected_lots: int
    observed: bool
    alarm: bool


class VolumeSeen(msgspec.Struct, frozen=True, kw_only=True):
    """External volume since the parent's start, in lots of the public trades, and the sum of price_ticks
    times lots.
    """

    parent: int
    lots: int
    value: int
    at_ns: int


class ChildOpened(msgspec.Struct, frozen=True, kw_only=True):
    """A child passed risk; it stands in the same block as its intent."""

    parent: int
    number: int
    slice: int
    kind: str
    client_id: str
    lots: int
    price_ticks: int
    at_ns: int
    mark: Mark
    external_lots: int
    external_value: int


class ChildFilled(msgspec.Struct, frozen=True, kw_only=True):
    """An execution of a child or of a single order, with the market around it. `mark` None: not known."""

    parent: int
    client_id: str
    trade_id: str
    price_ticks: int
    lots: int
    fee: Decimal
    fee_asset: str
    maker: bool
    at_ns: int
    mark: Mark | None


class ChildEnded(msgspec.Struct, frozen=True, kw_only=True):
    """A child or a single order has ended; `state` is its order state."""

    parent: int
    client_id: str
    state: str
    reason: str
    at_ns: int


class ParentEnded(msgspec.Struct, frozen=True, kw_only=True):
    """A parent has ended. `mark` is the last market that was seen, `waits` how often it waited for what."""

    parent: int
    state: str
    reason: str
    actor: str
    at_ns: int
    mark: Mark
    external_lots: int
    external_value: int
    waits: dict[str, int]
    residual_bps: Decimal | None
    """Realised less expected cost; None where nothing was filled."""


class SingleOpened(msgspec.Struct, frozen=True, kw_only=True):
    """The market at the decision of a single order."""

    client_id: str
    strategy: str
    path: str
    symbol: str
    side: Side
    lots: int
    price_ticks: int
    decision_ns: int
    scale: Scale
    mark: Mark


class MarkAfter(msgspec.Struct, frozen=True, kw_only=True):
    """The market some minutes behind the end of a parent, or of a single order (`client_id`). None: nobody
    saw it.
    """

    parent: int
    client_id: str
    minutes: int
    mark: Mark | None
    at_ns: int


class ModelUpdated(msgspec.Struct, frozen=True, kw_only=True):
    """The cost model was moved, because the mean residual left its 95 % interval (T13.8)."""

    version: int
    offset_bps: Decimal
    parents: int
    mean_bps: Decimal
    half_width_bps: Decimal
    at_ns: int


ExecutionRecord = (
    ParentOpened
    | ParentChanged
    | ParentReplanned
    | VolumeSeen
    | ChildOpened
    | ChildFilled
    | ChildEnded
    | ParentEnded
    | SingleOpened
    | MarkAfter
    | ModelUpdated
)
