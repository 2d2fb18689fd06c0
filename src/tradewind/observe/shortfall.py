"""Expected shortfall of the vault (protocol P9.5), and what the pools of market makers still risk (P9.1).

Both are shown and warn; neither decides what the engine accepts. Read from the views. Money in micro-units.

Resolution: a market with loans loses, if an outcome wins, what its debts exceed the pledged claims by; the
probabilities are the middles of the book, shared out to one. A market whose prices are unknown, and a
perpetual one, count with their whole worst case. Markets are put together like worst cases are, with the
published correlations (P9.2): a sum while none is published, which no dependence between them exceeds.

History: the vault's return from one day's epoch to the next, as far as the log knows it, on its present
value. The larger of both counts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from tradewind.core import native
from tradewind.core.enums import Line, Side
from tradewind.node.projections.directory import Market
from tradewind.node.projections.exchange import ExchangeViews
from tradewind.node.projections.vault import PLATFORM_BUCKET

from .view import Alarm, Severity

PPB: Final = 1_000_000_000
LEVEL_PPB: Final = 975_000_000
"""The level that limits and reports use."""
FAR_LEVEL_PPB: Final = 999_000_000
LEAST_DAYS: Final = 500
LEAST_POINTS_FAR: Final = 1_000
FULL_CORRELATION_PPM: Final = 1_000_000


class TooFewPointsError(ValueError):
    """A tail is asked for that so few points say nothing about."""


class Shortfall(msgspec.Struct, frozen=True, kw_only=True):
    """What the worst 2.5 % cost on average. `history` is None below 500 days."""

    nav: int
    resolution: int
    history: int | None = None
    days: int = 0

    @property
    def expected(self) -> int:
        return max(self.resolution, self.history or 0)

    @property
    def is_short(self) -> bool:
        """The vault is worth less than one and a half times the shortfall."""
        return 2 * self.nav < 3 * self.expected


def historical(losses_ppb: Sequence[int], nav: int, level_ppb: int = LEVEL_PPB) -> int:
    """Expected shortfall of days as likely as one another, each a loss in ppb of the vault's value.

    Raises:
        TooFewPointsError: fewer than 500 days, or fewer than 1,000 for a level of 99.9 % or beyond.
    """
    least = LEAST_POINTS_FAR if level_ppb >= FAR_LEVEL_PPB else LEAST_DAYS
    if len(losses_ppb) < least:
        raise TooFewPointsError(f"{least} days are needed, {len(losses_ppb)} are known")
    each = PPB // len(losses_ppb)
    scenarios = [(-(-max(0, loss) * nav // PPB), each) for loss in losses_ppb]
    return native.expected_shortfall(scenarios, level_ppb)[1]


def market_shortfall(losses: Sequence[int], prices: Sequence[int | None]) -> int:
    """Of one market: what is lost if each outcome wins, at these prices in any one unit.

    The largest loss when a price is unknown or none is above zero.
    """
    known = [price for price in prices if price is not None]
    total = sum(known)
    if len(known) < len(losses) or total <= 0:
        return max(0, *losses)
    scenarios = [(loss, price * PPB // total) for loss, price in zip(losses, known, strict=True)]
    return native.expected_shortfall(scenarios, LEVEL_PPB)[1]


def _prices(views: ExchangeViews, market: int, outcomes: int) -> list[int | None]:
    """Middles of the books in half ticks; of two outcomes the second is what remains."""

    def middle(outcome: int) -> int | None:
        book = views.books.book(market, outcome)
        bid, ask = book.best(Side.BUY), book.best(Side.SELL)
        return None if bid is None or ask is None else bid + ask

    if outcomes != 2:
        return [middle(outcome) for outcome in range(outcomes)]
    first, ticks = middle(0), _payout_ticks(views.markets.by_handle[market])
    return [None, None] if first is None else [first, 2 * ticks - first]


def _payout_ticks(market: Market) -> int:
    return 1_000_000 // market.tick_size


def _lent_losses(views: ExchangeViews) -> dict[int, list[int]]:
    """By market what is lost if each of its outcomes wins."""
    found: dict[int, list[int]] = {}
    for loan in views.loans.open.values():
        if not loan.debt:
            continue
        outcomes = views.markets.by_handle[loan.market].outcome_count
        losses = found.setdefault(loan.market, [0] * outcomes)
        for outcome in range(outcomes):
            losses[outcome] += max(0, loan.debt - (loan.shares if outcome == loan.outcome else 0))
    return found


def resolution_shortfall(views: ExchangeViews) -> int:
    """Over the resolutions of all markets in which the vault can lose."""
    lent = _lent_losses(views)
    buckets: dict[int, list[int]] = defaultdict(list)
    for market, worst in views.vault.worst_cases.items():
        losses = lent.get(market)
        shown = worst.amount
        if losses is not None:
            prices = _prices(views, market, len(losses))
            shown = min(shown, market_shortfall(losses, prices))
        buckets[worst.bucket].append(shown)
    rho = views.vault.correlations
    totals = [
        native.coverage_at_risk(found, rho.get(bucket, FULL_CORRELATION_PPM))
        for bucket, found in buckets.items()
    ]
    return native.coverage_at_risk(totals, rho.get(PLATFORM_BUCKET, FULL_CORRELATION_PPM))


def shortfall_of(views: ExchangeViews) -> Shortfall | None:
    """As the views stand; None without a settlement asset."""
    asset = next((one.asset for one in views.assets.by_number.values() if one.settles), None)
    if asset is None:
        return None
    nav = sum(views.ledger.system_line(line, asset) for line in (Line.VAULT_CASH, Line.VAULT_LOANS))
    days = views.vault.daily_losses_ppb
    history = None if len(days) < LEAST_DAYS else historical(days, max(0, nav))
    return Shortfall(nav=nav, resolution=resolution_shortfall(views), history=history, days=len(days))


def pool_at_risk(prices_ppb: Sequence[int] | None, reserves: Sequence[int], cash: int) -> int:
    """What a pool of outcome claims is worth at its own prices, in micro-units.

    Its trades can cost its providers all of it: the funding of an LMSR pool, the value of a pm-AMM. The vault
    owes none of it.
    """
    if prices_ppb is None:
        return max(0, cash)
    worth = sum(price * held for price, held in zip(prices_ppb, reserves, strict=True))
    return max(0, cash + worth // PPB)


def alarms_of(found: Shortfall | None) -> Iterator[Alarm]:
    """A warning while the vault is worth less than one and a half times its expected shortfall."""
    if found is not None and found.is_short:
        text = f"the vault is worth {found.nav} micro, its expected shortfall is {found.expected}"
        yield Alarm(severity=Severity.WARNING, code="VAULT_SHORTFALL", text=text)
