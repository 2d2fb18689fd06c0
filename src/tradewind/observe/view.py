"""`PlatformView`: everything the console and the read API show, as plain data of one moment.

Money and quantities are decimal strings in whole units (never floats). A value that may be old carries its
age, a value that is not known is `None` with quality `unknown`; nothing here turns "unknown" into zero.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

import msgspec

MAX_LEVELS = 24
"""Most price levels per side in a view."""
MAX_CANDLES = 300
"""Most candles per interval in a view."""
MAX_ORDERS = 100
"""Most own orders in a view; `orders_open` still counts all of them."""
MAX_FILLS = 60
"""Most own fills in a view, newest first."""
MAX_OUTCOME_MARKETS = 30
"""Most outcome markets in a view; the counts still cover all of them."""
MAX_OUTCOME_PRICES = 8
"""Most outcomes of one market with their prices in a view."""


class Quality(StrEnum):
    """How far a value may be believed."""

    KNOWN = "known"
    STALE = "stale"
    UNKNOWN = "unknown"


class Reading(msgspec.Struct, frozen=True):
    """A value with its quality and age. `value` is a decimal string, or None when unknown."""

    value: str | None = None
    quality: Quality = Quality.UNKNOWN
    age_ms: int | None = None

    @classmethod
    def known(cls, value: object, age_ms: int | None = 0) -> Reading:
        """A value that holds now."""
        return cls(str(value), Quality.KNOWN, age_ms)

    @classmethod
    def stale(cls, value: object, age_ms: int | None) -> Reading:
        """The last value that was known, too old to act on."""
        return cls(str(value), Quality.STALE, age_ms)


UNKNOWN = Reading()


class FeedState(StrEnum):
    """State of the market data behind the book."""

    LIVE = "live"
    SYNCING = "syncing"
    STALE = "stale"
    SUSPECT = "suspect"
    ENDED = "ended"
    DOWN = "down"
    UNKNOWN = "unknown"


class FeedView(msgspec.Struct, frozen=True, kw_only=True):
    """Where market data comes from and how old it is. `generated`: no real market stands behind it."""

    label: str = "no feed"
    symbol: str = ""
    generated: bool = False
    state: FeedState = FeedState.UNKNOWN
    age_ms: int | None = None
    budget_ms: int | None = None
    frames: int | None = None
    gaps: int | None = None
    reconnects: int | None = None
    detail: str = ""


class HeadView(msgspec.Struct, frozen=True, kw_only=True):
    """The durable end of the journal. `seq` and `block` are None before the first block."""

    block: int | None = None
    seq: int | None = None
    hash: str = ""
    state_hash: str = ""
    age_ms: int | None = None
    writable: bool | None = None
    free_bytes: int | None = None
    stopped: str = ""


class Level(msgspec.Struct, frozen=True, kw_only=True):
    """One price level: whole units; `own` is our part of the size, "0" when none."""

    price: str
    size: str
    cumulative: str
    own: str = "0"


class DepthView(msgspec.Struct, frozen=True, kw_only=True):
    """Best levels first on both sides."""

    bids: tuple[Level, ...] = ()
    asks: tuple[Level, ...] = ()
    quality: Quality = Quality.UNKNOWN
    age_ms: int | None = None


class Candle(msgspec.Struct, frozen=True, array_like=True):
    """Open, high, low, close and volume of one interval, from trades of the engine's own market."""

    start_s: int
    open: str
    high: str
    low: str
    close: str
    volume: str


class MarketView(msgspec.Struct, frozen=True, kw_only=True):
    """The market shown. `tick` and `lot` fix the number of decimals."""

    symbol: str = ""
    base: str = ""
    quote: str = ""
    tick: str = "0.01"
    lot: str = "0.00001"
    status: str = "unknown"
    last: Reading = UNKNOWN
    bid: Reading = UNKNOWN
    ask: Reading = UNKNOWN
    spread: Reading = UNKNOWN
    spread_bps: Reading = UNKNOWN
    reference: Reading = UNKNOWN


class OrderRow(msgspec.Struct, frozen=True, kw_only=True):
    """One open order of ours."""

    id: str
    client_id: str
    side: str
    price: str
    quantity: str
    filled: str
    state: str
    age_ms: int | None = None
    ahead: str | None = None
    """Quantity in front of it at its price, None when not known."""


class FillRow(msgspec.Struct, frozen=True, kw_only=True):
    """One execution of ours. `time_ns` is engine time."""

    time_ns: int
    seq: int
    side: str
    price: str
    quantity: str
    notional: str
    fee: str
    fee_asset: str
    liquidity: str
    order_id: str = ""


class BalanceRow(msgspec.Struct, frozen=True, kw_only=True):
    """Funds of the trader's account in one asset; free + held = total."""

    asset: str
    free: Reading = UNKNOWN
    held: Reading = UNKNOWN
    total: Reading = UNKNOWN


class PositionView(msgspec.Struct, frozen=True, kw_only=True):
    """What trading holds in the base asset."""

    quantity: Reading = UNKNOWN
    average_price: Reading = UNKNOWN
    notional: Reading = UNKNOWN


class ProfitView(msgspec.Struct, frozen=True, kw_only=True):
    """Profit and loss in the quote asset. total = realised + unrealised - fees."""

    unit: str = ""
    equity: Reading = UNKNOWN
    realised: Reading = UNKNOWN
    unrealised: Reading = UNKNOWN
    fees: Reading = UNKNOWN
    total: Reading = UNKNOWN
    volume: Reading = UNKNOWN
    fill_count: int | None = None


