"""A leveraged market on the real engine for the probes: three price sources, a feed, an active perpetual.

Getting a market active takes two minutes of valid prices; that state is made once and restored for each case.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from tradewind.core import commands
from tradewind.core.engine import Grant
from tradewind.core.enums import AssetFlag, Line, MarketKind, Role, Side
from tradewind.core.events import Event
from tradewind.core.hashing import account_id
from tradewind.core.native import Engine
from tradewind.readiness.errors import CannotMeasureError
from tradewind.readiness.probes.exchange import (
    BASE,
    DAY_NS,
    LOT_SIZE,
    MARKET,
    QUOTE,
    SECOND_NS,
    STAFF,
    START_NS,
    TICK_SIZE,
    Answer,
    Exchange,
    Send,
    honest,
    key_of,
)

FEED: Final = 0
NO_FEED: Final = 0xFFFF_FFFF
UNIT: Final = TICK_SIZE * LOT_SIZE // 1_000_000
OPENING: Final = 10_000
DOLLAR: Final = 1_000_000
TAKER_FEE_E6BP: Final = 5_000_000
MAKER_FEE_E6BP: Final = 1_000_000
BASE_WEIGHT_BP: Final = 8_000
MAX_LEVERAGE_E2: Final = 1_000
FLOOR_MMF_PPM: Final = 5_000
LIQUIDATION_FEE_E6BP: Final = 50_000_000
COVER: Final = 900_000_000 * DOLLAR
"""What the vault holds: without one coverage would halt leveraged markets (P7.1 B1, P9.1)."""
POSITION_LIMIT: Final = 500_000 * DOLLAR
OPEN_INTEREST_CAP: Final = 10**15
SOURCES: Final = tuple(key_of(f"price source {number}") for number in range(3))
WEIGHTS: Final = (34, 33, 33)
SECOND_PERSON: Final = {
    role: key_of(f"second {role.name}")
    for role in (Role.EMERGENCY, Role.RESUMER, Role.APPROVER, Role.OPERATOR, Role.ROLE_ADMIN)
}
THIRD_OPERATOR: Final = key_of("third operator")
KEEPERS: Final = {
    name: key_of(f"keeper {name}")
    for name in ("good", "unregistered", "suspended", "poor", "removed", "incapable", "deprived", "banned")
}
STATES: Final = ("VALID", "WARN", "DEGRADED", "UNCERTAIN", "DIVERGENT", "STALE", "NO_QUORUM", "INVALID")
MAX_ACTIVATION_S: Final = 300


def _grants() -> list[Grant]:
    expiry_ns = START_NS + 360 * DAY_NS
    sources = [Grant(source, Role.ORACLE, expiry_ns) for source in SOURCES]
    keepers = [Grant(keeper, Role.KEEPER, expiry_ns) for keeper in KEEPERS.values()]
    seconds = [Grant(key, role, expiry_ns) for role, key in SECOND_PERSON.items()]
    return [*sources, *keepers, *seconds, Grant(THIRD_OPERATOR, Role.OPERATOR, expiry_ns)]


# Snapshot, moment, and how many client keys and source numbers are used.
Image = tuple[bytes, int, int, int]


class Leveraged(Exchange):
    """The exchange with feed 0 and the perpetual market 0; ``send`` is where a mutation breaks the path."""

    def __init__(self, send: Send = honest, image: Image | None = None) -> None:
        super().__init__(honest, _grants())
        snapshot, self.now_ns, self._keys, self.source_seq = image or _ready()
        self.engine = Engine.restore(snapshot)
        self.feed_state = "VALID"
        self.index = OPENING * TICK_SIZE
        self.gates: dict[bytes, int] = {}
        self.seen: list[Event] = []
        self.send = send

    def image(self) -> Image:
        """This world as others may begin from it."""
        return bytes(self.engine.snapshot()), self.now_ns, self._keys, self.source_seq

    def run(self, *frames: bytes) -> tuple[list[Answer], list[Event]]:
        """Applies commands as one batch and follows the feed by its events."""
        answers, happened = super().run(*frames)
        self.seen += happened
        for event in happened:
            fields: Any = event
            match type(event).__name__:
                case "FeedStateChanged" if fields.feed == FEED:
                    self.feed_state = STATES[fields.state]
                case "IndexUpdated" if fields.feed == FEED:
                    self.index = fields.index
                case "SourceUpdated" if fields.feed == FEED:
                    self.gates[bytes(fields.source)] = fields.gate
        return answers, happened

    def happened(self, name: str) -> list[Any]:
        """Events of a kind, by the name of their type, since the world was made."""
        return [event for event in self.seen if type(event).__name__ == name]

    def publication(self, source: bytes, value: int, **changes: int) -> bytes:
        """PublishPrice of micro-quote per whole unit; ``changes`` replace fields."""
        self.source_seq += 1
        fields: dict[str, Any] = {
            "feed": FEED,
            "value": value,
            "confidence": max(value, 0) // 1_000,
            "source_time_ns": self.now_ns,
            "source_seq": self.source_seq,
            **changes,
        }
        return commands.build("PublishPrice", principal=source, client_key=self.key(), **fields)

    def quote(self, ticks: int, sources: int = 3) -> list[Answer]:
        """The first ``sources`` sources publish a price in ticks."""
        return [self.run(self.publication(source, ticks * TICK_SIZE))[0][0] for source in SOURCES[:sources]]

    def tick(self) -> Answer:
        """The sequencer's clock."""
        return self.ask(commands.tick(principal=STAFF[Role.SYSTEM]))

    def wait(self, seconds: float, ticks: int | None = None, sources: int = 3) -> None:
        """Time goes on by seconds; with ``ticks`` the sources keep publishing that price."""
        steps = max(1, round(seconds))
        for _ in range(steps):
            self.now_ns += int(seconds * SECOND_NS) // steps
            self.tick()
            if ticks is not None:
                self.quote(ticks, sources)

    def wait_hours(self, hours: int) -> None:
        """Hours without any price."""
        for _ in range(hours):
            self.now_ns += 3_600 * SECOND_NS
            self.tick()

    def trader(self, name: str, quote: int) -> bytes:
        """A funded account with micro-quote; its owner's key."""
        owner = key_of(name)
        account = self.open_account(owner)
        if quote:
            self.must(self.deposit(account, QUOTE, quote))
        return owner

    def trade(self, buyer: bytes, seller: bytes, price: int, lots: int) -> None:
        """Seller rests, buyer takes. Raises as ``must``."""
        self.must(self.order(seller, Side.SELL, price, lots))
        self.must(self.order(buyer, Side.BUY, price, lots))

    def line(self, owner: bytes, line: Line, asset: int = QUOTE, sub: int = 0) -> int:
        """Micro-units on a line of an owner's sub-account."""
        balance: int | None = self.engine.balance(account_id(owner), sub, asset, line)
        return balance or 0

    def of(self, owner: bytes) -> dict[str, Any]:
        """Principal, account and a fresh client key of an owner's command."""
        return {"principal": owner, "account": account_id(owner), "client_key": self.key()}

    def by(self, role: Role) -> dict[str, Any]:
        """Principal and a fresh client key of a command of the staff."""
        return {"principal": STAFF[role], "client_key": self.key()}


