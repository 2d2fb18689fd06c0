"""The three outside venues of the drills: what is served, with which account and market, how a desk connects.

Everything is the shipped code over sockets of this machine; only waiting times are shorter than in service.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar, Final

import msgspec

from tradewind.gateways.binance.gateway import BinanceGateway
from tradewind.gateways.binance.streams import StreamOptions
from tradewind.gateways.binance.windows import DEFAULT_LIMITS
from tradewind.gateways.exchange import Exchange
from tradewind.gateways.exchange_outcomes import OutcomeConfiguration, OutcomeExchange
from tradewind.gateways.kraken.desk import KrakenOptions as KrakenServing
from tradewind.gateways.kraken.gateway import build as build_kraken
from tradewind.gateways.model import Order, PlaceRequest
from tradewind.gateways.outcome_model import OutcomeMarket, OutcomeOrder, OutcomeRequest, Token
from tradewind.gateways.polymarket.desk import PolymarketOptions as PolymarketServing
from tradewind.gateways.polymarket.gateway import PolymarketGateway
from tradewind.gateways.polymarket.gateway import build as build_polymarket
from tradewind.gateways.polymarket.wallets import WalletOf
from tradewind.gateways.server import Gateway
from tradewind.readiness.errors import CannotMeasureError
from tradewind.venues.binance.assemble import open_binance
from tradewind.venues.binance.connector import BinanceOptions
from tradewind.venues.binance.encode import BinanceKey
from tradewind.venues.binance.live import SPOT
from tradewind.venues.kraken.assemble import Credentials, open_kraken
from tradewind.venues.kraken.connector import KrakenOptions
from tradewind.venues.kraken.live import KrakenEndpoints
from tradewind.venues.limits import Gate, KrakenLimits, SlidingLimits
from tradewind.venues.limits.counting import DecayingCounter, TokenBucket
from tradewind.venues.limits.sliding import Rule as Window
from tradewind.venues.limits.sliding import polymarket_rules
from tradewind.venues.market_data import Side
from tradewind.venues.polymarket import wallet as signing
from tradewind.venues.polymarket.connector import PolymarketOptions, PolymarketVenue
from tradewind.venues.polymarket.intents import Intent, IntentBook
from tradewind.venues.polymarket.rest import Credentials as PolymarketCredentials
from tradewind.venues.polymarket.rest import PolymarketRest
from tradewind.venues.polymarket.wallet import Wallet
from tradewind.venues.protocol import OrderPhase, TimeInForce
from tradewind.venues.transport.backoff import BackoffPolicy
from tradewind.venues.transport.keys import KeyFolder
from tradewind.venues.transport.lease import KeyLock
from tradewind.venues.transport.private_http import PrivateHttp
from tradewind.venues.transport.private_link import PrivateLimits
from tradewind.venues.transport.signer import SignerLane

ACCOUNT: Final = "trader"
OUTSIDE: Final = "taker"
MAX_ORDERS: Final = 10_000
DEADLINE_S: Final = 1.0
"""Acceptance horizon of a submit; also how long an answer is awaited."""
MARGIN_S: Final = 0.2
SKEW_S: Final = 0.1
BINANCE_SCALE: Final = 0.02
INTENTS: Final = "intents.jsonl"
RAIN: Final = OutcomeMarket(
    slug="rain", question="Rain?", tick=Decimal("0.0001"), maker_bps=Decimal(0), taker_bps=Decimal(10)
)
"""The venue charges who takes. It tells rates of fees, not amounts: for a resting purchase our engine's
rounding depends on what the order held, which no row of the venue tells.
"""
GRANT: Final = Decimal(100_000)
SETS: Final = Decimal(20_000)


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a desk works. It goes to child processes by their standard input: it has secrets."""

    data: str
    url: str
    socket_url: str
    key: str
    secret: str
    venue: str = "kraken"
    passphrase: str = ""
    wallet: str = ""
    hurried: bool = False
    """The venue counts requests as if it were many times as large: lives follow each other at once."""

    def __repr__(self) -> str:
        return f"Place({self.venue}, {self.data}, {self.url})"


class VenueOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order of our account as the exchange itself has it."""

    client_id: str
    order_id: int
    phase: OrderPhase
    price_ticks: int
    lots: int
    filled_lots: int


class Site(ABC):
    """One venue in front of one exchange, seen from behind the wire. Prices in ticks, sizes in lots."""

    name: ClassVar[str]
    symbol: ClassVar[str]
    price_ticks: ClassVar[int]
    lots: ClassVar[int]
    funds: ClassVar[dict[str, Decimal]]
    deep: ClassVar[dict[str, Decimal]]
    requests: ClassVar[dict[str, tuple[str, str]]]
    """Surface and name, as a plan of faults has them, of the requests: place, cancel, amend, and ask."""
    channels: ClassVar[tuple[str, ...]]
    """Streams by which orders and executions are told."""
    order_bytes: ClassVar[bytes]
    """With what the bytes of a new order begin, or what is in them over a socket."""

    def __init__(self, exchange: Exchange, *, hurried: bool = False) -> None:
        self.exchange, self.hurried = exchange, hurried
        self.gateway: Gateway = self.make()

    @abstractmethod
    def make(self) -> Any:
        """A gateway that does not serve yet."""

    async def begin(self) -> int:
        """Serve for the first time; returns the port."""
        return await self.gateway.start()

    def place(self, data: Path) -> Place:
        """For a desk whose files are in this folder."""
        key = self.exchange.keys.of_account(ACCOUNT)[0]
        return Place(
            data=str(data), url=self.gateway.url, socket_url=self.gateway.socket_url, venue=self.name,
            key=key.key, secret=self.secret_of(key.secret), hurried=self.hurried,
        )  # fmt: skip

    def secret_of(self, secret: bytes) -> str:
        """The secret as clients of the venue are told it."""
        return secret.decode()

    async def trade(self, account: str, side: Side, price_ticks: int, lots: int, *, immediate: bool) -> int:
        """Somebody places an order behind the wire; its number. Raises CannotMeasureError when refused."""
        request = PlaceRequest(
            symbol=self.symbol,
            side=side,
            price_ticks=price_ticks,
            lots=lots,
            time_in_force=TimeInForce.IOC if immediate else TimeInForce.GTC,
        )
        answer = await self.exchange.place(account, request)
        if not isinstance(answer, Order):
            raise CannotMeasureError(f"{account} was refused: {answer}")
        return answer.order_id

    async def end(self, order_id: int) -> None:
        """Somebody else ends an order of our account."""
        await self.exchange.cancel(ACCOUNT, order_id)

    def orders(self, *, working: bool) -> list[VenueOrder]:
        """Orders of our account."""
        return [
            VenueOrder(
                client_id=one.client_id, order_id=one.order_id, phase=one.phase,
                price_ticks=one.price_ticks, lots=one.lots, filled_lots=one.filled_lots,
            )
            for one in self.exchange.orders(ACCOUNT, working=working, limit=MAX_ORDERS)
        ]  # fmt: skip

    def totals(self) -> dict[str, Decimal]:
        """What our account has, by asset."""
        return {one.asset: one.free + one.held for one in self.exchange.funds(ACCOUNT)}

    @staticmethod
    @abstractmethod
    def connect(place: Place, reconnect: BackoffPolicy) -> AbstractAsyncContextManager[Any]:
        """A connector that is not connected yet."""


class KrakenSite(Site):
    """Kraken spot."""

    name = "kraken"
    symbol = "BTC/USD"
    price_ticks = 600_000
    lots = 100
    funds: ClassVar = {"USD": Decimal(100_000)}
    deep: ClassVar = {"USD": Decimal(10_000_000), "BTC": Decimal(500)}
    requests: ClassVar = {
        "place": ("ws-api", "add_order"),
        "cancel": ("ws-api", "cancel_order"),
        "amend": ("ws-api", "amend_order"),
        "ask": ("rest", "*Orders*"),
    }
    channels = ("executions",)
    order_bytes = b"add_order"

    def make(self) -> Gateway:
        """See `Site`."""
        return build_kraken(self.exchange, KrakenServing(limits_public=False))

    async def begin(self) -> int:
        """See `Site`."""
        if self.hurried:
            self.gateway.desk.limits.private = lambda *_: None  # type: ignore[attr-defined]  # not counted
        return await super().begin()

    def secret_of(self, secret: bytes) -> str:
        """See `Site`."""
        return base64.b64encode(secret).decode()

    @staticmethod
    def connect(place: Place, reconnect: BackoffPolicy) -> AbstractAsyncContextManager[Any]:
        """See `Site`."""
        socket_url = f"{place.socket_url}/v2"
        options = KrakenOptions(
            endpoints=KrakenEndpoints(websocket_url=socket_url, rest_url=place.url),
            private_url=socket_url,
            deadline_s=DEADLINE_S,
            answer_timeout_s=DEADLINE_S,
            verify_timeout_s=DEADLINE_S,
            clock_skew_s=SKEW_S,
            absence_margin_s=MARGIN_S,
            book_depth=100,
            link=PrivateLimits(step_timeout_s=5.0),
            reconnect=reconnect,
        )
        keys = KeyFolder(Path(place.data) / "keys")
        credentials = Credentials(place.key, place.secret)
        connecting = open_kraken(credentials, keys, account=ACCOUNT, tier="pro", options=options)
        return _uncounted(connecting) if place.hurried else connecting


class BinanceSite(Site):
    """Binance spot, with an HMAC key."""

    name = "binance"
    symbol = "BTC/USDT"
    price_ticks = 6_000_000
    lots = 100
    funds: ClassVar = {"USDT": Decimal(100_000)}
    deep: ClassVar = {"USDT": Decimal(10_000_000), "BTC": Decimal(500)}
    requests: ClassVar = {
        "place": ("rest", "POST /api/v3/order"),
        "cancel": ("rest", "DELETE /api/v3/order"),
        "amend": ("rest", "POST /api/v3/order/cancelReplace"),
        "ask": ("rest", "GET /api/v3/order"),
    }
    channels = ("userDataStream",)
    order_bytes = b"POST /api/v3/order"

    def make(self) -> Gateway:
        """See `Site`."""
        options = StreamOptions(interval_scale=BINANCE_SCALE, messages_per_s=1_000)
        factor = 100 if self.hurried else 1
        limits = tuple(msgspec.structs.replace(one, limit=one.limit * factor) for one in DEFAULT_LIMITS)
        return BinanceGateway(self.exchange, limits=limits, options=options)

    def orders(self, *, working: bool) -> list[VenueOrder]:
        """A changed price is a new order in place of a cancelled one, both with our id: one order. Anything
        else with the same id twice stays two.
        """
        legs = [(one, False) for one in super().orders(working=False)]
        legs += [(one, True) for one in super().orders(working=True)]
        found: list[tuple[VenueOrder, bool]] = []
        for leg, rests in sorted(legs, key=lambda one: one[0].order_id):
            before = next((one for one in found if one[0].client_id == leg.client_id), None)
            if before is None or before[0].phase is not OrderPhase.CANCELLED:
                found.append((leg, rests))
                continue
            found.remove(before)
            filled = before[0].filled_lots
            whole = msgspec.structs.replace(leg, lots=leg.lots + filled, filled_lots=leg.filled_lots + filled)
            found.append((whole, rests))
        return [one for one, rests in found if rests is working]

    @staticmethod
    def connect(place: Place, reconnect: BackoffPolicy) -> AbstractAsyncContextManager[Any]:
        """See `Site`."""
        options = BinanceOptions(
            endpoints=msgspec.structs.replace(SPOT, rest_url=place.url, websocket_url=place.socket_url),
            private_url=f"{place.socket_url}/ws-api/v3",
            symbols=(BinanceSite.symbol,),
            window_ms=int(DEADLINE_S * 1_000),
            answer_timeout_s=DEADLINE_S,
            absence_margin_s=MARGIN_S,
            clock_skew_s=SKEW_S,
            link=PrivateLimits(step_timeout_s=5.0),
            reconnect=reconnect,
        )
        keys = KeyFolder(Path(place.data) / "keys")
        key = BinanceKey(place.key, place.secret)
        connecting = open_binance(key, keys, account=ACCOUNT, options=options)
        return _uncounted(connecting) if place.hurried else connecting


class PolymarketSite(Site):
    """Polymarket's CLOB. The venue has no client ids: ours are in the desk's book of signed intents."""

    name = "polymarket"
    symbol = "RAIN-YES/USDC"
    price_ticks = 4_000
    lots = 1_000
    funds: ClassVar = {}
    deep: ClassVar = {}
    requests: ClassVar = {
        "place": ("rest", "POST /order"),
        "cancel": ("rest", "DELETE /order"),
        "ask": ("rest", "GET /data/order*"),
    }
    channels = ("order", "trade")
    order_bytes = b"POST /order "
    gateway: PolymarketGateway

    def __init__(self, exchange: Exchange, *, hurried: bool = False) -> None:
        # of this exchange alone, and the same behind a restart of the gateway
        self._secret = hashlib.blake2b(b"drill/wallet", digest_size=32).hexdigest()
        self._made = 0
        self._folders: dict[Path, None] = {}
        super().__init__(exchange, hurried=hurried)

    def make(self) -> PolymarketGateway:
        """See `Site`. Raises CannotMeasureError without the packages that sign."""
        if not signing.available():
            raise CannotMeasureError(f"the packages of {signing.EXTRA} are not installed")
        wallet = WalletOf(address=Wallet.from_text(self._secret).address(), account=ACCOUNT)
        return build_polymarket(
            self.exchange,
            PolymarketServing(
                configuration=OutcomeConfiguration(markets=(RAIN,), grant=GRANT),
                wallets=(wallet,),
                mined_s=0.01,
                confirmed_s=0.02,
                limits=False,
                limits_public=False,
            ),
        )

    @property
    def outcomes(self) -> OutcomeExchange:
        """The outcome markets of the exchange."""
        return self.gateway.desk.outcomes

    @property
    def token(self) -> Token:
        """What is traded."""
        return next(iter(self.outcomes.markets.values())).tokens[0]

    async def begin(self) -> int:
        """See `Site`."""
        port = await super().begin()
        refused = await self.outcomes.mint(OUTSIDE, self.token.market, SETS)
        if refused is not None:
            raise CannotMeasureError(f"the taker has no shares: {refused.message}")
        return port

    def place(self, data: Path) -> Place:
        """See `Site`."""
        self._folders[data] = None
        owner = self.gateway.desk.wallets.find(Wallet.from_text(self._secret).address())
        if owner is None:
            raise CannotMeasureError("the gateway does not know our wallet")
        made = (one for one in self.exchange.keys.of_account(ACCOUNT) if one.passphrase)
        key = next(made, None) or self.gateway.desk.authenticator.create(owner, 0)
        return Place(
            data=str(data), url=self.gateway.url, socket_url=self.gateway.socket_url, venue=self.name,
            key=key.key, secret=base64.b64encode(key.secret).decode(), passphrase=key.passphrase,
            wallet=self._secret, hurried=self.hurried,
        )  # fmt: skip

    async def trade(self, account: str, side: Side, price_ticks: int, lots: int, *, immediate: bool) -> int:
        """See `Site`."""
        self._made += 1
        request = OutcomeRequest(
            token_id=self.token.token_id,
            side=side,
            price_ticks=price_ticks,
            lots=lots,
            order_type="FAK" if immediate else "GTC",
            reference=f"outside-{self._made}",
        )
        answer = await self.outcomes.place(account, request)
        if not isinstance(answer, OutcomeOrder):
            raise CannotMeasureError(f"{account} was refused: {answer}")
        return answer.order_id

    async def end(self, order_id: int) -> None:
        """See `Site`."""
        await self.outcomes.cancel(ACCOUNT, [self.outcomes.views.records[order_id].reference])

    def orders(self, *, working: bool) -> list[VenueOrder]:
        """See `Site`. An order without an intent has the hash for its client id."""
        names = {one.reference: one.client_id for folder in self._folders for one in _intents(folder)}
        views = self.outcomes.views
        found = [
            views.order(one)
            for one in list(views.records.values())
            if one.account == ACCOUNT and (one.order_id in views.orders.open) is working
        ]
        return [
            VenueOrder(
                client_id=names.get(one.reference, one.reference), order_id=one.order_id, phase=one.phase,
                price_ticks=one.price_ticks, lots=one.lots, filled_lots=one.filled_lots,
            )
            for one in found
        ]  # fmt: skip

    def totals(self) -> dict[str, Decimal]:
        """See `Site`."""
        free, held = self.outcomes.collateral(ACCOUNT)
        totals = {"USDC": free + held}
        for token in self.token.market.tokens:
            one = self.outcomes.holding(ACCOUNT, token)
            totals[f"RAIN-{token.name.upper()}"] = one.free + one.held
        return totals

    @staticmethod
    def connect(place: Place, reconnect: BackoffPolicy) -> AbstractAsyncContextManager[Any]:
        """See `Site`."""
        return _open_polymarket(place, reconnect)


@contextlib.asynccontextmanager
async def _uncounted(connecting: AbstractAsyncContextManager[Any]) -> AsyncIterator[Any]:
    """For lives that follow each other at once: what the one before has asked does not count. Kraken's
    figures are facts and no options, so its counters are replaced.
    """
    async with connecting as venue:
        limits = venue.rest.limits
        limits._lost = False
        if isinstance(limits, KrakenLimits):
            limits._rest = DecayingCounter(20_000, Decimal(1_000))
            limits._public = DecayingCounter(20_000, Decimal(1_000))
            limits._rest_smoother = TokenBucket(Decimal(1_000), 20_000)
        yield venue


@contextlib.asynccontextmanager
async def _open_polymarket(place: Place, reconnect: BackoffPolicy) -> AsyncIterator[PolymarketVenue]:
    data = Path(place.data)
    limits = SlidingLimits(
        [
            Window(name=one.name, limit=one.published or one.limit, span_ns=one.span_ns, cancels=one.cancels)
            for one in polymarket_rules()
        ]
    )  # with as much room as the venue publishes: a drill asks faster than a trader
    gate = Gate(limits, unused=lambda items: limits.done(items, time.monotonic_ns()))
    lane = SignerLane(
        PrivateHttp(place.url, max_connections=4),
        lock=KeyLock(data / "keys", "polymarket"),
        stamp_ms=lambda: time.time_ns() // 1_000_000,
    )
    public = PrivateHttp(place.url)
    rest = PolymarketRest(
        lane,
        public,
        wallet=Wallet.from_text(place.wallet),
        credentials=PolymarketCredentials(place.key, base64.b64decode(place.secret), place.passphrase),
        limits=limits,
        gate=gate,
    )
    intents = IntentBook(data / INTENTS)
    venue = PolymarketVenue(
        rest,
        ACCOUNT,
        intents,
        PolymarketOptions(
            market_url=f"{place.socket_url}/ws/market",
            user_url=f"{place.socket_url}/ws/user",
            answer_timeout_s=DEADLINE_S,
            horizon_s=DEADLINE_S,
            absence_margin_s=0.7,
            clock_skew_s=SKEW_S,
            fill_wait_s=0.5,
            heartbeats=False,  # a desk that was killed shall find its orders again
            link=PrivateLimits(step_timeout_s=5.0),
            reconnect=reconnect,
        ),
    )
    try:
        yield venue
    finally:
        await venue.close()
        gate.close()
        await lane.close()
        await public.close()
        intents.close()


def _intents(folder: Path) -> list[Intent]:
    """What a desk has signed so far; a last line that is torn was never sent."""
    path = folder / INTENTS
    if not path.exists():
        return []
    lines = path.read_bytes().split(b"\n")[:-1]
    return [msgspec.json.decode(line, type=Intent) for line in lines]


SITES: Final[dict[str, type[Site]]] = {one.name: one for one in (KrakenSite, BinanceSite, PolymarketSite)}
