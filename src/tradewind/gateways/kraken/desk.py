"""What REST and WebSocket share: names, formats, keys, tokens, limits, the state of the exchange."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from tradewind.gateways.exchange import Exchange, Subscription
from tradewind.gateways.kraken import errors, ids
from tradewind.gateways.kraken.auth import Authenticator
from tradewind.gateways.kraken.errors import KrakenError
from tradewind.gateways.kraken.limits import ServerLimits
from tradewind.gateways.kraken.nonces import NonceStore
from tradewind.gateways.kraken.rows import PairFormat
from tradewind.gateways.kraken.symbols import AssetName, Names, PairName
from tradewind.gateways.kraken.tokens import TokenStore
from tradewind.gateways.model import AccountEvent, Fill, Kind, OrderChanged
from tradewind.venues.protocol import FINAL_PHASES, VenueState

NONCE_FILE: Final = "kraken-nonces"
SYSTEM_STATES: Final = {
    VenueState.ONLINE: "online",
    VenueState.POST_ONLY: "post_only",
    VenueState.LIMIT_ONLY: "limit_only",
    VenueState.REDUCE_ONLY: "reduce_only",
    VenueState.CANCEL_ONLY: "cancel_only",
    VenueState.MAINTENANCE: "maintenance",
    VenueState.DELISTED: "delisted",
    VenueState.UNKNOWN: "maintenance",
}
"""The venue's words. What is not known is not open for business."""


class KrakenOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Choices of a gateway. `tiers`: account -> starter, intermediate or pro, where it is not `tier`."""

    tier: str = "pro"
    tiers: Mapping[str, str] = {}
    limits_public: bool = True
    """Whether public REST calls are counted (1 a second, burst 5, per address)."""
    limits_private: bool = True
    """Whether private REST calls are counted (15 to 20 points a key). Trading is counted in any case."""
    nonce_path: Path | None = None
    """File of the highest nonces; None: `kraken-nonces` beside the key file."""
    heartbeat_s: float = 1.0
    version: str = "2.0.10"


class Desk:
    """One per gateway; belongs to the exchange's loop."""

    def __init__(self, exchange: Exchange, options: KrakenOptions) -> None:
        """Raises `UnknownTier`, `ValueError` (two markets share a name), `OSError` (nonce file)."""
        self.exchange, self.options = exchange, options
        self.nonces = NonceStore(options.nonce_path or exchange.keys.path.with_name(NONCE_FILE))
        self.authenticator = Authenticator(exchange.keys, self.nonces)
        self.tokens = TokenStore()
        self.limits = ServerLimits(options.tier, options.tiers)
        self.names = Names(exchange.markets)
        self._formats: dict[str, PairFormat] = {}
        self._watched: dict[str, Subscription] = {}

    def close(self) -> None:
        """Ends listening and closes the nonce file."""
        for subscription in self._watched.values():
            subscription.close()
        self._watched.clear()
        self.nonces.close()

    def now_ns(self) -> int:
        """Wall time of the exchange, ns since 1970."""
        return self.exchange.now_ns()

    # ---- names -----------------------------------------------------------------------------------------

    def pair(self, symbol: str) -> PairFormat:
        """Format of a market of the exchange by its canonical symbol; it follows changes of the market."""
        market = self.exchange.markets[symbol]
        found = self._formats.get(symbol)
        if found is None or found.market is not market:
            if symbol not in self.names.pairs:
                self.names = Names(self.exchange.markets)
            base, quote = (self.names.assets[half] for half in symbol.split("/"))
            found = self._formats[symbol] = PairFormat(market, self.names.pairs[symbol], base, quote)
        return found

    def find_pair(self, name: str) -> tuple[PairName, PairFormat]:
        """A pair by any of its names. Raises `KrakenError`."""
        found = self.names.pair(name)
        if found is None:
            raise KrakenError(errors.UNKNOWN_PAIR)
        return found, self.pair(found.canonical)

    def find_asset(self, name: str) -> AssetName:
        """An asset by any of its names. Raises `KrakenError`."""
        found = self.names.asset(name)
        if found is None:
            raise KrakenError(errors.UNKNOWN_ASSET)
        return found

    def asset(self, canonical: str) -> AssetName:
        """Names of an asset that the exchange lists, traded or not."""
        return self.names.assets.get(canonical) or Names((), [canonical]).assets[canonical]

    def order_number(self, txid: str) -> int:
        """The exchange's number of an order id. Raises `KrakenError`."""
        number = ids.order_number(txid)
        if number is None:
            raise KrakenError(errors.INVALID_ORDER if len(txid) != ids.LENGTH else errors.UNKNOWN_ORDER)
        return number

    # ---- state -----------------------------------------------------------------------------------------

    @property
    def system(self) -> str:
        """The state of the whole venue, in its words."""
        return SYSTEM_STATES[self.exchange.mode]

    def pair_status(self, symbol: str) -> str:
        """The state of a pair, in the venue's words."""
        return SYSTEM_STATES[self.exchange.markets[symbol].state]

    # ---- accounts --------------------------------------------------------------------------------------

    def watch(self, account: str) -> None:
        """Follows which orders of an account work, for its engine counters. Costs nothing the second time."""
        if account in self._watched:
            return

        def on_event(event: AccountEvent) -> None:
            if isinstance(event, OrderChanged):
                order = event.order
                if order.phase in FINAL_PHASES:
                    self.limits.gone(account, order.symbol, order.order_id)

        self._watched[account] = self.exchange.listen_account(account, on_event)
        for order in reversed(self.exchange.orders(account, working=True, limit=10_000)):
            # oldest first, each at its own moment: the model's clock never goes back
            self.limits.working(account, order.symbol, order.order_id, order.created_ns)

    def kind_of(self, account: str, order_id: int) -> Kind:
        """The kind of an order; a limit order where the exchange does not keep it any more."""
        order = self.exchange.order(account, order_id=order_id)
        return Kind.LIMIT if order is None else order.kind

    def fill(self, account: str, number: int) -> Fill | None:
        """A fill of an account by its number."""
        fills = self.exchange.fills(account, since_ns=1, since_fill_id=number - 1, limit=1) if number else []
        return fills[0] if fills and fills[0].fill_id == number else None
