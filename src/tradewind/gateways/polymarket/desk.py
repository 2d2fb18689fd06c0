"""What every part of the Polymarket gateway needs: exchange, wallets, who is asking, limits, options."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from decimal import Decimal
from typing import Final

import msgspec

from tradewind.gateways.exchange import Exchange
from tradewind.gateways.exchange_outcomes import OutcomeConfiguration, OutcomeExchange
from tradewind.gateways.outcome_model import OutcomeMarket, OutcomeTrade, Token
from tradewind.gateways.polymarket import errors
from tradewind.gateways.polymarket.auth import Authenticator
from tradewind.gateways.polymarket.errors import PolymarketError
from tradewind.gateways.polymarket.limits import ServerLimits
from tradewind.gateways.polymarket.numbers import NS_PER_S
from tradewind.gateways.polymarket.wallets import WalletBook, WalletOf
from tradewind.venues.polymarket.typed_data import POLYGON

DEFAULT_GRANT: Final = Decimal(100_000)
MAX_TOKEN_DIGITS: Final = 78


class PolymarketOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How a gateway serves."""

    configuration: OutcomeConfiguration = OutcomeConfiguration(grant=DEFAULT_GRANT)
    """Markets, and what every account of the exchange is credited."""
    wallets: tuple[WalletOf, ...] = ()
    """Who acts for whom. Empty: a wallet is made for every account, beside the key file."""
    chain_id: int = POLYGON
    heartbeat_s: float = 10.0
    """Behind the last heartbeat every order of the account is cancelled, once it has sent one."""
    mined_s: float = 0.5
    confirmed_s: float = 1.0
    """When a match is told to be mined and confirmed. The engine's trades are final at once."""
    limits: bool = True
    limits_public: bool = True

    def __post_init__(self) -> None:
        """
        Raises:
            ValueError: moments out of their order.
        """
        if not 0 <= self.mined_s <= self.confirmed_s or self.heartbeat_s <= 0:
            raise ValueError("a trade is matched, mined, confirmed; a heartbeat has a span")


class Desk:
    """Made when the gateway starts; `outcomes` is open then."""

    def __init__(self, exchange: Exchange, outcomes: OutcomeExchange, options: PolymarketOptions,
                 wallets: WalletBook) -> None:  # fmt: skip
        self.exchange = exchange
        self.outcomes = outcomes
        self.options = options
        self.wallets = wallets
        self.authenticator = Authenticator(exchange.keys, wallets, options.chain_id)
        self.limits = ServerLimits()
        self.book_rows: dict[str, tuple[int, dict[str, object]]] = {}
        """Token -> number of the book's last change and its row then: all readers share one hash."""

    def now_ns(self) -> int:
        """Wall time of the exchange, ns since 1970."""
        return self.exchange.now_ns()

    def token(self, text: str) -> Token:
        """A token by its id. Raises `PolymarketError`: 400 no number, 404 no market of it."""
        if not text.isascii() or not text.isdigit() or len(text) > MAX_TOKEN_DIGITS:
            raise PolymarketError(400, errors.INVALID_TOKEN)
        found = self.outcomes.tokens.get(text)
        if found is None:
            raise PolymarketError(404, errors.NO_BOOK)
        return found

    def trade_status(self, trade: OutcomeTrade, now_ns: int) -> str:
        """MATCHED, MINED or CONFIRMED: a function of its age, the same behind a restart."""
        age_s = (now_ns - trade.time_ns) / NS_PER_S
        if age_s >= self.options.confirmed_s:
            return "CONFIRMED"
        return "MINED" if age_s >= self.options.mined_s else "MATCHED"


def shown_owner(owner: str, account: str, reader: str) -> str:
    """An API key as a reader may see it: the own one, else a name that stands for it. Whoever knows a key's
    name could have it locked by bad signatures.
    """
    if account == reader or not owner:
        return owner
    digest = hashlib.blake2b(owner.encode(), digest_size=16, person=b"shown-owner").digest()
    return str(uuid.UUID(bytes=digest, version=4))


def fee_bps_text(market: OutcomeMarket) -> str:
    """The taker fee of a market in whole basis points."""
    return str(int(market.taker_bps))


Fields = Mapping[str, object]
