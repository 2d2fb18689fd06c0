"""What an exchange behind a gateway is made of: its configuration, and the commands that create it.

Everything is created once and found again at the next start: the same configuration on the same directory
changes nothing. A market or an account that a later configuration adds is created then; nothing is ever
removed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from tradewind.core import commands as build
from tradewind.core.engine import GenesisConfig, Grant
from tradewind.core.enums import AssetFlag, MarketKind, Role
from tradewind.core.native import derive_account_id
from tradewind.core.units import to_micros
from tradewind.node.limits import NodeLimits
from tradewind.node.projections.directory import AccountsView, AssetsView, MarketsView
from tradewind.node.projections.feeds import NO_FEED, FeedsView
from tradewind.node.projections.vault import VaultView
from tradewind.node.service import NodeService
from tradewind.venues.market_data import Instrument
from tradewind.venues.paper.schedule import fee_e6bp
from tradewind.venues.paper.setup import market_nonce, paper_instrument

if TYPE_CHECKING:
    from tradewind.security.attesting import Signer

MICRO: Final = 1_000_000
GRANT_NS: Final = 360 * 86_400 * 10**9
BAND_BP: Final = 1_000
SLIPPAGE_BP: Final = 100
ENGINE_MIN_NOTIONAL_MICRO: Final = 1
ENGINE_MAX_NOTIONAL_MICRO: Final = 10**15
MAX_OPEN_ORDERS: Final = 200
"""Open orders of an account in one market: the engine's own bound."""
RATE_CLASS: Final = 2
"""50,000 commands a second: what a client may send is the business of its gateway."""
HOUSE: Final = "house"
HOUSE_TAKER: Final = "house-taker"
HOUSE_ACCOUNTS: Final = (HOUSE, HOUSE_TAKER)
HOUSE_FUNDS_MICRO: Final = 10**16
ORACLES: Final = ("oracle-1", "oracle-2", "oracle-3")
COVER: Final = "vault-provider"
"""Whose money covers leveraged positions: without a vault the engine takes no leveraged risk."""
COVER_MICRO: Final = 500_000_000 * MICRO
MAX_LEVERAGE_FIELD: Final = 1
POSITION_LIMIT_FIELD: Final = 16
NEVER_NS: Final = 2**63 - 1


class SetupRefused(Exception):
    """The engine refused a step for another reason than that it was done already, or a figure is wrong."""

    code = "SetupRefused"


class SpotMarket(msgspec.Struct, frozen=True, kw_only=True):
    """A spot market to list: steps and bounds in units of the assets, fees in basis points."""

    symbol: str
    tick: Decimal
    lot: Decimal
    min_quantity: Decimal
    max_quantity: Decimal
    min_notional: Decimal
    max_notional: Decimal
    maker_bps: Decimal
    taker_bps: Decimal
    start_price: Decimal
    """Around which generated liquidity begins."""

    def instrument(self, venue: str) -> Instrument:
        """As the engine can hold it: where tick x lot is finer than a micro-unit, the lot is coarser."""
        base, _, quote = self.symbol.partition("/")
        return self._held(venue, base, quote)

    def _held(self, venue: str, base: str, quote: str) -> Instrument:
        wanted = Instrument(
            venue=venue,
            symbol=self.symbol,
            venue_symbol=base + quote,
            base=base,
            quote=quote,
            tick=self.tick,
            lot=self.lot,
            min_quantity=self.min_quantity,
            max_quantity=self.max_quantity,
            min_notional=self.min_notional,
            max_notional=self.max_notional,
            price_decimals=decimals_of(self.tick),
            quantity_decimals=decimals_of(self.lot),
            source="exchange",
        )
        held, _ = paper_instrument(wanted)
        return msgspec.structs.replace(held, quantity_decimals=decimals_of(held.lot), source="exchange")


