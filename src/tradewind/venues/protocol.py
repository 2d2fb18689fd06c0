"""The `Venue` protocol: the only way any other module talks to a place where orders rest.

Prices are whole ticks and quantities whole lots of the venue's own `Instrument`; money is `Decimal`.
Outcomes of the venue are *results*, never exceptions: an exception from a venue is a programming error.
Silence is `Uncertain`, and a list that may be missing rows is `Incomplete`: neither is ever read as "nothing
there".
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from decimal import Decimal
from enum import StrEnum
from typing import Protocol

import msgspec

from .market_data import FeedEvent, Instrument, Known, Side, Unknown


class Environment(StrEnum):
    """What a process can do with money; fixed by which objects it can build."""

    SIM = "sim"
    PAPER = "paper"
    TESTNET = "testnet"
    CANARY = "canary"
    LIVE = "live"


class OrderType(StrEnum):
    """Order types of the common subset."""

    LIMIT = "limit"
    MARKET = "market"


class TimeInForce(StrEnum):
    """How long an order may rest."""

    GTC = "gtc"
    IOC = "ioc"
    FOK = "fok"


class VenueState(StrEnum):
    """What a venue, or one of its symbols, accepts. `UNKNOWN` means: no new risk."""

    ONLINE = "online"
    POST_ONLY = "post_only"
    LIMIT_ONLY = "limit_only"
    REDUCE_ONLY = "reduce_only"
    CANCEL_ONLY = "cancel_only"
    MAINTENANCE = "maintenance"
    DELISTED = "delisted"
    UNKNOWN = "unknown"


class OrderPhase(StrEnum):
    """State of an order as its venue reports it."""

    WORKING = "working"
    PARTIALLY_FILLED = "partially_filled"
    FILLED = "filled"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    REJECTED = "rejected"


FINAL_PHASES = frozenset({OrderPhase.FILLED, OrderPhase.CANCELLED, OrderPhase.EXPIRED, OrderPhase.REJECTED})


class VenueCaps(msgspec.Struct, frozen=True, kw_only=True):
    """What a venue can do. `cancel_after_range_s` is None where no dead-man's switch exists."""

    name: str
    order_types: frozenset[OrderType]
    times_in_force: frozenset[TimeInForce]
    post_only: bool
    amend: bool
    client_ids: bool
    cancel_after_range_s: tuple[int, int] | None
    reduce_only: bool
    native_iceberg: bool
    max_batch_orders: int
    private_fill_stream: bool
    sandbox: bool


class VenueStatus(msgspec.Struct, frozen=True, kw_only=True):
    """State of the venue and of each symbol, with the reason and the moment it was learnt."""

    state: VenueState
    symbols: dict[str, VenueState]
    reason: str
    as_of_ns: int


class FeeSchedule(msgspec.Struct, frozen=True, kw_only=True):
    """Maker and taker fee in basis points of notional, and the dated source they come from."""

    name: str
    maker_bps: Decimal
    taker_bps: Decimal
    source: str
    checked_on: str

    @property
    def maker_rate(self) -> Decimal:
        """Maker fee as a fraction of notional."""
        return self.maker_bps / 10_000

    @property
    def taker_rate(self) -> Decimal:
        """Taker fee as a fraction of notional."""
        return self.taker_bps / 10_000


class NewOrder(msgspec.Struct, frozen=True, kw_only=True):
    """One order for one symbol. `price_ticks` is the limit, or the collar of a market order.

    `reduce_only` never adds to a position; a venue without positions refuses it (`VenueCaps.reduce_only`).
    """

    client_id: str
    symbol: str
    side: Side
    order_type: OrderType = OrderType.LIMIT
    time_in_force: TimeInForce = TimeInForce.GTC
    post_only: bool = False
    price_ticks: int
    lots: int
    valid_until_ns: int = 0
    reduce_only: bool = False


class OrderRef(msgspec.Struct, frozen=True, kw_only=True):
    """Names one order by the client's id; `venue_id` is added when it is known."""

    client_id: str
    symbol: str
    venue_id: str | None = None