class LimitState(StrEnum):
    """How full a limit is."""

    OK = "ok"
    WARN = "warn"
    FULL = "full"
    UNKNOWN = "unknown"


class LimitView(msgspec.Struct, frozen=True, kw_only=True):
    """One risk limit as a fuel gauge. `fraction` = used / limit, None when either is unknown."""

    code: str
    name: str
    used: Reading
    limit: str
    unit: str
    fraction: float | None = None
    state: LimitState = LimitState.UNKNOWN


class TradingView(msgspec.Struct, frozen=True, kw_only=True):
    """Trading state of the account: normal, reduce_only, halted or unknown."""

    state: str = "unknown"
    reason: str = ""
    actor: str = ""
    since_ns: int | None = None
    latching: bool = False


class StrategyView(msgspec.Struct, frozen=True, kw_only=True):
    """A strategy: running, reduce_only, halted, stopped or ended, and why.

    `net` is its own profit in the account currency. `callback_p99_us` is of the last whole minute; None
    before the first callback. `memory_bytes` estimates what its objects hold; None before it was measured.
    """

    name: str = ""
    state: str = "unknown"
    detail: str = ""
    symbols: tuple[str, ...] = ()
    positions: tuple[tuple[str, str], ...] = ()
    """(symbol, quantity) of what it holds."""
    budget_pct: str = ""
    net: str = ""
    fills: int = 0
    open_orders: int = 0
    callbacks: int = 0
    intents: int = 0
    callback_p99_us: float | None = None
    callback_max_us: float | None = None
    memory_bytes: int | None = None
    restarts: int = 0


class ExecutionView(msgspec.Struct, frozen=True, kw_only=True):
    """Parent orders: open ones by state; ended ones, waits and denied children since the process started.

    `slippage_bps`: cost against the arrival mid without fees, by algorithm, weighted by value, of the ended
    parents that are kept.
    """

    open: dict[str, int] = {}
    ended: dict[str, int] = {}
    waits: dict[str, int] = {}
    children_denied: int = 0
    slippage_bps: dict[str, float] = {}


class CountersView(msgspec.Struct, frozen=True, kw_only=True):
    """Work of the node since it started. Latency: intake to durable acknowledgement."""

    commands_total: int | None = None
    commands_per_s: float | None = None
    blocks_total: int | None = None
    trades_total: int | None = None
    ack_p50_us: int | None = None
    ack_p99_us: int | None = None
    rejects: dict[str, int] = {}
    uptime_s: int = 0
    rss_bytes: int | None = None


class Severity(StrEnum):
    """How loud an alarm is."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class Alarm(msgspec.Struct, frozen=True, kw_only=True):
    """Something that the operator should know now."""

    severity: Severity
    code: str
    text: str


class WorkerRow(msgspec.Struct, frozen=True, kw_only=True):
    """A keeper or oracle worker of this process.

    `state`: starting, running, ended (the engine turned it away), failed (it is restarted), elsewhere
    (another process runs it), stopped.
    """

    name: str
    state: str
    detail: str = ""
    actions: int = 0
    accepted: int = 0
    rejected: dict[str, int] = {}
    faults: int = 0
    restarts: int = 0
    due: int = 0
    last_action_age_ms: int | None = None
    lag_ms: int | None = None


class OutcomePrice(msgspec.Struct, frozen=True):
    """What a whole contract on an outcome costs, 0 to 1, and what says so; None when nothing does."""

    name: str
    price: str | None = None
    source: str = ""


class OutcomeRow(msgspec.Struct, frozen=True, kw_only=True):
    """A market of outcomes, or of a number with its mean and width."""

    symbol: str
    status: str
    stage: str = ""
    """Of its resolution: proposed, disputed, decided, final; empty before a proposal."""
    outcomes: int = 2
    prices: tuple[OutcomePrice, ...] = ()
    estimate: str = ""
    """Mean and width of a distribution market."""
    pool: str = ""
    pool_cash: str | None = None
    sets: str = "0"
    settles_in_ms: int = 0
    """Negative behind its settle time."""


class OutcomesView(msgspec.Struct, frozen=True, kw_only=True):
    """Markets of outcomes, those that need eyes first."""

    rows: tuple[OutcomeRow, ...] = ()
    count: int = 0
    trading: int = 0
    disputed: int = 0


class PlatformView(msgspec.Struct, frozen=True, kw_only=True):
    """The platform at `taken_ns` (wall clock, nanoseconds since the epoch)."""

    taken_ns: int
    env: str
    version: str
    feed: FeedView = FeedView()
    head: HeadView = HeadView()
    market: MarketView = MarketView()
    depth: DepthView = DepthView()
    candles_1s: tuple[Candle, ...] = ()
    candles_1m: tuple[Candle, ...] = ()
    orders: tuple[OrderRow, ...] = ()
    orders_open: int | None = None
    fills: tuple[FillRow, ...] = ()
    balances: tuple[BalanceRow, ...] = ()
    position: PositionView = PositionView()
    profit: ProfitView = ProfitView()
    limits: tuple[LimitView, ...] = ()
    trading: TradingView = TradingView()
    strategy: StrategyView = StrategyView()
    """The first strategy; `strategies` are all of them."""
    strategies: tuple[StrategyView, ...] = ()
    counters: CountersView = CountersView()
    alarms: tuple[Alarm, ...] = ()
    workers: tuple[WorkerRow, ...] = ()
    outcomes: OutcomesView = OutcomesView()
    execution: ExecutionView | None = None


ViewSource = Callable[[], PlatformView]
"""Returns the newest view at once (it never blocks; the collector refreshes it in the background)."""