class PerpetualMarket(SpotMarket, frozen=True, kw_only=True):
    """A perpetual market, named `BTC/USDT:USDT`: it settles in its quote asset.

    The engine allows at most what its coverage, the size of the position and the account's suitability do.
    """

    max_leverage: int = 20
    position_limit: Decimal = Decimal(10_000_000)

    def instrument(self, venue: str) -> Instrument:
        """As the engine can hold it."""
        pair, _, settles = self.symbol.partition(":")
        base, _, quote = pair.partition("/")
        if not base or quote != settles:
            raise ValueError(f"a perpetual market is named BASE/QUOTE:QUOTE, not {self.symbol!r}")
        return self._held(venue, base, quote)


def decimals_of(step: Decimal) -> int:
    """Decimals that a multiple of `step` needs."""
    return max(0, -int(step.normalize().as_tuple().exponent))


def _spot(
    symbol: str, steps: tuple[str, str], quantities: tuple[str, str], cost: str, price: str
) -> SpotMarket:
    """Tick and lot, least and most quantity, least value, opening price."""
    (tick, lot), (low, high) = steps, quantities
    return SpotMarket(
        symbol=symbol,
        tick=Decimal(tick),
        lot=Decimal(lot),
        min_quantity=Decimal(low),
        max_quantity=Decimal(high),
        min_notional=Decimal(cost),
        max_notional=Decimal(9_000_000),
        maker_bps=Decimal(10),
        taker_bps=Decimal(10),
        start_price=Decimal(price),
    )


DEFAULT_MARKETS: Final = (
    _spot("BTC/USD", ("0.1", "0.00001"), ("0.00005", "10000"), "0.5", "60000"),
    _spot("ETH/USD", ("0.01", "0.0001"), ("0.001", "100000"), "0.5", "3000"),
    _spot("BTC/USDT", ("0.01", "0.0001"), ("0.0001", "9000"), "5", "60000"),
    _spot("ETH/USDT", ("0.01", "0.0001"), ("0.0001", "9000"), "5", "3000"),
    _spot("SOL/USDT", ("0.01", "0.001"), ("0.001", "90000"), "5", "150"),
)


def _perpetual(symbol: str, steps: tuple[str, str], price: str) -> PerpetualMarket:
    (tick, lot) = steps
    return PerpetualMarket(
        symbol=symbol,
        tick=Decimal(tick),
        lot=Decimal(lot),
        min_quantity=Decimal(lot),
        max_quantity=Decimal(1_000),
        min_notional=Decimal(5),
        max_notional=Decimal(9_000_000),
        maker_bps=Decimal(2),
        taker_bps=Decimal(5),
        start_price=Decimal(price),
    )


DEFAULT_PERPETUALS: Final = (
    _perpetual("BTC/USDT:USDT", ("0.1", "0.001"), "60000"),
    _perpetual("ETH/USDT:USDT", ("0.01", "0.001"), "3000"),
)
"""For an exchange of its own: the settlement asset of an exchange is chosen when it is made."""

DEMO_FUNDS: Final = {
    "USD": Decimal(1_000_000),
    "USDT": Decimal(1_000_000),
    "BTC": Decimal(20),
    "ETH": Decimal(300),
    "SOL": Decimal(5_000),
}


class ExchangeConfiguration(msgspec.Struct, frozen=True, kw_only=True):
    """Markets, accounts with their starting funds, bounds of what is kept for reading."""

    venue: str = "tradewind"
    markets: tuple[SpotMarket, ...] = DEFAULT_MARKETS
    perpetuals: tuple[PerpetualMarket, ...] = ()
    """All of one quote asset, which is then the settlement asset of the exchange."""
    accounts: Mapping[str, Mapping[str, Decimal]] = msgspec.field(
        default_factory=lambda: {"demo": dict(DEMO_FUNDS)}
    )
    """Account -> asset -> amount; every asset that is named here or in a market is listed."""
    publishes_prices: bool = True
    """Whether the house says a price of perpetual markets every second; tests do it themselves."""
    key_seed: str = "tradewind-exchange"
    """Word from which the public keys of all parties derive. Nothing is signed with them."""
    ended_orders_kept: int = 100_000
    """Of all accounts together, the house excluded."""
    fills_kept: int = 100_000
    """Of each account."""
    trades_kept: int = 10_000
    """Public trades of each market."""
    candles_kept: int = 10_080
    """Candles of a second, a minute and an hour, of each market."""
    limits: NodeLimits = NodeLimits()

    def __post_init__(self) -> None:
        """
        Raises:
            ValueError: a name is taken twice or belongs to the house, or there is no market.
        """
        symbols = [market.symbol for market in self.listed]
        if not symbols or len(set(symbols)) != len(symbols):
            raise ValueError(f"markets must be named and distinct: {symbols}")
        if reserved := sorted(set(self.accounts) & set(HOUSE_ACCOUNTS)):
            raise ValueError(f"accounts {reserved} belong to the house")
        quotes = {one.symbol.partition(":")[2] for one in self.perpetuals}
        if len(quotes) > 1:
            raise ValueError(f"perpetual markets settle in one asset, not in {sorted(quotes)}")

    @property
    def listed(self) -> tuple[SpotMarket, ...]:
        """Every market."""
        return (*self.markets, *self.perpetuals)

    @property
    def settlement(self) -> str | None:
        """The asset in which perpetual markets settle."""
        return self.perpetuals[0].symbol.partition(":")[2] if self.perpetuals else None