class OrderState(msgspec.Struct, frozen=True, kw_only=True):
    """An order as the venue knows it now."""

    client_id: str
    venue_id: str
    symbol: str
    side: Side
    phase: OrderPhase
    price_ticks: int
    lots: int
    filled_lots: int
    reason: str = ""
    updated_ns: int


class Acked(msgspec.Struct, frozen=True, tag=True):
    """The venue accepted the request and named the order."""

    venue_id: str


class Rejected(msgspec.Struct, frozen=True, tag=True):
    """A definite refusal. `preventable`: our own checks should have caught it before it was sent."""

    code: str
    raw: str
    preventable: bool
    nearest_below: int | None = None
    nearest_above: int | None = None


class AlreadyFinal(msgspec.Struct, frozen=True, tag=True):
    """A cancel or amend of an order that had already ended, with its true final state."""

    state: OrderState


class Uncertain(msgspec.Struct, frozen=True, tag=True):
    """No answer, or one that cannot be read: the request may or may not have had its effect."""

    reason: str
    sent_at_ns: int


class CancelledAll(msgspec.Struct, frozen=True, tag=True):
    """A cancel-all ran; these client ids were cancelled by it (possibly none)."""

    client_ids: tuple[str, ...]


class Found(msgspec.Struct, frozen=True, tag=True):
    """The queried order."""

    state: OrderState


class NotFound(msgspec.Struct, frozen=True, tag=True):
    """The venue does not know the order. Only `proven_absent` allows acting on the absence."""

    proven_absent: bool


class Incomplete(msgspec.Struct, frozen=True, tag=True):
    """A list with possibly missing rows: why, and how many rows did come."""

    reason: str
    got: int


class Unavailable(msgspec.Struct, frozen=True, tag=True):
    """A read that could not be made now."""

    retry_after_s: Decimal
    reason: str


class Armed(msgspec.Struct, frozen=True, tag=True):
    """The dead-man's switch fires at this moment unless refreshed."""

    until_ns: int


class Disarmed(msgspec.Struct, frozen=True, tag=True):
    """The dead-man's switch is off."""


class Unsupported(msgspec.Struct, frozen=True, tag=True):
    """The venue has no such function."""

    what: str


