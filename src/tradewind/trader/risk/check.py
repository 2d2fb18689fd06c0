"""`RiskModule.check`: every limit of T11.3 that this build evaluates, for one order, in one synchronous call.

Comparison rule (T11.2): a ceiling passes when value <= limit, a floor when value >= limit. All failures are
listed. An error inside the module denies with `RiskInternal`.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator
from decimal import Decimal
from enum import StrEnum

import msgspec

from tradewind.venues.market_data import Known, Side, Stale, Unknown
from tradewind.venues.paper.filters import OrderContext, Rules, check_values
from tradewind.venues.protocol import FeeSchedule, OrderType, TimeInForce

from ..ledger import buy_reservation
from .loss import LossGuard
from .profile import Limits
from .state import TradingState

ZERO = Decimal(0)
MS_NS = 1_000_000
SECOND_NS = 1_000_000_000
MAX_RECENT_ORDERS = 4_096


class Code(StrEnum):
    """Denial codes; those of the venue's filters (T2.5) come as they are."""

    ORDER_QTY_LIMIT = "OrderQtyLimit"
    ORDER_NOTIONAL_LIMIT = "OrderNotionalLimit"
    PRICE_COLLAR = "PriceCollar"
    POSITION_NOTIONAL = "PositionNotional"
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
    STALE_MARKET = "StaleMarket"
    STALE_BALANCE = "StaleBalance"
    INSUFFICIENT_FUNDS = "InsufficientFunds"
    LEVERAGE = "Leverage"
    WIDE_SPREAD = "WideSpread"
    DECISION_TOO_OLD = "DecisionTooOld"
    EQUITY_CAP = "EquityCap"
    FEES_UNKNOWN = "FeesUnknown"
    UNKNOWN_SYMBOL = "UnknownSymbol"
    STATE_REDUCE_ONLY = "StateReduceOnly"
    STATE_HALTED = "StateHalted"
    UNRESOLVED_ORDER = "UnresolvedOrder"
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
    """The order to check. An amend names the working order it replaces."""

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

    @property
    def notional(self) -> Decimal:
        """Price times quantity."""
        return self.price * self.quantity


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the check looks at. `available` is free money per asset, `positions` base units
    per symbol.
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


Rule = Callable[[Order, Snapshot], Iterator[Denied]]
Wish = tuple[str, Side, Decimal, Decimal]
"""What two orders have in common that are the same to L12."""


class _Recent:
    """Orders of one strategy within a window, and how often each was wished; at most `MAX_RECENT_ORDERS`."""

    def __init__(self) -> None:
        self._sent: deque[tuple[int, Wish]] = deque()
        self._counts: Counter[Wish] = Counter()

    def add(self, wish: Wish, now_ns: int) -> None:
        if len(self._sent) >= MAX_RECENT_ORDERS:
            self._drop()
        self._sent.append((now_ns, wish))
        self._counts[wish] += 1

    def count(self, wish: Wish, since_ns: int) -> int:
        """How often it was wished after the moment; what is older is forgotten."""
        while self._sent and self._sent[0][0] <= since_ns:
            self._drop()
        return self._counts[wish]

    def _drop(self) -> None:
        _, wish = self._sent.popleft()
        self._counts[wish] -= 1
        if not self._counts[wish]:
            del self._counts[wish]


