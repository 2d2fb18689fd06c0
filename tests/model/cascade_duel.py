"""Engine and model of cascades side by side: beside balances each event of liquidation is compared."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import leverage_math as lm
from cascade_model import CascadeModel
from duel import (
    ACCOUNTS,
    ASSETS,
    BTC,
    MARKETS,
    OPENING,
    RISK,
    ROLES_END_NS,
    START_NS,
    USDC,
    Duel,
    grants,
    model_account,
)
from leverage_model import Perpetual
from liquidation_model import COOLING

from tradewind.core import commands
from tradewind.core import event_types as ev
from tradewind.core.engine import Engine, GenesisConfig, Grant
from tradewind.core.enums import Role

EMERGENCY = bytes([0x60] * 32)
PRICE_FAST, LIQUIDATIONS = 2, 6
WARN = 1
FAR = 10
"""A mark further than a tenth from its index puts the feed in doubt (P6.1.4)."""
PASSIVE = 3
"""Post-only and reduce-only: orders that nobody but a liquidation or the fund places."""
DEEP = replace(
    MARKETS[0], max_leverage_e2=2_000, size_k_ppm=0, position_limit=10**14, open_interest_cap=10**15,
    max_notional=10**13, insurance_limit=400_000 * lm.DOLLAR,
)  # fmt: skip
"""Twenty times, with fees, and orders large enough for tranches and for the market's rate to bind."""
COARSE = replace(MARKETS[1], position_limit=10**14, max_notional=10**13, insurance_limit=400_000 * lm.DOLLAR)


def wide_genesis() -> GenesisConfig:
    return GenesisConfig(START_NS, [*grants(), Grant(EMERGENCY, Role.EMERGENCY, ROLES_END_NS)])


class Over(Exception):
    """The stream ends: what it met is another model's concern."""


@dataclass
class CascadeDuel(Duel):
    engine: Engine = field(default_factory=lambda: Engine(wide_genesis(), audit=True))
    model: CascadeModel = field(
        default_factory=lambda: CascadeModel(
            [], assets=list(ASSETS), asset_prices={USDC: 10**6, BTC: OPENING}
        )
    )
    markets: list[Perpetual] = field(default_factory=lambda: [DEEP, COARSE])
    compared: int = 0
    """Events of liquidations that were predicted."""
    over: str = ""
    """Why the stream ended early: a halt by prices, a feed in doubt, an account that detection slowed."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.noted = 0

    def compare(self, command: bytes, act: Callable[[], int | None]) -> str:
        def whole() -> int | None:
            value = act()
            self.model.look_at_holders()
            return value

        return super().compare(command, whole)

    # -- what an event says, as the model notes it -----------------------------------------------------------

    def learn(self, events: list[object]) -> None:
        for event in events:
            if isinstance(event, ev.OrderAccepted) and event.order_flags & PASSIVE == PASSIVE:
                self.ids.append(event.order)
            if isinstance(event, ev.BreakerTripped) and event.breaker == LIQUIDATIONS:
                self.model.closed_to_risk.add(event.market)
            elif isinstance(event, ev.BreakerTripped) and event.market not in self.model.halted:
                self.over = f"breaker {event.breaker}"
            if isinstance(event, ev.BreakerHalfOpen | ev.BreakerClosed) and event.breaker == LIQUIDATIONS:
                self.model.closed_to_risk.discard(event.market)
            if isinstance(event, ev.FeedStateChanged) and event.state > WARN:
                self.over = "feed"
            if isinstance(event, ev.AccountSlowed):
                self.over = "slowed"
        for market in range(len(self.markets)):
            ticker = self.model.ticker(market)
            if ticker.index and abs((ticker.mark or 0) - ticker.index) * FAR > ticker.index:
                self.over = "far"
        if self.over:
            raise Over(self.over)
        rows = [row for event in events for row in self.row(event)]
        noted, self.noted = self.model.happened[self.noted :], len(self.model.happened)
        for ordered in (False, True):
            seen, wanted = ([row for row in some if in_order(row) == ordered] for some in (rows, noted))
            if not ordered:
                seen, wanted = sorted(seen), sorted(wanted)
            assert seen == wanted, difference(seen, wanted)
        self.compared += len(rows)

    def row(self, event: object) -> Iterator[tuple[object, ...]]:
        account = getattr(event, "account", None)
        where: tuple[object, ...] = ()
        if isinstance(account, int) and account < 2**32 - 1:
            where = (model_account(account), event.sub, event.market)  # type: ignore[attr-defined]
        match event:
            case ev.LiquidationFlagged():
                yield ("flagged", *where, event.lots, event.notional)
            case ev.LiquidationStarted():
                yield (
                    "started", *where, event.lots, event.limit, event.cut, event.cascade, event.rate_left
                )  # fmt: skip
            case ev.LiquidationStepped():
                yield (
                    "stepped", *where, event.filled_lots, event.unfilled_lots, event.notional, event.fee
                )  # fmt: skip
            case ev.LiquidationEnded():
                yield ("ended", *where[:2], event.reason, event.next_ns)
            case ev.BackstopTaken():
                yield ("backstop", *where, event.lots, event.value, event.draw, event.insurance_left)
            case ev.AdlExecuted():
                yield ("adl", *where, event.rank, event.lots, event.value, event.price, event.score_ppm)
            case ev.LossCovered():
                yield ("covered", *where, event.stage, event.asset, event.amount, event.source_left)
            case ev.LossSocialised():
                yield ("shared", *where, event.share, event.loss_total)
            case ev.FundSettled():
                yield ("fund", event.amount, event.insurance_left)
            case ev.CascadeChanged():
                yield (
                    "cascade", event.market, bool(event.active), event.pending_notional, event.depth,
                    event.open_interest,
                )  # fmt: skip
            case ev.OrderAccepted() if event.order_flags & PASSIVE == PASSIVE:
                yield (
                    "offer", *where, event.side, event.price, event.remaining_lots, event.expiry_ns
                )  # fmt: skip
            case _:
                return

    def suit(self, account: int) -> None:
        """More than ten times needs a flag (P4.5)."""
        command = commands.build(
            "SetSuitability", principal=RISK, account=ACCOUNTS[account], client_key=self.key(), level=1,
            expiry_ns=self.now_ns + 86_400 * lm.SECOND_NS,
        )  # fmt: skip
        assert not self.compare(command, lambda: self.model.suitable.add(account))

    def trip(self, market: int, breaker: int) -> None:
        """An operator halts a market: its book is collected, liquidations stay within the index band."""
        command = commands.build(
            "TripBreaker", principal=EMERGENCY, client_key=self.key(), market=market, breaker=breaker,
            reason="drill",
        )  # fmt: skip
        assert not self.compare(command, lambda: self.model.halted.add(market))


def in_order(row: tuple[object, ...]) -> bool:
    """Whom one mark brings down or back up is found in an order that nobody sees."""
    return row[0] != "flagged" and (row[0] != "ended" or row[3] == COOLING)


def difference(seen: list[tuple[object, ...]], wanted: list[tuple[object, ...]]) -> str:
    rows = [(a, b) for a, b in zip(seen, wanted, strict=False) if a != b]
    return f"engine, model: {rows[:2]} and {seen[len(wanted) :]} against {wanted[len(seen) :]}"
