"""Positions, margins and prices of perpetual markets, as the log shows them and the engine computes them."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from tradewind.core import native
from tradewind.core.enums import Line, PositionCause, Side
from tradewind.core.event_types import PositionChanged, PositionSettled
from tradewind.core.events import Event
from tradewind.node.projections import leverage

from .model import MarginSummary, PerpetualPrices, Position, PositionMoved

if TYPE_CHECKING:
    from .exchange_records import AccountHistory, GatewayViews

MICRO_EXPONENT: Final = -6
E2: Final = 100
PPB: Final = 1_000_000_000
MICRO: Final = 1_000_000
HOUR_NS: Final = 3_600 * 1_000_000_000
CAP_WITHOUT_SUITABILITY_E2: Final = 1_000
CAUSES: Final = {int(one): one.name.lower() for one in PositionCause}
"""What has no name of its own changes the leverage that was chosen, and no lots."""
MAIN: Final = 0
"""The sub-account that clients trade with: its margin is crossed."""


class PositionRecords:
    """A view that stands behind `LeverageView`."""

    def __init__(self, views: GatewayViews) -> None:
        self._views = views
        self.chosen: dict[tuple[str, str], int] = {}
        """(account, market) -> leverage in hundredths, by the notes of owners."""
        self.listeners: dict[str, list[Callable[[PositionMoved], None]]] = {}

    def on_event(self, event: Event) -> None:
        if not isinstance(event, PositionChanged | PositionSettled):
            return
        history = self._views.records.by_handle.get(event.account)
        listeners = () if history is None else tuple(self.listeners.get(history.name, ()))
        if history is None or not listeners or event.sub != MAIN:
            return
        moved = PositionMoved(
            position=self.position(history, event.market),
            cause=CAUSES.get(event.cause, "leverage"),
            time_ns=event.time_ns,
        )
        for listener in listeners:
            listener(moved)

    def position(self, history: AccountHistory, market: int) -> Position:
        """A position, also one without lots."""
        return self._positions(history, [market])[0]

    def positions(self, history: AccountHistory) -> list[Position]:
        """Every position with lots, by market."""
        held = self._views.leverage.of_account(history.handle, MAIN)
        return self._positions(history, [one.market for one in held])

    def summary(self, history: AccountHistory, asset: int) -> MarginSummary:
        """All margin of an account."""
        wallet = self._views.ledger.line(history.handle, asset, Line.FREE)
        rows = [self._margins(history, market) for market in self._touched(history)]
        profit, initial = sum(row[0] - row[3] for row in rows), sum(row[1] for row in rows)
        return MarginSummary(
            asset=self._views.assets.by_number[asset].symbol,
            wallet=_money(wallet),
            unrealised=_money(profit),
            equity=_money(wallet + profit),
            initial_margin=_money(initial),
            maintenance_margin=_money(sum(row[2] for row in rows)),
            available=_money(max(0, wallet + profit - initial)),
        )

    def prices(self, symbol: str, market: int, now_ns: int) -> PerpetualPrices:
        """Mark, index and funding of a market."""
        found = self._views.leverage.markets[market]
        return PerpetualPrices(
            symbol=symbol,
            mark_ticks=found.mark or None,
            index_ticks=found.index or None,
            funding_rate=Decimal(found.funding_rate_ppb) / PPB,
            next_funding_ns=found.next_funding_ns or (now_ns // HOUR_NS + 1) * HOUR_NS,
            open_interest_lots=found.open_interest_lots,
            time_ns=found.mark_ns,
        )

    def margin_fractions(self, market: int, value: Decimal) -> tuple[Decimal, Decimal]:
        """Initial and maintenance margin of a position worth `value` at the mark, as parts of its value, at
        the most leverage that the market allows.

        Raises:
            ValueError: there is no mark yet, or the value is beyond the engine's bounds.
        """
        found, unit = self._views.leverage.markets[market], self._unit(market)
        if not found.mark:
            raise ValueError("the market has no mark yet")
        lots = max(1, int(value * MICRO) // (found.mark * unit))
        orders = (0, 0, 0, 0)
        _, initial, maintenance = native.position_margins(
            lots, 0, found.mark, unit, orders, _risk(found), found.max_leverage_e2
        )
        whole = Decimal(lots * found.mark * unit)
        return Decimal(initial) / whole, Decimal(maintenance) / whole

    # ---- arithmetic --------------------------------------------------------------------------------

    def _positions(self, history: AccountHistory, markets: list[int]) -> list[Position]:
        settlement = self._views.markets.by_handle[markets[0]].quote if markets else 0
        wallet = self._views.ledger.line(history.handle, settlement, Line.FREE)
        margins = {market: self._margins(history, market) for market in {*self._touched(history), *markets}}
        equity = wallet + sum(row[0] - row[3] for row in margins.values())
        maintenance = sum(row[2] for row in margins.values())
        return [self._position(history, market, margins[market], (equity, maintenance)) for market in markets]

    def _position(
        self, history: AccountHistory, market: int, row: tuple[int, int, int, int], whole: tuple[int, int]
    ) -> Position:
        one, found = self._raw(history, market), self._views.leverage.markets[market]
        unit, names = self._unit(market), self._views.records.markets[market]
        scale = self._views.markets.by_handle[market].scale
        entry = None
        if one.lots:
            entry = Decimal(one.cost) / one.lots / unit * scale.price(1)
        liquidation = None
        if one.lots and found.mark:
            equity, maintenance = whole
            without = equity - one.lots * found.mark * unit - (maintenance - row[2])
            liquidation = native.position_liquidation_price(one.lots, unit, found.mark, without, _risk(found))
        chosen = self.chosen.get((history.name, names.symbol), 0)
        return Position(
            account=history.name,
            symbol=names.symbol,
            lots=one.lots,
            entry_price=entry,
            mark_ticks=found.mark,
            unrealised=_money(row[0]),
            realised=_money(one.realised),
            funding_paid=_money(one.funding_paid),
            leverage=Decimal(chosen or one.leverage_e2) / E2,
            initial_margin=_money(row[1]),
            maintenance_margin=_money(row[2]),
            liquidation_ticks=liquidation,
        )

    def _touched(self, history: AccountHistory) -> list[int]:
        """Markets in which an account has a position or working orders."""
        held = {one.market for one in self._views.leverage.of_account(history.handle, MAIN)}
        working = {one.market for one in self._views.orders.of_account(history.handle)}
        return sorted(held | {market for market in working if market in self._views.leverage.markets})

    def _margins(self, history: AccountHistory, market: int) -> tuple[int, int, int, int]:
        """Unrealised profit, initial and maintenance margin, funding that is owed; micro-units."""
        one, found, unit = (
            self._raw(history, market),
            self._views.leverage.markets[market],
            self._unit(market),
        )
        cap = found.max_leverage_e2
        if history.handle not in self._views.suitable:
            cap = min(cap, CAP_WITHOUT_SUITABILITY_E2)
        totals = [0, 0, 0, 0]
        for order in self._views.orders.of_account(history.handle, market):
            if order.resting:
                at = 0 if order.side is Side.BUY else 2
                totals[at] += order.remaining_lots
                totals[at + 1] += order.remaining_lots * order.price * unit
        chosen = min(one.leverage_e2, cap) if one.leverage_e2 else cap
        orders = (totals[0], totals[1], totals[2], totals[3])
        profit, initial, maintenance = native.position_margins(
            one.lots, one.cost, found.mark, unit, orders, _risk(found), chosen
        )
        owed = native.funding_payment(one.lots, found.funding_index, one.funding_index)
        return profit, initial, maintenance, owed

    def _raw(self, history: AccountHistory, market: int) -> leverage.Position:
        view = self._views.leverage
        known = view.find(history.handle, MAIN, market)
        return known or leverage.Position(
            history.handle, MAIN, market, 0, 0, view.markets[market].funding_index, 0
        )

    def _unit(self, market: int) -> int:
        found = self._views.markets.by_handle[market]
        return found.tick_size * found.lot_size // MICRO


def _risk(market: leverage.LeveragedMarket) -> tuple[int, int, int]:
    return market.max_leverage_e2, market.size_k_ppm, market.floor_mmf_ppm


def _money(micro: int) -> Decimal:
    return Decimal(micro).scaleb(MICRO_EXPONENT)