class RiskModule:
    """The risk module. It remembers only recent messages (for the rate limits) and counts denials."""

    def __init__(self, limits: Limits, loss: LossGuard) -> None:
        self.limits = limits
        self.loss = loss
        self.denials: Counter[str] = Counter()
        self.checked = 0
        self._messages: dict[str, deque[int]] = {}
        self._recent: dict[str, _Recent] = {}
        self._denied_at: dict[tuple[str, str], deque[int]] = {}

    def check(self, order: Order, snapshot: Snapshot) -> list[Denied]:
        """Empty when the order may be sent. Counts the message and the denials. Never raises."""
        self.checked += 1
        try:
            denied = [denial for rule in self._rules(order, snapshot) for denial in rule(order, snapshot)]
        except Exception as error:  # noqa: BLE001 - T11.9: an error in here is a denial, whatever it is
            denied = [Denied(code=Code.RISK_INTERNAL, limit="T11.9", detail=repr(error))]
        if denied:
            for denial in denied:
                self._count_denial(order.strategy, denial.code, snapshot.now_ns)
        else:
            self._remember(order, snapshot.now_ns)
        return denied

    def denial_storm(self, strategy: str, now_ns: int) -> str | None:
        """The code that this strategy was denied with too often within a minute (T11.9), if any."""
        for (name, code), moments in self._denied_at.items():
            if name != strategy:
                continue
            while moments and now_ns - moments[0] >= 60 * SECOND_NS:
                moments.popleft()
            if len(moments) > self.limits.max_denials_per_minute_count:
                return code
        return None

    # ---- which rules apply -------------------------------------------------------------------------

    def _rules(self, order: Order, snapshot: Snapshot) -> list[Rule]:
        """Filters first; then what concerns all orders; then what concerns only risk-increasing ones."""
        if order.symbol not in snapshot.rules or order.symbol not in self.limits.symbols:
            return [self._unknown_symbol]
        rules: list[Rule] = [
            self._filters,
            self._state,
            self._order_size,
            self._collar,
            self._self_match,
            self._funds,
        ]
        if order.path is not Path.FLATTEN:
            rules += [self._message_rate, self._repeat, self._age]
        if not self.reduces(order, snapshot):
            rules += [
                self._market,
                self._balance,
                self._exposure,
                self._counts,
                self._losses,
                self._spread,
                self._unresolved,
            ]
        return rules

    @staticmethod
    def reduces(order: Order, snapshot: Snapshot) -> bool:
        """Whether the order cannot increase |position| even if every working order on its side fills too."""
        position = snapshot.positions.get(order.symbol, ZERO)
        pending = sum(
            (
                other.quantity
                for other in snapshot.working
                if other.symbol == order.symbol
                and other.side is order.side
                and other.client_id != order.replaces
            ),
            ZERO,
        )
        if order.side is Side.SELL:
            return position > 0 and order.quantity + pending <= position
        return position < 0 and order.quantity + pending <= -position

    # ---- the rules ---------------------------------------------------------------------------------

    @staticmethod
    def _unknown_symbol(order: Order, _: Snapshot) -> Iterator[Denied]:
        yield Denied(code=Code.UNKNOWN_SYMBOL, limit="L01", detail=order.symbol)

    @staticmethod
    def _filters(order: Order, snapshot: Snapshot) -> Iterator[Denied]:
        top = snapshot.tops.get(order.symbol)
        context = OrderContext(
            reference_price=top.value.mid if isinstance(top, Known) else None,
            open_orders=sum(
                1
                for other in snapshot.working
                if other.symbol == order.symbol and other.client_id != order.replaces
            ),
            position=snapshot.positions.get(order.symbol, ZERO),
        )
        failures = check_values(
            snapshot.rules[order.symbol],
            order.side,
            order.order_type,
            order.time_in_force,
            price=order.price,
            quantity=order.quantity,
            context=context,
        )
        for failure in failures:
            nearest = f"nearest {failure.nearest_below} and {failure.nearest_above}"
            bound = Decimal(failure.bound) if failure.bound is not None else None
            given = failure.given if isinstance(failure.given, Decimal) else None
            yield Denied(code=failure.code, limit="L03", bound=bound, given=given, detail=nearest)

    def _state(self, order: Order, snapshot: Snapshot) -> Iterator[Denied]:
        reducing = self.reduces(order, snapshot)
        if snapshot.state is TradingState.HALTED and not (order.path is Path.FLATTEN and reducing):
            yield Denied(code=Code.STATE_HALTED, limit="T11.4")
        elif snapshot.state is TradingState.REDUCE_ONLY and not reducing:
            yield Denied(code=Code.STATE_REDUCE_ONLY, limit="T11.4")

    def _order_size(self, order: Order, _: Snapshot) -> Iterator[Denied]:
        limits = self.limits
        yield from _ceiling(
            Code.ORDER_QTY_LIMIT, "L01", order.quantity, limits.symbols[order.symbol].max_order_qty_base
        )
        yield from _ceiling(Code.ORDER_NOTIONAL_LIMIT, "L02", order.notional, limits.max_order_notional_quote)

    def _collar(self, order: Order, snapshot: Snapshot) -> Iterator[Denied]:
        """A limit through the market, by more than the collar from the middle. Passive prices are not
        collared.
        """
        top = snapshot.tops.get(order.symbol)
        if not isinstance(top, Known):
            return
        mid = top.value.mid
        through = order.price - mid if order.side is Side.BUY else mid - order.price
        yield from _ceiling(Code.PRICE_COLLAR, "L04", through * 10_000 / mid, self.limits.price_collar_bps)

    @staticmethod
    def _self_match(order: Order, snapshot: Snapshot) -> Iterator[Denied]:
        for other in snapshot.working:
            if other.symbol != order.symbol or other.side is order.side:
                continue
            crosses = order.price >= other.price if order.side is Side.BUY else order.price <= other.price
            if crosses:
                yield Denied(
                    code=Code.SELF_MATCH,
                    limit="L13",
                    bound=other.price,
                    given=order.price,
                    detail=other.client_id,
                )
                return

    @staticmethod
    def _funds(order: Order, snapshot: Snapshot) -> Iterator[Denied]:
        if not isinstance(snapshot.fees, Known):
            yield Denied(code=Code.FEES_UNKNOWN, limit="T14.3", detail=snapshot.fees.reason)
            return
        if order.side is Side.BUY:
            need = buy_reservation(order.quantity, order.price, snapshot.fees.value.taker_rate)
            asset = order.quote
        else:
            need, asset = order.quantity, order.base
        room = snapshot.available.get(asset, ZERO) + snapshot.held_by_replaced
        yield from _ceiling(Code.INSUFFICIENT_FUNDS, "L21", need, room)

    def _message_rate(self, order: Order, snapshot: Snapshot) -> Iterator[Denied]:
        moments = self._messages.get(order.strategy)
        while moments and snapshot.now_ns - moments[0] >= SECOND_NS:
            moments.popleft()
        count = len(moments or ()) + 1
        yield from _ceiling(Code.MESSAGE_RATE, "L11", Decimal(count), Decimal(self.limits.max_messages_per_s))

    def _repeat(self, order: Order, snapshot: Snapshot) -> Iterator[Denied]:
        if order.replaces is not None:
            return
        window_ns = self.limits.repeat_window_s * SECOND_NS
        recent = self._recent.get(order.strategy)
        same = 0 if recent is None else recent.count(_wish(order), snapshot.now_ns - window_ns)
        yield from _ceiling(
            Code.REPEAT_THROTTLE, "L12", Decimal(same + 1), Decimal(self.limits.max_same_order_repeat_count)
        )

    def _age(self, order: Order, snapshot: Snapshot) -> Iterator[Denied]:
        age_ms = Decimal(snapshot.now_ns - order.decision_ns) / MS_NS
        bound = Decimal(self.limits.max_order_age_at_risk_ms)
        if age_ms < 0:
            yield Denied(
                code=Code.DECISION_TOO_OLD, limit="L26", bound=bound, given=age_ms, detail="in the future"
            )
        yield from _ceiling(Code.DECISION_TOO_OLD, "L26", age_ms, bound)

    def _market(self, order: Order, snapshot: Snapshot) -> Iterator[Denied]:
        top = snapshot.tops.get(order.symbol)
        if not isinstance(top, Known):
            yield Denied(code=Code.STALE_MARKET, limit="L19", detail=repr(top))
            return
        age_ms = Decimal(snapshot.now_ns - top.as_of_ns) / MS_NS
        yield from _ceiling(Code.STALE_MARKET, "L19", age_ms, Decimal(self.limits.max_market_age_ms))

    def _balance(self, order: Order, snapshot: Snapshot) -> Iterator[Denied]:
        if snapshot.balances_as_of_ns is None:
            yield Denied(code=Code.STALE_BALANCE, limit="L20", detail="no balance was ever read")
            return
        age_ms = Decimal(snapshot.now_ns - snapshot.balances_as_of_ns) / MS_NS
        yield from _ceiling(Code.STALE_BALANCE, "L20", age_ms, Decimal(self.limits.max_balance_age_ms))

    def _exposure(self, order: Order, snapshot: Snapshot) -> Iterator[Denied]:
        if not isinstance(snapshot.equity, Known):
            yield Denied(code=Code.STALE_BALANCE, limit="L20", detail="equity is not known")
            return
        equity, limits = snapshot.equity.value, self.limits
        if equity <= 0:
            yield Denied(code=Code.EQUITY_CAP, limit="L28", bound=ZERO, given=equity, detail="no equity")
            return
        worst = worst_exposures(order, snapshot)
        gross = sum((max(abs(low), abs(high)) for low, high in worst.values()), ZERO)
        lows = sum((low for low, _ in worst.values()), ZERO)
        highs = sum((high for _, high in worst.values()), ZERO)
        low, high = worst[order.symbol]
        hundredth = equity / 100
        yield from _ceiling(
            Code.POSITION_NOTIONAL,
            "L05",
            max(abs(low), abs(high)) / hundredth,
            limits.max_position_notional_pct,
        )
        yield from _ceiling(Code.GROSS_EXPOSURE, "L07", gross / hundredth, limits.max_gross_exposure_pct)
        yield from _ceiling(
            Code.NET_EXPOSURE, "L08", max(abs(lows), abs(highs)) / hundredth, limits.max_net_exposure_pct
        )
        yield from _ceiling(Code.LEVERAGE, "L22", gross / hundredth, Decimal(limits.max_leverage_x100))
        if limits.equity_cap_quote is not None:
            yield from _ceiling(Code.EQUITY_CAP, "L28", equity, limits.equity_cap_quote)

    def _counts(self, order: Order, snapshot: Snapshot) -> Iterator[Denied]:
        limits = self.limits
        others = [other for other in snapshot.working if other.client_id != order.replaces]
        on_symbol = sum(1 for other in others if other.symbol == order.symbol)
        yield from _ceiling(
            Code.OPEN_ORDERS, "L10", Decimal(on_symbol + 1), Decimal(limits.max_open_orders_symbol_count)
        )
        yield from _ceiling(
            Code.OPEN_ORDERS, "L10", Decimal(len(others) + 1), Decimal(limits.max_open_orders_account_count)
        )
        symbols = {symbol for symbol, quantity in snapshot.positions.items() if quantity}
        symbols |= {other.symbol for other in others} | {order.symbol}
        yield from _ceiling(
            Code.POSITION_COUNT, "L09", Decimal(len(symbols)), Decimal(limits.max_positions_count)
        )

    def _losses(self, order: Order, snapshot: Snapshot) -> Iterator[Denied]:
        limit, strategy_limit = self.loss.limit, self.loss.strategy_limit
        if limit is None or strategy_limit is None or not isinstance(snapshot.equity, Known):
            yield Denied(code=Code.DAILY_LOSS, limit="L14", detail="no start-of-day mark")
            return
        at_risk = order.notional * self.limits.price_collar_bps / 10_000
        if isinstance(snapshot.fees, Known):
            at_risk += order.notional * snapshot.fees.value.taker_rate
        loss = self.loss.loss(snapshot.equity.value)
        assert loss is not None
        yield from _ceiling(Code.DAILY_LOSS, "L14", max(ZERO, loss) + at_risk, limit)
        if self.loss.step >= 3:
            yield Denied(code=Code.DRAWDOWN, limit="L15", given=Decimal(self.loss.step))
        own = self.loss.strategy_loss(order.strategy, snapshot.strategy_pnl.get(order.strategy, ZERO))
        yield from _ceiling(Code.STRATEGY_LOSS, "L16", own, strategy_limit)

    def _spread(self, order: Order, snapshot: Snapshot) -> Iterator[Denied]:
        top = snapshot.tops.get(order.symbol)
        if order.post_only or not isinstance(top, Known):
            return
        takes = order.price >= top.value.ask if order.side is Side.BUY else order.price <= top.value.bid
        if takes:
            yield from _ceiling(Code.WIDE_SPREAD, "L24", top.value.spread_bps, self.limits.max_spread_bps)

    @staticmethod
    def _unresolved(order: Order, snapshot: Snapshot) -> Iterator[Denied]:
        for other in snapshot.working:
            if other.unresolved and (other.strategy, other.symbol) == (order.strategy, order.symbol):
                yield Denied(code=Code.UNRESOLVED_ORDER, limit="T7.6", detail=other.client_id)
                return

    # ---- memory ------------------------------------------------------------------------------------

    def _remember(self, order: Order, now_ns: int) -> None:
        self._messages.setdefault(order.strategy, deque(maxlen=MAX_RECENT_ORDERS)).append(now_ns)
        if order.replaces is None:
            self._recent.setdefault(order.strategy, _Recent()).add(_wish(order), now_ns)

    def _count_denial(self, strategy: str, code: str, now_ns: int) -> None:
        self.denials[code] += 1
        self._denied_at.setdefault((strategy, code), deque(maxlen=MAX_RECENT_ORDERS)).append(now_ns)


