"""What risk looks at and what it answers: orders, snapshots, denials and their codes. Plain data."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

import msgspec

from tradewind.venues.market_data import Known, Side, Stale, Unknown
from tradewind.venues.paper.filters import Rules
from tradewind.venues.protocol import FeeSchedule, OrderType, TimeInForce

from .groups import PRIOR, Groups
from .state import TradingState

ZERO = Decimal(0)
MS_NS = 1_000_000
SECOND_NS = 1_000_000_000


class Code(StrEnum):
    """Denial codes; those of the venue's filters (T2.5) come as they are."""

    ORDER_QTY_LIMIT = "OrderQtyLimit"
    ORDER_NOTIONAL_LIMIT = "OrderNotionalLimit"
    PRICE_COLLAR = "PriceCollar"
    POSITION_NOTIONAL = "PositionNotional"
    RISK_TO_STOP = "RiskToStop"
    GROSS_EXPOSURE = "GrossExposure"
    NET_EXPOSURE = "NetExposure"
    POSITION_COUNT = "PositionCount"
    OPEN_ORDERS = "OpenOrders"
    MESSAGE_RATE = "MessageRate"
    REPEAT_THROTTLE = "RepeatThrottle"
    SELF_MATCH = "SelfMatch"
    DAILY_LOSS = "DailyLoss"
    DRAWDOWN = "Drawdown"
    STRATEGY_LOSS = "StrategyLoss"
    TOTAL_LOSS = "TotalLoss"
    CLUSTER_EXPOSURE = "ClusterExposure"
    FACTOR_EXPOSURE = "FactorExposure"
    STALE_MARKET = "StaleMarket"
    STALE_BALANCE = "StaleBalance"
    INSUFFICIENT_FUNDS = "InsufficientFunds"
    LEVERAGE = "Leverage"
    PARTICIPATION = "Participation"
    WIDE_SPREAD = "WideSpread"
    VENUE_CONCENTRATION = "VenueConcentration"
    DECISION_TOO_OLD = "DecisionTooOld"
    UNATTENDED = "Unattended"
    EQUITY_CAP = "EquityCap"
    COST_GATE = "CostGate"
    FEES_UNKNOWN = "FeesUnknown"
    UNKNOWN_SYMBOL = "UnknownSymbol"
    STATE_REDUCE_ONLY = "StateReduceOnly"
    STATE_HALTED = "StateHalted"
    OWN_POSITION = "OwnPosition"
    STRATEGY_BUDGET = "StrategyBudget"
    UNRESOLVED_ORDER = "UnresolvedOrder"
    COOL_DOWN = "CoolDown"
    REENTRY = "Reentry"
    AMEND_THROTTLE = "AmendThrottle"
    SIZE_AFTER_LOSS = "SizeAfterLoss"
    OVERRIDE_LIMIT = "OverrideLimit"
    RISK_INTERNAL = "RiskInternal"


class Path(StrEnum):
    """Where an order comes from. Every one of them passes `check`."""

    STRATEGY = "strategy"
    ALGORITHM = "algorithm"
    MANUAL = "manual"
    FLATTEN = "flatten"
    RESEND = "resend"


class Denied(msgspec.Struct, frozen=True, kw_only=True):
    """One violated limit: which, the bound, and the value that violated it."""

    code: str
    limit: str
    bound: Decimal | None = None
    given: Decimal | None = None
    detail: str = ""


class Top(msgspec.Struct, frozen=True):
    """Best bid and ask of the venue."""

    bid: Decimal
    ask: Decimal

    @property
    def mid(self) -> Decimal:
        """Middle of bid and ask."""
        return (self.bid + self.ask) / 2

    @property
    def spread_bps(self) -> Decimal:
        """Spread in basis points of the middle."""
        return (self.ask - self.bid) * 10_000 / self.mid


class Working(msgspec.Struct, frozen=True, kw_only=True):
    """A working, pending or unresolved order of the account, at its worst case."""

    client_id: str
    symbol: str
    side: Side
    price: Decimal
    quantity: Decimal
    unresolved: bool = False
    strategy: str = ""


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """The order to check. An amend names the working order it replaces.

    `stop` is the price at which the position would be closed (None: the collar stands in for it); `edge_bps`
    what the entry is expected to earn before costs; `second` the second person who backs a manual order.
    `parent` names the entry of `Snapshot.planned` that this order is a part of.
    """

    strategy: str
    path: Path
    symbol: str
    base: str
    quote: str
    side: Side
    order_type: OrderType = OrderType.LIMIT
    time_in_force: TimeInForce = TimeInForce.GTC
    post_only: bool = False
    price: Decimal
    quantity: Decimal
    decision_ns: int
    replaces: str | None = None
    stop: Decimal | None = None
    edge_bps: Decimal | None = None
    venue: str = ""
    second: str = ""
    parent: str = ""

    @property
    def notional(self) -> Decimal:
        """Price times quantity."""
        return self.price * self.quantity


class Own(msgspec.Struct, frozen=True, kw_only=True):
    """What the strategy that asks holds by itself, in base units by symbol, and its part of the equity."""

    held: dict[str, Decimal]
    budget_pct: Decimal


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the check looks at. `available` is free money per asset, `positions` base units
    per symbol.

    `volumes` is the public volume of the last five minutes in base units (L23), `venue_equity` the marked
    value held at each venue (L25), `attended` whether a timer at the venue cancels the working orders when
    we fall silent (L27), `synthetic_stops` the notional of positions whose stop only we would execute.
    `planned` is what parent orders have not placed yet: it counts in every worst case, but is no open order.
    """

    now_ns: int
    rules: dict[str, Rules]
    tops: dict[str, Known[Top] | Stale[Top] | Unknown]
    equity: Known[Decimal] | Stale[Decimal] | Unknown
    balances_as_of_ns: int | None
    available: dict[str, Decimal]
    positions: dict[str, Decimal]
    working: list[Working]
    fees: Known[FeeSchedule] | Unknown
    state: TradingState
    strategy_pnl: dict[str, Decimal]
    held_by_replaced: Decimal = ZERO
    groups: Groups = PRIOR
    volumes: dict[str, Known[Decimal] | Unknown] | None = None
    venue_equity: dict[str, Decimal] = {}
    attended: bool | None = None
    synthetic_stops: Decimal = ZERO
    own: Own | None = None
    """Of a hosted strategy; None for operators and other parts of the trader."""
    planned: list[Working] = []