class Parties:
    """Public keys of everybody, by name."""

    def __init__(self, seed: str) -> None:
        self._seed = seed

    def key(self, name: str) -> bytes:
        """The owner's key of an account, or a principal of the exchange."""
        if name in ORACLES:
            return self.signer(name).source
        return hashlib.blake2b(f"{self._seed}/{name}".encode(), digest_size=32).digest()

    def genesis(self, now_ns: int) -> GenesisConfig:
        """Who may do what from the start. The house is SYSTEM: no bound of number or rate."""
        roles = {
            "system": Role.SYSTEM,
            HOUSE: Role.SYSTEM,
            HOUSE_TAKER: Role.SYSTEM,
            "operator": Role.OPERATOR,
            "risk": Role.RISK,
            "emergency": Role.EMERGENCY,
        }
        roles |= dict.fromkeys(ORACLES, Role.ORACLE)
        expiry_ns = now_ns + GRANT_NS
        return GenesisConfig(
            now_ns,
            [
                Grant(self.key(name), int(role), NEVER_NS if role is Role.SYSTEM else expiry_ns)
                for name, role in roles.items()
            ],
        )

    def signer(self, name: str) -> Signer:
        """The key with which a price source of the house signs. It derives from the same word as everything
        else: the prices are generated, and whoever may read the configuration may make others.
        """
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        from tradewind.security.attesting import Signer

        seed = hashlib.blake2b(f"{self._seed}/{name}/private".encode(), digest_size=32).digest()
        return Signer(Ed25519PrivateKey.from_private_bytes(seed))


class ListedMarket(msgspec.Struct, frozen=True, kw_only=True):
    """A market that exists: the engine's handle and what it was configured with."""

    handle: int
    instrument: Instrument
    base_asset: int
    quote_asset: int
    configuration: SpotMarket


def is_perpetual(market: ListedMarket) -> bool:
    """Whether a market has positions."""
    return isinstance(market.configuration, PerpetualMarket)


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """Handles of everything."""

    assets: dict[str, int]
    accounts: dict[str, int]
    markets: dict[str, ListedMarket]


class Known(Protocol):
    """What the journal holds already: projections that are attached before anything is created."""

    assets: AssetsView
    accounts: AccountsView
    markets: MarketsView
    feeds: FeedsView
    vault: VaultView
    suitable: set[int]
    rate_classes: dict[int, int]


