"""What an outcome market is to a gateway: tokens, orders, trades, holdings, in whole ticks and lots.

A binary market has one book in the engine, in prices of outcome 0. Towards clients every token has its own:
the other one's, mirrored. Here everything about a token is in its own side and price.
"""

from __future__ import annotations

import hashlib
from decimal import Decimal
from typing import Final

import msgspec

from tradewind.venues.market_data import Side
from tradewind.venues.protocol import OrderPhase

MICRO: Final = 1_000_000
TICKS: Final = (Decimal("0.1"), Decimal("0.01"), Decimal("0.001"), Decimal("0.0001"))


class OutcomeMarket(msgspec.Struct, frozen=True, kw_only=True):
    """A binary market to list. Amounts in shares; fees in basis points of the cheaper side."""

    slug: str
    """Its name for ever: ids derive from it."""
    question: str
    tick: Decimal = Decimal("0.01")
    min_shares: Decimal = Decimal(5)
    neg_risk: bool = False
    outcomes: tuple[str, str] = ("Yes", "No")
    maker_bps: Decimal = Decimal(0)
    taker_bps: Decimal = Decimal(0)
    settle_ns: int = 0
    """0: 180 days behind its creation."""

    def __post_init__(self) -> None:
        """
        Raises:
            ValueError: a tick that outcome markets do not have, or names that are none.
        """
        if self.tick not in TICKS:
            raise ValueError(f"a tick is one of {[str(one) for one in TICKS]}")
        if not self.slug or len(set(self.outcomes)) != 2 or self.min_shares <= 0:
            raise ValueError("a market has a slug, two different outcomes and a least size")

    @property
    def lot(self) -> Decimal:
        """The smallest size that the engine can hold at this tick, and 0.01 shares at most."""
        return min(Decimal("0.01"), Decimal(1) / MICRO / self.tick)

    @property
    def condition_id(self) -> str:
        """0x and 64 digits."""
        return "0x" + hashlib.blake2b(f"condition/{self.slug}".encode(), digest_size=32).hexdigest()

    @property
    def question_id(self) -> str:
        """0x and 64 digits."""
        return "0x" + hashlib.blake2b(f"question/{self.slug}".encode(), digest_size=32).hexdigest()

    def token_id(self, outcome: int) -> str:
        """A number of 256 bits in decimal digits."""
        text = f"token/{self.slug}/{outcome}".encode()
        return str(int.from_bytes(hashlib.blake2b(text, digest_size=32).digest()))


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """One outcome of one market: what is bought and sold."""

    token_id: str
    outcome: int
    name: str
    market: ListedOutcome


class ListedOutcome(msgspec.Struct, kw_only=True):
    """A market that exists."""

    handle: int
    rules: OutcomeMarket
    condition_id: str
    settle_ns: int
    tokens: tuple[Token, ...] = ()

    @property
    def payout_ticks(self) -> int:
        """Price of a whole share in ticks."""
        return int(1 / self.rules.tick)


class OutcomeRequest(msgspec.Struct, frozen=True, kw_only=True):
    """An order for a token. `reference` is the client's name of it, unique for ever."""

    token_id: str
    side: Side
    price_ticks: int
    lots: int
    order_type: str
    """GTC, GTD, FOK or FAK."""
    post_only: bool = False
    expires_ns: int = 0
    reference: str
    maker: str = ""
    """The wallet, as clients write it."""
    owner: str = ""
    """The API key with which it came."""


class OutcomeOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order as the exchange knows it now; side and price are of its token."""

    order_id: int
    account: str
    reference: str
    token: Token
    side: Side
    price_ticks: int
    lots: int
    filled_lots: int
    order_type: str
    post_only: bool
    expires_ns: int
    maker: str
    owner: str
    phase: OrderPhase
    reason: str
    created_ns: int
    updated_ns: int
    cost: Decimal
    """USDC of what was filled, in prices of the token."""
    fee: Decimal
    trade_ids: tuple[str, ...]


class Party(msgspec.Struct, frozen=True, kw_only=True):
    """One side of a trade, in its own token, side and price."""

    account: str
    reference: str
    token: Token
    side: Side
    price_ticks: int
    maker: str
    owner: str
    fee: Decimal


class OutcomeTrade(msgspec.Struct, frozen=True, kw_only=True):
    """One execution. The two tokens differ when it minted or merged sets."""

    trade_id: str
    number: int
    """Grows by one in a market, from 1."""
    market: ListedOutcome
    lots: int
    kind: str
    """transfer, mint or merge"""
    taker: Party
    resting: Party
    time_ns: int


class TokenBook(msgspec.Struct, frozen=True, kw_only=True):
    """The book of one token, best first, in its own prices."""

    token: Token
    bids: tuple[tuple[int, int], ...]
    asks: tuple[tuple[int, int], ...]
    time_ns: int


class TokenChange(msgspec.Struct, frozen=True, kw_only=True):
    """Levels of outcome 0 that changed, with their new absolute lots (0: gone)."""

    market: ListedOutcome
    bids: tuple[tuple[int, int], ...]
    asks: tuple[tuple[int, int], ...]
    update_id: int
    time_ns: int


class OrderNews(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """placed, changed or ended"""

    order: OutcomeOrder
    what: str
    time_ns: int


class TradeNews(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """An execution of an account; both roles when it was both."""

    trade: OutcomeTrade
    role: str
    """taker or maker"""


OutcomeNews = OrderNews | TradeNews


class Shares(msgspec.Struct, frozen=True, kw_only=True):
    """What an account holds of a token; `held` secures its open sales."""

    token: Token
    free: Decimal
    held: Decimal