class OrderEvent(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """An order changed at the venue. `sequence` is the venue's own, strictly increasing."""

    state: OrderState
    sequence: int
    venue_ts_ns: int


class FillEvent(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """One execution of one of our orders; unique by (venue, account, symbol, trade_id, side)."""

    venue: str
    account: str
    symbol: str
    trade_id: str
    client_id: str
    venue_id: str
    side: Side
    price_ticks: int
    lots: int
    remaining_lots: int
    fee: Decimal
    fee_asset: str
    maker: bool
    sequence: int
    venue_ts_ns: int

    @property
    def key(self) -> tuple[str, str, str, str, int]:
        """The idempotency key of a fill (T7.8)."""
        return (self.venue, self.account, self.symbol, self.trade_id, int(self.side))


class BalanceEvent(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """An asset's balance at the venue after some change."""

    asset: str
    free: Decimal
    held: Decimal
    sequence: int
    venue_ts_ns: int


class FundsEvent(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """Funds entered (positive) or left (negative) the account other than by a trade."""

    asset: str
    amount: Decimal
    reference: str
    sequence: int
    venue_ts_ns: int


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """What an account holds of a perpetual. `lots` is negative for a short position.

    Prices are per unit of the base asset, money is in `margin_asset`. `margin` is what the position itself
    ties up, `maintenance_margin` what it must not fall below.
    """

    symbol: str
    lots: int
    entry_price: Known[Decimal] | Unknown
    mark_price: Known[Decimal] | Unknown
    unrealised: Known[Decimal] | Unknown
    margin: Known[Decimal] | Unknown
    maintenance_margin: Known[Decimal] | Unknown
    liquidation_price: Known[Decimal] | Unknown
    """Unknown too where the venue names none: no price would end it."""
    margin_asset: str
    as_of_ns: int


class PositionEvent(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """A position at the venue after some change; `lots` 0 means that it is closed."""

    symbol: str
    lots: int
    entry_price: Decimal | None
    unrealised: Decimal
    reason: str
    sequence: int
    venue_ts_ns: int


class MarginCallEvent(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """The venue warns that these positions are close to liquidation. A warning, no promise of one."""

    symbols: tuple[str, ...]
    sequence: int
    venue_ts_ns: int


class StreamState(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """The private stream came up or went down."""

    live: bool
    reason: str
    since_ns: int


PrivateEvent = (
    OrderEvent | FillEvent | BalanceEvent | FundsEvent | PositionEvent | MarginCallEvent | StreamState
)
SubmitResult = Acked | Rejected | Uncertain
ChangeResult = Acked | Rejected | Uncertain | AlreadyFinal
CancelAllResult = CancelledAll | Rejected | Uncertain
QueryResult = Found | NotFound | Uncertain
CancelAfterResult = Armed | Disarmed | Unsupported | Rejected | Uncertain


class Balance(msgspec.Struct, frozen=True, kw_only=True):
    """One asset at the venue: free to use and held by open orders."""

    asset: str
    free: Decimal
    held: Decimal
    as_of_ns: int

    @property
    def total(self) -> Decimal:
        """Free plus held."""
        return self.free + self.held


class Venue(Protocol):
    """One outside (or paper) venue. No method raises for an outcome of the venue."""

    name: str

    def capabilities(self) -> VenueCaps:
        """What the venue can do."""

    async def instruments(self) -> list[Instrument] | Incomplete:
        """Every symbol that may be traded, with its rules."""

    async def status(self) -> VenueStatus:
        """What the venue accepts now."""

    async def fees(self, account: str, symbol: str) -> Known[FeeSchedule] | Unknown:
        """The account's fee schedule; `Unknown` denies new risk."""

    def market(self, symbols: Sequence[str]) -> AsyncIterator[FeedEvent]:
        """Market data of these symbols, in order."""

    def private(self, account: str) -> AsyncIterator[PrivateEvent]:
        """The account's orders, fills and balances, in order, from now on.

        Starts with the present `StreamState`. Sequences of orders and fills never fall; a fill's key is
        unique.
        """

    async def submit(self, order: NewOrder, epoch: int) -> SubmitResult:
        """Send one order."""

    async def amend(
        self, reference: OrderRef, epoch: int, *, lots: int | None = None, price_ticks: int | None = None
    ) -> ChangeResult:
        """Change price or total quantity; `None` keeps the present value."""

    async def cancel(self, reference: OrderRef, epoch: int) -> ChangeResult:
        """Cancel one order."""

    async def cancel_all(self, symbol: str | None, epoch: int) -> CancelAllResult:
        """Cancel every working order of the account, or of one symbol."""

    async def query(self, reference: OrderRef) -> QueryResult:
        """The state of one order by its client id."""

    async def open_orders(self, symbol: str | None) -> list[OrderState] | Incomplete:
        """Every open order, or `Incomplete`."""

    async def fills(self, since_sequence: int) -> list[FillEvent] | Incomplete:
        """Every fill after a sequence in order, or `Incomplete`. A venue whose sequences are times adds
        older ones on purpose (overlap); the fills' keys tell which are known.
        """

    async def balances(self) -> list[Balance] | Incomplete:
        """Every balance, or `Incomplete`."""

    async def cancel_after(self, seconds: int, epoch: int) -> CancelAfterResult:
        """Arm (seconds > 0) or disarm (0) the venue's dead-man's switch."""


class MarginVenue(Venue, Protocol):
    """A venue with positions. Its `balances` are margin: free is what a new order may still use, held the
    rest of the wallet (margin of orders and positions, and losses that are not realised).
    """

    async def positions(self, symbol: str | None = None) -> list[Position] | Incomplete:
        """Every position with lots, or that of one symbol; or `Incomplete`."""