async def set_up(
    node: NodeService, configuration: ExchangeConfiguration, parties: Parties, known: Known
) -> Listed:
    """Creates what is missing.

    Raises:
        SetupRefused: the engine refused a step; what was made stays. NodeStopped: the node failed.
        ValueError: a market that cannot be held.
    """
    runner = _Runner(node, parties, known)
    instruments = {one.symbol: one.instrument(configuration.venue) for one in configuration.listed}
    traded = {name for one in instruments.values() for name in (one.base, one.quote)}
    funded = {name for funds in configuration.accounts.values() for name in funds}
    assets = {
        name: await runner.asset(name, settles=name == configuration.settlement)
        for name in sorted(traded | funded)
    }
    await runner.account("operator")
    accounts = {}
    for name in (*HOUSE_ACCOUNTS, *configuration.accounts):
        accounts[name] = await runner.account(name)
        funds = configuration.accounts.get(name)
        amounts = {
            asset: HOUSE_FUNDS_MICRO if funds is None else _micro(name, asset, funds) for asset in assets
        }
        await runner.deposits(name, {assets[asset]: (asset, amount) for asset, amount in amounts.items()})
        if funds is not None:
            await runner.rate_class(name, accounts[name])
    markets = {}
    if configuration.settlement is not None:
        await runner.cover(assets[configuration.settlement])
        for account in configuration.accounts:
            await runner.suitable(account, accounts[account])
    for one in configuration.listed:
        instrument = instruments[one.symbol]
        markets[one.symbol] = ListedMarket(
            handle=await runner.market(one, instrument, assets),
            instrument=instrument,
            base_asset=assets[instrument.base],
            quote_asset=assets[instrument.quote],
            configuration=one,
        )
    return Listed(assets=assets, accounts=accounts, markets=markets)


def _micro(account: str, asset: str, funds: Mapping[str, Decimal]) -> int:
    amount = to_micros(funds.get(asset, Decimal(0)))
    if amount < 0:
        raise SetupRefused(f"starting funds of {account} in {asset} are negative")
    return amount


