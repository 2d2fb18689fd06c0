"""Leveraged outcome positions on the real engine for the probes: a vault that lends, many outcomes."""

from __future__ import annotations

from typing import Any, Final

from tradewind.core import commands
from tradewind.core.enums import AssetFlag, MarketKind, Role, Side
from tradewind.core.events import Event
from tradewind.core.hashing import account_id
from tradewind.readiness.probes.exchange import (
    DAY_NS,
    QUOTE,
    SECOND_NS,
    STAFF,
    Answer,
    Exchange,
    Send,
    honest,
    key_of,
)

DOLLAR: Final = 1_000_000
TICK: Final = 1_000
HALF: Final = 500
VAULT: Final = 200_000 * DOLLAR
MONEY: Final = 2_000_000 * DOLLAR
STAGE_S: Final = 61
BORROWED_LOTS: Final = 24_000_000
"""At 0.50 and fivefold $9,600 are borrowed: below 5 % of the vault."""
LEVERAGE_E2: Final = 500
MAKER: Final = key_of("maker")


class Lending(Exchange):
    """A settlement asset, a vault of $200,000 at its last stage, and a maker of what is traded."""

    def __init__(self, send: Send = honest) -> None:
        super().__init__(send)
        self.seen: list[Event] = []
        operator = STAFF[Role.OPERATOR]
        for symbol, flags in (("BASE", AssetFlag(0)), ("QUOTE", AssetFlag.SETTLEMENT)):
            self.must(
                commands.register_asset(
                    principal=operator, client_key=self.key(), symbol=symbol, asset_flags=flags
                )
            )
        for owner in (operator, MAKER):
            self.open_account(owner)
            self.must(self.deposit(account_id(owner), QUOTE, MONEY))
        self.must(commands.build("DepositVault", **self.of(operator), amount=VAULT))
        for _ in range(2):
            self.now_ns += STAGE_S * SECOND_NS
            self.must(commands.tick(principal=STAFF[Role.SYSTEM]))

    def of(self, owner: bytes) -> dict[str, Any]:
        """The envelope of an owner's command."""
        return {"principal": owner, "account": account_id(owner), "client_key": self.key()}

    def run(self, *frames: bytes) -> tuple[list[Answer], list[Event]]:
        """Applies commands as one batch and keeps what happened."""
        answers, happened = super().run(*frames)
        self.seen += happened
        return answers, happened

    def outcome_market(self, outcomes: int) -> int:
        """A market that settles in 30 days; its handle."""
        operator = STAFF[Role.OPERATOR]
        fields = self.of(operator) | {"nonce": 100 + outcomes, "base": QUOTE, "quote": QUOTE}
        return self.must(
            commands.create_market(
                **fields,
                market_kind=MarketKind.OUTCOME,
                outcome_count=outcomes,
                tick_size=TICK,
                lot_size=TICK,
                settle_time_ns=self.now_ns + 30 * DAY_NS,
                max_notional=MONEY,
            )
        ).value

    def made(self, market: int, lots: int) -> None:
        """The maker sells so many lots of outcome 0 at 0.50 and bids a tick below."""
        self.must(commands.build("MintSet", **self.of(MAKER), market=market, lots=lots))
        for side, price in ((Side.SELL, HALF), (Side.BUY, HALF - 1)):
            self.must(self.order(MAKER, side, price, lots, market=market))

    def opening(self, owner: bytes, market: int, leverage_e2: int, lots: int = 1_000) -> bytes:
        """OpenLeveraged of outcome 0 at 0.50."""
        return commands.build(
            "OpenLeveraged",
            **self.of(owner),
            market=market,
            lots=lots,
            max_price=HALF,
            leverage_e2=leverage_e2,
        )

    def borrower(self, name: str) -> bytes:
        """A funded account; its owner's key."""
        owner = key_of(name)
        self.must(self.deposit(self.open_account(owner), QUOTE, MONEY))
        return owner

    def lend(self, market: int, borrowers: int) -> None:
        """So many accounts borrow $9,600 each."""
        self.made(market, borrowers * BORROWED_LOTS)
        for number in range(borrowers):
            owner = self.borrower(f"borrower {number}")
            self.must(self.opening(owner, market, LEVERAGE_E2, BORROWED_LOTS))

    def coverage_ppm(self) -> int | None:
        """Coverage as the events tell it: the vault's value over what is at risk. None: nothing is."""
        changes: list[Any] = [event for event in self.seen if type(event).__name__ == "LeverageCapChanged"]
        worst: list[Any] = [event for event in self.seen if type(event).__name__ == "WorstCaseChanged"]
        if not worst or worst[-1].at_risk == 0:
            return None
        told = int(changes[-1].coverage_ppm)
        return VAULT * 1_000_000 // int(worst[-1].at_risk) if told else 0
