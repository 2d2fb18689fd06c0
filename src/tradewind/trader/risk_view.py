"""What risk and strategies see of the trader: snapshots and orders in their own vocabulary. Reading only."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from tradewind.venues.market_data import Instrument, Known, Side, TradePrint
from tradewind.venues.protocol import FeeSchedule, OrderType, TimeInForce

from .orders import ManagedOrder, State
from .risk.check import Order, Path, Snapshot, Working
from .risk.model import Own
from .strategy import AmendIntent, BookTop, OwnOrder, PlaceIntent, PublicTrade, SizeRequest

if TYPE_CHECKING:
    from .service import TraderService

__all__ = [
    "Snapshot",
    "Source",
    "book_top",
    "hold_reason",
    "own_order",
    "public_trade",
    "risk_amend",
    "risk_order",
    "risk_order_of",
    "snapshot",
]
ZERO = Decimal(0)
MILLISECOND_NS = 1_000_000
BOOK_LEVELS = 20
MAX_FORGOTTEN = 256
"""Ended orders whose worst cases are kept before they are thrown away together."""
_IDLE = {State.WORKING, State.PARTIALLY_FILLED}


def snapshot(trader: TraderService, strategy: str, symbol: str, replaces: str | None) -> Snapshot:
    """The state that one order is checked against; `replaces` names the order an amend would change."""
    ledger, venue = trader.ledger, trader.venue
    working = _all_working(trader)
    held = ledger.reservations.get(replaces, ("", ZERO))[1] if replaces is not None else ZERO
    now_ns, desk = trader.port.now_ns(), trader.risk_desk
    return Snapshot(
        now_ns=now_ns,
        rules=trader.rules,
        tops=trader.marks.tops(),
        equity=trader.marks.equity(),
        balances_as_of_ns=trader.balances_as_of_ns,
        available={asset: ledger.available(asset) for asset in venue.setup.assets},
        positions={
            name: ledger.total(market.setup.instrument.base) for name, market in venue.markets.items()
        },
        working=working,
        fees=trader.fees,
        state=trader.state(strategy, symbol),
        strategy_pnl=trader.strategy_pnl(),
        held_by_replaced=held,
        groups=desk.groups,
        volumes=desk.volumes(now_ns),
        attended=desk.attended(now_ns),
        own=_own(trader, strategy),
        planned=trader.planned(),
    )


def _own(trader: TraderService, strategy: str) -> Own | None:
    host = trader.hosts.by_name.get(strategy)
    if host is None:
        return None
    held = {one.symbol: one.held for one in trader.books.positions(strategy)}
    return Own(held=held, budget_pct=host.budget_pct)


def _all_working(trader: TraderService) -> list[Working]:
    """Every working order at its worst case. One that has not changed since is not worked out again."""
    known, found = trader.worst_cases, []
    for client_id, order in trader.oms.orders.items():
        shape = (
            order.price_ticks,
            order.lots,
            order.filled_lots,
            order.pending_price_ticks,
            order.pending_lots,
            order.state,
        )
        kept = known.get(client_id)
        if kept is None or kept[0] != shape:
            kept = known[client_id] = (shape, _working(trader, order))
        found.append(kept[1])
    if len(known) > 2 * len(found) + MAX_FORGOTTEN:
        trader.worst_cases = {client_id: known[client_id] for client_id in trader.oms.orders}
    return found


def _working(trader: TraderService, order: ManagedOrder) -> Working:
    instrument = trader.oms.instruments[order.intent.symbol]
    return Working(
        client_id=order.client_id,
        symbol=order.intent.symbol,
        side=order.intent.side,
        price=instrument.tick * order.worst_price_ticks,
        quantity=instrument.lot * order.worst_remaining_lots,
        unresolved=order.state is State.UNKNOWN,
        strategy=order.intent.strategy,
    )


def risk_order(
    trader: TraderService, strategy: str, path: Path, intent: PlaceIntent, decision_ns: int
) -> Order:
    """A wished order as risk sees it."""
    instrument = trader.oms.instruments.get(intent.symbol)
    return Order(
        strategy=strategy,
        path=path,
        symbol=intent.symbol,
        base=instrument.base if instrument else "",
        quote=instrument.quote if instrument else "",
        side=intent.side,
        time_in_force=intent.time_in_force,
        post_only=intent.post_only,
        price=instrument.tick * intent.price_ticks if instrument else ZERO,
        quantity=instrument.lot * intent.lots if instrument else ZERO,
        decision_ns=decision_ns,
        stop=instrument.tick * intent.stop_ticks if instrument and intent.stop_ticks is not None else None,
        edge_bps=intent.edge_bps,
        venue=trader.venue.name,
        parent=intent.tag.partition("/")[0] if path is Path.ALGORITHM else "",
    )


def risk_amend(
    trader: TraderService, order: ManagedOrder, path: Path, intent: AmendIntent, decision_ns: int
) -> Order:
    """A wished change as risk sees it: the order's rest at its new price."""
    instrument = trader.oms.instruments[order.intent.symbol]
    return Order(
        strategy=order.intent.strategy,
        path=path,
        symbol=order.intent.symbol,
        base=instrument.base,
        quote=instrument.quote,
        side=order.intent.side,
        order_type=OrderType(order.intent.order_type),
        time_in_force=TimeInForce(order.intent.time_in_force),
        post_only=order.intent.post_only,
        price=instrument.tick * intent.price_ticks,
        quantity=instrument.lot * (intent.lots - order.filled_lots),
        decision_ns=decision_ns,
        replaces=order.client_id,
        venue=trader.venue.name,
    )


