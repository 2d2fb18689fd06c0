"""The execution desk's view of the trader's service: facts of markets, orders and states."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import TYPE_CHECKING

from tradewind.venues.market_data import BookState, Known, Side
from tradewind.venues.protocol import FillEvent

from .. import risk_view
from ..orders import ManagedOrder
from ..risk.check import Denied, Path, Working
from ..strategy import PlaceIntent
from ..wish import Alarm
from .algorithms import Market
from .book import far_ticks
from .desk import ExecutionDesk
from .desk_base import TAG_PREFIX
from .model import ExecuteIntent, ParentState
from .records import Mark, Scale

if TYPE_CHECKING:
    from ..service import TraderService

NAME = "execution"
MAY_PLACE = frozenset({ParentState.WORKING, ParentState.PAUSED, ParentState.FINISHING})
ZERO = Decimal(0)


class ServiceView:
    """Reads one `TraderService`."""

    prints_own = False
    """A paper venue's public trades are those of the outside market."""

    def __init__(self, trader: TraderService) -> None:
        self._trader = trader

    @property
    def running(self) -> bool:
        """Whether the trader trades."""
        return self._trader.running

    def now_ns(self) -> int:
        """The trader's clock."""
        return self._trader.port.now_ns()

    def scale(self, symbol: str) -> Scale | None:
        """Facts of an instrument; None for a symbol that is not traded."""
        market = self._trader.venue.markets.get(symbol)
        if market is None:
            return None
        instrument = market.setup.instrument
        return Scale(
            base=instrument.base,
            quote=instrument.quote,
            tick=instrument.tick,
            lot=instrument.lot,
            min_quantity=instrument.min_quantity or instrument.lot,
            min_notional=instrument.min_notional or ZERO,
            volume_ratio=market.setup.mirror.lots_ratio,
        )

    def mark(self, symbol: str) -> Mark | None:
        """Best bid and ask of a live book, else None."""
        market = self._trader.venue.markets.get(symbol)
        if market is None or not market.live:
            return None
        bid, ask = market.mirror.best(Side.BUY), market.mirror.best(Side.SELL)
        if bid is None or ask is None or bid >= ask:
            return None
        return Mark(bid, ask, market.book_as_of_ns or self.now_ns())

    def market(self, symbol: str, strategy: str) -> Market:
        """The market now, and the trading state of the strategy and the symbol."""
        trader, market = self._trader, self._trader.venue.markets[symbol]
        mark = self.mark(symbol)
        shown = {side: market.mirror.top(side, 1) if mark is not None else [] for side in Side}
        return Market(
            now_ns=self.now_ns(),
            book=self._book(symbol),
            mark=mark,
            bid_lots=shown[Side.BUY][0][1] if shown[Side.BUY] else 0,
            ask_lots=shown[Side.SELL][0][1] if shown[Side.SELL] else 0,
            online=trader.venue.stopped_reason is None and market.setup.instrument.status == "online",
            max_spread_bps=trader.profile.limits.max_spread_bps,
            state=trader.state(strategy, symbol).name.lower(),
        )

    def _book(self, symbol: str) -> str:
        market = self._trader.venue.markets[symbol]
        if not market.live:
            return "empty" if market.book_state is BookState.EMPTY else "suspect"
        bid, ask = market.mirror.best(Side.BUY), market.mirror.best(Side.SELL)
        if bid is None or ask is None:
            return "empty"
        return "crossed" if bid >= ask else "live"

    def position_lots(self, symbol: str) -> int:
        """What is held."""
        instrument = self._trader.oms.instruments[symbol]
        return int(self._trader.ledger.total(instrument.base) / instrument.lot)

    def order(self, client_id: str) -> ManagedOrder | None:
        """An order by its id."""
        return self._trader.oms.get(client_id)

    def recent_fills(self) -> Iterable[FillEvent]:
        """The account's last executions, oldest first."""
        return tuple(self._trader.recent_fills)

    def fee_bps(self, symbol: str) -> tuple[Decimal, Decimal]:
        """Maker and taker fee, in basis points; the venue's own where the account's are not known."""
        fees = self._trader.fees
        schedule = fees.value if isinstance(fees, Known) else self._trader.venue.setup.fees
        return schedule.maker_bps, schedule.taker_bps

    def denials(self, strategy: str, intent: PlaceIntent) -> list[Denied]:
        """What risk says to an order of this size, without placing it."""
        trader = self._trader
        order = risk_view.risk_order(trader, strategy, Path.ALGORITHM, intent, self.now_ns())
        snapshot = trader.snapshot_for_risk(strategy=strategy, symbol=intent.symbol)
        return trader.risk.check(order, snapshot)

    def quotes(self, strategy: str) -> bool:
        """Whether a strategy lives from quoting."""
        host = self._trader.hosts.by_name.get(strategy)
        return host is not None and host.manifest.quotes

    def halt(self, strategy: str, reason: str) -> None:
        """Halt one strategy (T11.9)."""
        host = self._trader.hosts.by_name.get(strategy)
        if host is None:
            self._trader.halt_strategy(strategy, NAME, reason)
        else:
            self._trader.hosts.fault(host, reason)

    def alarm(self, text: str) -> None:
        """Tell an operator."""
        self._trader.alarms.append(Alarm(self.now_ns(), text))


def attach(trader: TraderService, *, hears: bool = True) -> ExecutionDesk:
    """The execution desk of a trader, registered with its hooks and its checkpoint. Call it before
    recovery; it starts with the trader's first second. `hears` False: as `ExecutionDesk.attach` says.
    """
    desk = ExecutionDesk(trader, ServiceView(trader))
    desk.attach(hears=hears)
    trader.checkpointed[NAME] = desk
    trader.planned = lambda: planned(desk)
    trader.intent_handlers[ExecuteIntent] = desk.on_intent
    return desk


def planned(desk: ExecutionDesk) -> list[Working]:
    """What open parents have not placed yet, at the worst case. A halted parent places nothing any more."""
    found = []
    for parent in desk.book.open_parents():
        opened, now_ns = parent.opened, desk.view.now_ns()
        lots = parent.free_lots(now_ns)
        market = desk.view.market(opened.symbol, opened.strategy)
        if parent.state not in MAY_PLACE or not lots or market.state == "halted":
            continue
        mark = market.mark or opened.arrival
        price = far_ticks(opened.side, mark) if opened.limit_ticks is None else opened.limit_ticks
        found.append(
            Working(
                client_id=f"{TAG_PREFIX}{parent.number}",
                symbol=opened.symbol,
                side=opened.side,
                price=opened.scale.tick * price,
                quantity=opened.scale.lot * lots,
                strategy=opened.strategy,
            )
        )
    return found