def _wish(order: Order) -> Wish:
    return order.symbol, order.side, order.price, order.quantity


def _ceiling(code: Code, limit: str, value: Decimal, bound: Decimal) -> Iterator[Denied]:
    if value > bound:
        yield Denied(code=code, limit=limit, bound=bound, given=value)


def worst_exposures(order: Order | None, snapshot: Snapshot) -> dict[str, tuple[Decimal, Decimal]]:
    """Lowest and highest notional each symbol can reach if working orders and this one fill, in
    quote units.
    """
    buys: dict[str, Decimal] = {}
    sells: dict[str, Decimal] = {}
    for other in snapshot.working:
        if order is not None and other.client_id == order.replaces:
            continue
        side = buys if other.side is Side.BUY else sells
        side[other.symbol] = side.get(other.symbol, ZERO) + other.price * other.quantity
    if order is not None:
        side = buys if order.side is Side.BUY else sells
        side[order.symbol] = side.get(order.symbol, ZERO) + order.notional
    worst = {}
    for symbol in {*buys, *sells, *(s for s, quantity in snapshot.positions.items() if quantity)}:
        top = snapshot.tops.get(symbol)
        quantity = snapshot.positions.get(symbol, ZERO)
        if quantity and not isinstance(top, Known):
            raise ValueError(f"the position in {symbol} cannot be valued: {top!r}")
        held = quantity * top.value.mid if quantity and isinstance(top, Known) else ZERO
        worst[symbol] = (held - sells.get(symbol, ZERO), held + buys.get(symbol, ZERO))
    return worst
