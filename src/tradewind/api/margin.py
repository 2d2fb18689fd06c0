"""Health of sub-accounts as the log shows it, and what a move of the market would make of it.

The arithmetic is the engine's own (`tradewind.core.native`); this module only gathers the numbers. Money in
micro-units of the settlement asset, prices in ticks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from tradewind.core import native
from tradewind.core.enums import AssetFlag, Line, Side
from tradewind.node.projections.directory import Asset
from tradewind.node.projections.exchange import ExchangeViews
from tradewind.node.projections.leverage import LeveragedMarket, Position

ONE = 1_000_000
MAX_LEVERAGE_WITHOUT_SUITABILITY_E2 = 1_000
FEED_UNCERTAIN, FEED_INVALID = 3, 7
ISOLATED = 1
"""Margin mode of a sub-account with a single position."""


@dataclass(frozen=True, slots=True)
class PositionHealth:
    """One position.

    `liquidation_price`: the mark in ticks at which the sub-account reaches maintenance when only this market
    moves; None when no price does.
    """

    market: int
    lots: int
    cost: int
    mark: int
    unrealised: int
    funding_owed: int
    initial_margin: int
    maintenance_margin: int
    liquidation_price: int | None
    leverage_e2: int
    isolated: bool


@dataclass(frozen=True, slots=True)
class Health:
    """A sub-account. `known` is False when a mark or a price is missing: then no number here counts."""

    equity_initial: int
    equity_maintenance: int
    initial_margin: int
    maintenance_margin: int
    positions: tuple[PositionHealth, ...]
    unknown: tuple[str, ...] = field(default=())

    @property
    def known(self) -> bool:
        """Whether every price is known."""
        return not self.unknown

    @property
    def free_collateral(self) -> int:
        """What new risk may use."""
        return self.equity_initial - self.initial_margin

    @property
    def liquidatable(self) -> bool:
        """Below maintenance; equality is healthy."""
        return bool(self.positions) and self.equity_maintenance < self.maintenance_margin

    @property
    def ratio(self) -> float | None:
        """Equity over maintenance margin, None without positions."""
        return self.equity_maintenance / self.maintenance_margin if self.maintenance_margin else None


@dataclass(frozen=True, slots=True)
class Change:
    """A fill that did not happen: signed lots at a price in ticks."""

    market: int
    lots: int
    price: int


class Margin:
    """Computes health from the views of an exchange."""

    def __init__(self, views: ExchangeViews) -> None:
        self._views = views

    def health(
        self,
        account: int,
        sub: int,
        *,
        marks: Mapping[int, int] | None = None,
        change: Change | None = None,
    ) -> Health:
        """The health of a sub-account, at other marks or after another fill when these are given."""
        unknown: list[str] = []
        positions = self._positions(account, sub, change)
        initial = self._collateral(account, sub, unknown, careful=True)
        maintenance = self._collateral(account, sub, unknown, careful=False)
        rows = [self._margins(one, marks or {}, unknown) for one in positions]
        profit = sum(row.unrealised - row.funding_owed for row in rows)
        total_im = sum(row.initial_margin for row in rows)
        total_mm = sum(row.maintenance_margin for row in rows)
        equity = maintenance + profit
        isolated = self._views.accounts.by_handle[account].subs.get(sub) == ISOLATED
        shown = tuple(
            replace(row, liquidation_price=self._liquidation(row, equity, total_mm), isolated=isolated)
            for row in rows
            if row.lots
        )
        return Health(initial + profit, equity, total_im, total_mm, shown, tuple(dict.fromkeys(unknown)))

    def _positions(self, account: int, sub: int, change: Change | None) -> list[Position]:
        found = {one.market: one for one in self._views.leverage.of_account(account, sub)}
        for order in self._views.orders.of_account(account):
            leveraged = order.market in self._views.leverage.markets
            if leveraged and order.sub == sub and order.resting and order.market not in found:
                found[order.market] = self._empty(account, sub, order.market)
        if change is not None:
            base = found.get(change.market, self._empty(account, sub, change.market))
            found[change.market] = self._changed(base, change)
        return [found[market] for market in sorted(found)]

    def _empty(self, account: int, sub: int, market: int) -> Position:
        return Position(account, sub, market, 0, 0, self._views.leverage.markets[market].funding_index, 0)

    def _changed(self, base: Position, change: Change) -> Position:
        """The position after the fill. What it realises stays in the cost, so that the equity is the same."""
        cost = base.cost + change.lots * change.price * self._unit(change.market)
        return Position(
            base.account,
            base.sub,
            base.market,
            base.lots + change.lots,
            cost,
            base.funding_index,
            base.leverage_e2,
        )

    def _unit(self, market: int) -> int:
        found = self._views.markets.by_handle[market]
        return found.tick_size * found.lot_size // ONE

    def _margins(self, one: Position, marks: Mapping[int, int], unknown: list[str]) -> PositionHealth:
        market = self._views.leverage.markets[one.market]
        mark = marks.get(one.market, market.mark)
        if not mark and one.lots:
            unknown.append(f"mark of market {one.market}")
        cap = self._cap(one.account, market)
        chosen = min(one.leverage_e2, cap) if one.leverage_e2 else cap
        profit, initial, maintenance = native.position_margins(
            one.lots, one.cost, mark, self._unit(one.market), self._open(one), self._risk(market), chosen
        )
        owed = native.funding_payment(one.lots, market.funding_index, one.funding_index)
        return PositionHealth(
            one.market,
            one.lots,
            one.cost,
            mark,
            profit,
            owed,
            initial,
            maintenance,
            None,
            one.leverage_e2,
            isolated=False,
        )

    def _cap(self, account: int, market: LeveragedMarket) -> int:
        if self._views.suitability.allows(account, self._views.applied_time_ns):
            return market.max_leverage_e2
        return min(market.max_leverage_e2, MAX_LEVERAGE_WITHOUT_SUITABILITY_E2)

    @staticmethod
    def _risk(market: LeveragedMarket) -> tuple[int, int, int]:
        return market.max_leverage_e2, market.size_k_ppm, market.floor_mmf_ppm

    def _open(self, one: Position) -> tuple[int, int, int, int]:
        """Lots of resting buys, their value, lots of resting sells, their value."""
        unit = self._unit(one.market)
        totals = [0, 0, 0, 0]
        for order in self._views.orders.of_account(one.account, one.market):
            if order.sub == one.sub and order.resting:
                at = 0 if order.side is Side.BUY else 2
                totals[at] += order.remaining_lots
                totals[at + 1] += order.remaining_lots * order.price * unit
        return totals[0], totals[1], totals[2], totals[3]

    def _liquidation(self, row: PositionHealth, equity: int, total_mm: int) -> int | None:
        market = self._views.leverage.markets[row.market]
        unit = self._unit(row.market)
        others = total_mm - row.maintenance_margin
        without = equity - row.lots * row.mark * unit - others
        price: int | None = native.position_liquidation_price(
            row.lots, unit, row.mark, without, self._risk(market)
        )
        return price

    def _collateral(self, account: int, sub: int, unknown: list[str], *, careful: bool) -> int:
        total = 0
        for asset in self._views.assets.by_number.values():
            amount = self._views.ledger.line(account, asset.asset, Line.FREE, sub)
            if not careful:
                amount += self._views.ledger.line(account, asset.asset, Line.HELD, sub)
            if amount:
                total += self._value(asset, amount, unknown, careful=careful)
        return total

    def _value(self, asset: Asset, amount: int, unknown: list[str], *, careful: bool) -> int:
        price = self._price(asset, owned=amount > 0, careful=careful)
        if price is None:
            if amount < 0:
                unknown.append(f"price of {asset.symbol}")
            return 0
        if amount > 0:
            weight = asset.initial_asset_bp if careful else asset.maintenance_asset_bp
        else:
            weight = asset.initial_liability_bp if careful else asset.maintenance_liability_bp
        counted = min(amount, asset.collateral_cap) if asset.collateral_cap else amount
        return counted * price * weight // (ONE * 10_000)

    def _price(self, asset: Asset, *, owned: bool, careful: bool) -> int | None:
        if asset.settles:
            return ONE
        feed = self._views.feeds.by_number.get(asset.feed)
        if feed is None or not feed.index or feed.state >= FEED_INVALID:
            return None
        doubt = feed.confidence if careful and feed.state >= FEED_UNCERTAIN else 0
        price = feed.index - doubt if owned else feed.index + doubt
        if asset.asset_flags & AssetFlag.STABLE and owned:
            price = min(price, ONE)
        return price if price > 0 else None