class _Runner:
    """Sends commands one by one; "done already" is a success that names the handle."""

    def __init__(self, node: NodeService, parties: Parties, known: Known) -> None:
        self._node = node
        self._parties = parties
        self._known = known

    async def _run(self, commands: Sequence[bytes], *done_already: str) -> int:
        """The handle that the last one created."""
        value = 0
        for result in await self._node.submit(commands):
            if not result.accepted and result.name not in done_already:
                raise SetupRefused(f"{result.name}: {result.message}")
            value = result.value
        return value

    async def account(self, name: str) -> int:
        known = self._known.accounts.by_owner.get(self._parties.key(name))
        if known is not None:
            return known.account
        owner, system = self._parties.key(name), self._parties.key("system")
        return await self._run(
            [build.open_account(principal=system, client_key=build.NO_KEY, owner_key=owner)]
        )

    async def asset(self, symbol: str, *, settles: bool) -> int:
        known = self._known.assets.by_symbol.get(symbol)
        if known is not None:
            if settles and not known.settles:
                raise SetupRefused(f"{symbol} was listed without being the settlement asset")
            return known.asset
        flags = AssetFlag.SETTLEMENT | AssetFlag.STABLE if settles else AssetFlag(0)
        data = build.register_asset(
            principal=self._parties.key("operator"),
            client_key=_key(f"asset/{symbol}"),
            symbol=symbol,
            asset_flags=int(flags),
        )
        return await self._run([data])

    async def cover(self, settlement: int) -> None:
        """A vault that covers what leveraged positions may lose, and money in the insurance fund."""
        handle = await self.account(COVER)
        if self._known.vault.shares.get(handle):
            return
        await self.deposits(COVER, {settlement: ("settlement", 2 * COVER_MICRO)})
        owner = self._parties.key(COVER)
        account = derive_account_id(owner)
        insurance = build.build(
            "FundInsurance",
            principal=owner,
            account=account,
            client_key=_key("insurance"),
            asset=settlement,
            amount=COVER_MICRO // 10,
        )
        vault = build.build(
            "DepositVault", principal=owner, account=account, client_key=_key("vault"), amount=COVER_MICRO
        )
        await self._run([insurance, vault])

    async def suitable(self, name: str, handle: int) -> None:
        """Lets an account use more than tenfold leverage."""
        if handle in self._known.suitable:
            return
        data = build.build(
            "SetSuitability",
            principal=self._parties.key("risk"),
            account=derive_account_id(self._parties.key(name)),
            client_key=_key(f"suitable/{name}/{self._node.now_ns()}"),
            level=1,
            expiry_ns=self._node.now_ns() + GRANT_NS,
        )
        await self._run([data])

    async def _feed(self, base: str) -> int:
        """The feed of a base asset's price, with the three sources of the house."""
        known = self._known.feeds.find(base)
        risk = self._parties.key("risk")
        if known is None:
            register = build.build(
                "RegisterFeed",
                principal=risk,
                client_key=_key(f"feed/{base}"),
                symbol=base,
                quorum=2,
                interval_ms=1_000,
                max_confidence_ppm=10_000,
                max_deviation_bp=200,
                fallback=NO_FEED,
            )
            feed = await self._run([register])
        else:
            feed = known.feed
        sources = () if known is None else known.sources
        for name, weight in zip(ORACLES, (34, 33, 33), strict=True):
            source = self._parties.key(name)
            if source not in sources:
                key = _key(f"source/{base}/{name}")
                add = build.build(
                    "SetFeedSource", principal=risk, client_key=key, source=source, feed=feed, weight=weight
                )
                await self._run([add])
        return feed

    async def deposits(self, name: str, amounts: Mapping[int, tuple[str, int]]) -> None:
        """Asset number -> its symbol and micro-units. What was credited once is not credited again."""
        commands = [
            build.deposit(
                principal=self._parties.key("system"),
                account=derive_account_id(self._parties.key(name)),
                asset=number,
                amount=amount_micro,
                external_id=hashlib.blake2b(f"funds/{name}/{asset}".encode(), digest_size=32).digest(),
            )
            for number, (asset, amount_micro) in amounts.items()
            if amount_micro
        ]
        if commands:
            await self._run(commands, "DUPLICATE_DEPOSIT")

    async def rate_class(self, name: str, handle: int) -> None:
        if self._known.rate_classes.get(handle) == RATE_CLASS:
            return
        data = build.build(
            "SetRateClass",
            principal=self._parties.key("risk"),
            account=derive_account_id(self._parties.key(name)),
            client_key=_key(f"rate/{name}/{self._node.now_ns()}"),
            rate_class=RATE_CLASS,
        )
        await self._run([data])

    async def market(self, one: SpotMarket, instrument: Instrument, assets: Mapping[str, int]) -> int:
        perpetual = isinstance(one, PerpetualMarket)
        kind = MarketKind.PERPETUAL if perpetual else MarketKind.SPOT
        wanted = (assets[instrument.base], assets[instrument.quote], kind)
        for market in self._known.markets.by_handle.values():
            if (market.base, market.quote, market.kind) == wanted:
                return market.market
        data = build.create_market(
            principal=self._parties.key("operator"),
            account=derive_account_id(self._parties.key("operator")),
            client_key=_key(f"market/{one.symbol}"),
            nonce=market_nonce(one.symbol),
            market_kind=int(kind),
            outcome_count=1,
            feed=await self._feed(instrument.base) if perpetual else 0,
            base=assets[instrument.base],
            quote=assets[instrument.quote],
            tick_size=int(instrument.tick * MICRO),
            lot_size=int(instrument.lot * MICRO),
            band_bp=BAND_BP,
            slippage_bp=SLIPPAGE_BP,
            taker_fee_e6bp=fee_e6bp(one.taker_bps),
            maker_fee_e6bp=fee_e6bp(one.maker_bps),
            min_notional=ENGINE_MIN_NOTIONAL_MICRO,
            max_notional=ENGINE_MAX_NOTIONAL_MICRO,
        )
        handle = await self._run([data])
        if isinstance(one, PerpetualMarket):
            await self._run([self._risk(one, handle)])
        return handle

    def _risk(self, one: PerpetualMarket, handle: int) -> bytes:
        return build.build(
            "UpdateMarketRisk",
            principal=self._parties.key("risk"),
            client_key=_key(f"risk/{one.symbol}"),
            market=handle,
            config_version=self._known.markets.by_handle[handle].config_version,
            field_mask=MAX_LEVERAGE_FIELD | POSITION_LIMIT_FIELD,
            max_leverage_e2=one.max_leverage * 100,
            position_limit=to_micros(one.position_limit),
        )


def _key(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=16).digest()
