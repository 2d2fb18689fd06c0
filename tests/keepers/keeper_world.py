"""A real node with a leveraged market and keepers, whose clock the tests move."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from tradewind.api.identities import Identities, open_identities
from tradewind.api.views import PlatformViews
from tradewind.core import commands
from tradewind.core.engine import GenesisConfig, Grant
from tradewind.core.enums import AssetFlag, MarketKind, Side, TimeInForce
from tradewind.core.events import Result
from tradewind.core.hashing import account_id
from tradewind.keepers.assemble import keeper_identity
from tradewind.keepers.local import LocalPort, Wake
from tradewind.keepers.oracle import Quote
from tradewind.keepers.port import Identity
from tradewind.node.limits import NodeLimits
from tradewind.node.service import NodeService
from tradewind.security.publications import Publication

SECOND_NS = 10**9
HOUR_NS = 3_600 * SECOND_NS
START_NS = 1_700_000_000 * SECOND_NS
DOLLAR = 10**6
USD, BTC, MMT = 0, 1, 2
FEED, MARKET = 0, 0
TICK_SIZE, LOT_SIZE = 10_000, 1_000
OPENING = 10_000
"""100.00 in ticks of a cent."""
QUIET = NodeLimits(tick_interval_s=3_600.0, heartbeat_s=3_600.0, space_reserved_bytes=0)
SOURCES = (("oracle_1", 34), ("oracle_2", 33), ("oracle_3", 33))


class Clock:
    """Nanoseconds that a test moves."""

    def __init__(self) -> None:
        self.now_ns = START_NS + 1

    def __call__(self) -> int:
        self.now_ns += 1
        return self.now_ns


class OneQuote:
    """Market data that a test sets; None is silence."""

    def __init__(self) -> None:
        self.value: Quote | None = None
        self.settlements: list[str] = []

    def show(self, ticks: int, as_of_ns: int, *, age_ns: int = 0, spread_ticks: int = 10) -> None:
        middle = ticks * TICK_SIZE
        half = spread_ticks * TICK_SIZE // 2
        self.value = Quote(
            bid=middle - half, ask=middle + half, tick=TICK_SIZE, as_of_ns=as_of_ns, age_ns=age_ns
        )

    def quote(self, symbol: str, probability: bool, settlement: str) -> Quote | str:
        self.settlements.append(settlement)
        return self.value if self.value is not None else f"{symbol}: stale"


class KeeperWorld:
    """Node, views, identities and the moves that tests need."""

    def __init__(self, node: NodeService, views: PlatformViews, identities: Identities, clock: Clock) -> None:
        self.node, self.views, self.identities, self.clock = node, views, identities, clock
        self.wake = Wake(views)
        self._keys = 0
        self.source_seq = 0

    @classmethod
    async def open(cls, data: Path) -> KeeperWorld:
        identities, clock = open_identities(data), Clock()
        genesis = GenesisConfig(START_NS, [Grant(*grant) for grant in identities.grants(START_NS)])
        node = await NodeService.start(
            data, genesis=genesis, clock=clock, limits=QUIET, segment_bytes=1 << 20, reserve_bytes=0
        )
        views = PlatformViews(genesis)
        await node.attach(views.apply, name="views")
        world = cls(node, views, identities, clock)
        await node.attach(world.wake.on_batch, name="keepers", from_seq=node.next_seq)
        return world

    # ---- sending -----------------------------------------------------------------------------------

    def key(self) -> bytes:
        self._keys += 1
        return self._keys.to_bytes(16, "big")

    async def submit(self, *records: bytes) -> list[Result]:
        results = await self.node.submit(b"".join(records))
        for result in results:
            result.expect()
        return results

    def command(self, name: str, actor: str, **fields: Any) -> bytes:
        fields.setdefault("client_key", self.key())
        return commands.build(name, principal=self.identities.key(actor), **fields)

    async def run(self, name: str, actor: str, **fields: Any) -> Result:
        return (await self.submit(self.command(name, actor, **fields)))[0]

    async def wait(self, seconds: float) -> None:
        """Time goes on and the engine does what has fallen due."""
        self.clock.now_ns += int(seconds * SECOND_NS)
        await self.submit(commands.tick(principal=self.node.system_principal))

    async def wait_until(self, moment_ns: int) -> None:
        await self.wait((moment_ns - self.clock.now_ns) / SECOND_NS)

    # ---- an exchange -------------------------------------------------------------------------------

    async def account(self, name: str, **amounts: int) -> bytes:
        """An account with micro-units of assets by symbol."""
        key = self.identities.public.get(name) or self.identities.create(name)
        account = account_id(key)
        system = self.identities.key("system")
        if account not in self.views.accounts.by_id:
            await self.submit(commands.open_account(principal=system, client_key=self.key(), owner_key=key))
        for symbol, amount in amounts.items():
            asset = self.views.assets.by_symbol[symbol].asset
            external = self.key() + bytes(16)
            await self.submit(
                commands.deposit(
                    principal=system, account=account, asset=asset, amount=amount, external_id=external
                )
            )
        return account

    async def open_exchange(self) -> None:
        """Assets, feed with three sources, an active perpetual market, money in insurance."""
        operator = self.identities.key("operator")
        for symbol, flags in (
            ("USD", AssetFlag.SETTLEMENT | AssetFlag.STABLE),
            ("BTC", AssetFlag(0)),
            ("MMT", AssetFlag.STAKE),
        ):
            weights = {} if symbol == "USD" else {
                "initial_asset_bp": 5_000, "maintenance_asset_bp": 7_500,
                "initial_liability_bp": 15_000, "maintenance_liability_bp": 12_500,
            }  # fmt: skip
            await self.submit(
                commands.register_asset(
                    principal=operator, client_key=self.key(), symbol=symbol, asset_flags=flags, **weights
                )
            )
        owner = await self.account("operator", USD=200_000 * DOLLAR)
        await self.run(
            "RegisterFeed", "risk", symbol="BTC", quorum=2, interval_ms=1_000, max_confidence_ppm=10_000,
            max_deviation_bp=200, fallback=2**32 - 1,
        )  # fmt: skip
        for name, weight in SOURCES:
            source = self.identities.key(name)
            await self.run("SetFeedSource", "risk", feed=FEED, weight=weight, source=source)
        await self.submit(
            commands.create_market(
                principal=operator, account=owner, client_key=self.key(), nonce=1,
                market_kind=MarketKind.PERPETUAL, base=BTC, quote=USD, tick_size=TICK_SIZE,
                lot_size=LOT_SIZE, feed=FEED, band_bp=1_000, taker_fee_e6bp=5_000_000,
                maker_fee_e6bp=1_000_000,
            )
        )  # fmt: skip
        await self.run("FundInsurance", "operator", account=owner, asset=USD, amount=100_000 * DOLLAR)
        # A vault that covers the positions of these tests: without one coverage would halt the market.
        provider = await self.account("provider", USD=1_000_000 * DOLLAR)
        await self.run("DepositVault", "provider", account=provider, amount=1_000_000 * DOLLAR)
        for _ in range(200):
            await self.publish(OPENING)
            await self.wait(1)
            if self.views.duties.funding_due_ns:
                return
        raise AssertionError("the market did not become active")

    async def publish(self, ticks: int) -> None:
        """One price of each source, signed by it."""
        self.source_seq += 1
        said = Publication(
            feed=FEED, value=ticks * TICK_SIZE, confidence=TICK_SIZE, bid=0, ask=0,
            source_time_ns=self.clock.now_ns, source_seq=self.source_seq,
        )  # fmt: skip
        records = [self.publication(name, said) for name, _ in SOURCES]
        for result in await self.node.submit(records, [self.attest(name, said) for name, _ in SOURCES]):
            result.expect()

    def publication(self, name: str, said: Publication) -> bytes:
        """The command of a source, without its signature."""
        return self.command("PublishPrice", name, **msgspec.structs.asdict(said))

    def attest(self, name: str, said: Publication) -> bytes:
        """What a source signs for this node."""
        return self.identities.signer(name).attest(self.node.deployment, said)

    async def order(self, name: str, side: Side, ticks: int, lots: int) -> Result:
        key = self.identities.key(name)
        return (
            await self.submit(
                commands.place_order(
                    principal=key, account=account_id(key), client_key=self.key(), market=MARKET, side=side,
                    price=ticks, lots=lots, time_in_force=TimeInForce.GTC,
                )
            )
        )[0]  # fmt: skip

    async def keeper(self, name: str, capabilities: int) -> Identity:
        """A registered keeper."""
        stake = 2_000 * DOLLAR
        account = await self.account(name, MMT=stake)
        await self.run("RegisterKeeper", name, account=account, capabilities=capabilities, stake=stake)
        return keeper_identity(name, self.identities.key(name))

    def port(self) -> LocalPort:
        return LocalPort(self.node, self.views, self.wake)

    async def fall(self, ticks: int) -> None:
        """The index goes to a price in small steps, a second each, as the mark is allowed to follow."""
        for step in self._path(self.views.leverage.markets[MARKET].mark, ticks):
            await self.publish(step)
            await self.wait(1)

    @staticmethod
    def _path(start: int, end: int) -> Iterator[int]:
        step = -40 if end < start else 40
        yield from range(start + step, end, step)
        yield end