def risk_order_of(trader: TraderService, order: ManagedOrder, path: Path, decision_ns: int) -> Order:
    """A journaled order once more (resend)."""
    wish = AmendIntent(client_id=order.client_id, price_ticks=order.price_ticks, lots=order.lots)
    return risk_amend(trader, order, path, wish, decision_ns)


def own_order(order: ManagedOrder) -> OwnOrder:
    """An order as its strategy sees it."""
    return OwnOrder(
        client_id=order.client_id,
        symbol=order.intent.symbol,
        side=order.intent.side,
        price_ticks=order.price_ticks,
        lots=order.lots,
        remaining_lots=order.remaining_lots,
        tag=order.intent.tag,
        busy=order.state not in _IDLE,
    )


class Source:
    """What the contexts of one strategy read: each call looks at the trader as it is."""

    def __init__(self, trader: TraderService, strategy: str) -> None:
        self.trader = trader
        self.strategy = strategy

    def now_ns(self) -> int:
        """The moment of the callback."""
        return self.trader.now_ns()

    def equity(self) -> Decimal | None:
        """Marked equity of the account."""
        equity = self.trader.marks.equity()
        return equity.value if isinstance(equity, Known) else None

    def strategy_loss(self) -> Decimal:
        """Loss of the strategy since the start of the day."""
        pnl = self.trader.books.net(self.strategy, self.trader.marks.mid)
        return self.trader.loss.strategy_loss(self.strategy, pnl)

    def size_multiplier(self) -> Decimal:
        """Product of all multipliers: drawdown, correlation, behaviour, stage."""
        return self.trader.risk_desk.multiplier(self.strategy)

    def instrument(self, symbol: str) -> Instrument:
        """The instrument of a symbol."""
        self._check(symbol)
        traded = self.trader.oms.instruments.get(symbol)
        return self.trader.hosts.outside[symbol].instrument if traded is None else traded

    def _check(self, symbol: str) -> None:
        """A strategy sees the symbols of its manifest. Raises `KeyError`."""
        manifest = self.trader.hosts.by_name[self.strategy].manifest
        if symbol not in manifest.symbols and symbol not in manifest.outside:
            raise KeyError(symbol)

    def fees(self, symbol: str) -> FeeSchedule | None:
        """The account's fees."""
        fees = self.trader.fees
        return fees.value if isinstance(fees, Known) else None

    def position_lots(self, symbol: str) -> int:
        """Lots that this strategy holds."""
        return self.trader.books.lots(self.strategy, symbol)

    def average_price(self, symbol: str) -> Decimal | None:
        """Average cost of the held lots."""
        position = self.trader.books.position(self.strategy, symbol)
        return None if position is None or not position.held else position.cost / position.held

    def orders(self, symbol: str) -> tuple[OwnOrder, ...]:
        """Working orders."""
        return tuple(
            own_order(order)
            for order in self.trader.oms.working(self.strategy)
            if order.intent.symbol == symbol
        )

    def state(self, symbol: str) -> str:
        """Trading state."""
        return self.trader.state(self.strategy, symbol).name.lower()

    def hold_reason(self, symbol: str) -> str:
        """What stands against new risk."""
        return hold_reason(self.trader, symbol)

    def book(self, symbol: str) -> BookTop | None:
        """The live book."""
        self._check(symbol)
        return self.trader.hosts.book(symbol, BOOK_LEVELS)

    def volume_5m_lots(self, symbol: str) -> int | None:
        """Public volume of five minutes."""
        return self.trader.volume_5m_lots(symbol)

    def size(self, request: SizeRequest) -> tuple[int, str]:
        """Size by the attached module."""
        return self.trader.sizer(self.strategy, request)


def hold_reason(trader: TraderService, symbol: str) -> str:
    """Why risk would deny anything that adds risk now; empty when nothing is known to stand against it."""
    now_ns, limits = trader.port.now_ns(), trader.profile.limits
    top = trader.marks.top(symbol)
    if not isinstance(top, Known) or now_ns - top.as_of_ns > limits.max_market_age_ms * MILLISECOND_NS:
        return "the market is not known"
    as_of_ns = trader.balances_as_of_ns
    if as_of_ns is None or now_ns - as_of_ns > limits.max_balance_age_ms * MILLISECOND_NS:
        return "the balances are not known"
    if not isinstance(trader.fees, Known):
        return "the fees are not known"
    if not trader.loss.is_based(now_ns):
        return "no start-of-day mark"
    return ""


def book_top(trader: TraderService, symbol: str, depth: int) -> BookTop:
    """The best levels of a symbol as the venue displays them."""
    market = trader.venue.markets[symbol]
    return BookTop(
        symbol,
        tuple(market.mirror.top(Side.BUY, depth)),
        tuple(market.mirror.top(Side.SELL, depth)),
        market.book_as_of_ns or 0,
    )


def public_trade(trader: TraderService, event: TradePrint) -> PublicTrade:
    """A public trade in the venue's own lots (floored)."""
    market = trader.venue.markets.get(event.symbol)
    ratio = 1 if market is None else market.setup.mirror.lots_ratio
    return PublicTrade(
        event.symbol,
        event.price_ticks,
        event.quantity_lots // ratio,
        event.aggressor_side,
        trader.port.now_ns(),
    )