class Beginning(Leveraged):
    """The same before the market is active."""

    def __init__(self) -> None:
        Exchange.__init__(self, honest, _grants())
        self.source_seq, self.feed_state, self.index = 0, "INVALID", 0
        self.gates, self.seen = {}, []

    def set_up(self, cover: int = COVER) -> None:
        """Registers assets, feed and market, and puts ``cover`` micro-quote into the vault."""
        risk, operator = STAFF[Role.RISK], STAFF[Role.OPERATOR]
        self.must(
            commands.register_asset(
                principal=operator,
                client_key=self.key(),
                symbol="BASE",
                initial_asset_bp=BASE_WEIGHT_BP,
                maintenance_asset_bp=9_000,
                initial_liability_bp=12_000,
                maintenance_liability_bp=11_000,
            )
        )
        self.must(
            commands.register_asset(
                principal=operator, client_key=self.key(), symbol="QUOTE", asset_flags=AssetFlag.SETTLEMENT
            )
        )
        self.must(
            commands.build(
                "RegisterFeed",
                principal=risk,
                client_key=self.key(),
                symbol="BASE-QUOTE",
                quorum=2,
                interval_ms=1_000,
                max_confidence_ppm=10_000,
                max_deviation_bp=200,
                fallback=NO_FEED,
            )
        )
        for source, weight in zip(SOURCES, WEIGHTS, strict=True):
            self.must(
                commands.build(
                    "SetFeedSource",
                    principal=risk,
                    client_key=self.key(),
                    feed=FEED,
                    weight=weight,
                    source=source,
                )
            )
        self.must(
            commands.build(
                "UpdateAsset",
                principal=risk,
                client_key=self.key(),
                asset=BASE,
                feed=FEED,
                initial_asset_bp=BASE_WEIGHT_BP,
                maintenance_asset_bp=9_000,
                initial_liability_bp=12_000,
                maintenance_liability_bp=11_000,
            )
        )
        account = self.open_account(operator)
        self.must(self.deposit(account, QUOTE, cover))
        self.must(
            commands.build(
                "DepositVault",
                principal=operator,
                account=account,
                client_key=self.key(),
                amount=cover,
            )
        )
        self.must(
            self.market_command(
                1,
                market_kind=MarketKind.PERPETUAL,
                feed=FEED,
                taker_fee_e6bp=TAKER_FEE_E6BP,
                maker_fee_e6bp=MAKER_FEE_E6BP,
            )
        )
        self.must(
            commands.build(
                "UpdateMarketRisk",
                principal=risk,
                client_key=self.key(),
                market=MARKET,
                config_version=1,
                field_mask=0xFF,
                max_leverage_e2=MAX_LEVERAGE_E2,
                size_k_ppm=0,
                floor_mmf_ppm=FLOOR_MMF_PPM,
                liquidation_fee_e6bp=LIQUIDATION_FEE_E6BP,
                position_limit=POSITION_LIMIT,
                open_interest_cap=OPEN_INTEREST_CAP,
                impact_notional=10_000 * DOLLAR,
                insurance_limit=1_000_000 * DOLLAR,
            )
        )


def image(cover: int) -> Image:
    """The same world behind a vault of ``cover`` micro-quote."""
    return _ready(cover)


@cache
def _ready(cover: int = COVER) -> Image:
    """A market that trades."""
    world = Beginning()
    world.set_up(cover)
    for _ in range(MAX_ACTIVATION_S):
        world.wait(1, OPENING)
        if world.happened("MarketActivated"):
            world.wait(60, OPENING)  # every hold of the feed has passed
            return world.image()
    raise CannotMeasureError(f"the market did not become active in {MAX_ACTIVATION_S} s of valid prices")
