"""orders-place: every kind of order at its bounds, and every refusal of a placement, seen on the engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from tradewind.core import commands
from tradewind.core.enums import (
    MarketKind,
    OrderFlag,
    OrderType,
    Role,
    SelfTradePrevention,
    Side,
    TimeInForce,
    TriggerSource,
)
from tradewind.core.errors import Rejected
from tradewind.core.hashing import account_id
from tradewind.core.units import Scale
from tradewind.readiness.probe import ProbeContext
from tradewind.readiness.probes.breakers import (
    ACTIVATION_S,
    BUYER,
    SECOND_MARKET,
    SELLER,
    SPOT,
    WITNESS,
    Watched,
)
from tradewind.readiness.probes.drill import Facts, case, drill, held, ratio
from tradewind.readiness.probes.exchange import (
    DAY_NS,
    LOT_SIZE,
    MARKET,
    QUOTE,
    SECOND_NS,
    STAFF,
    TICK_SIZE,
)
from tradewind.readiness.probes.leveraged import (
    FEED,
    MAX_LEVERAGE_E2,
    NO_FEED,
    OPENING,
    SOURCES,
    WEIGHTS,
)
from tradewind.readiness.probes.positions import MAXIMUM_LOTS, MINIMUM_LOTS
from tradewind.readiness.record import MeasuredValue

LOTS: Final = 1_000
MAX_TICKS: Final = 2**31 - 1
MAX_LOTS: Final = 2**40
LARGEST: Final = 10_000_000
MONTH_NS: Final = 30 * DAY_NS
MAX_OPEN: Final = 200
MAX_POSITIONS: Final = 50
MARKETS_PER_FEED: Final = 16
OUTCOME_TICK: Final = 1_000
BUFFER_NS: Final = 60 * SECOND_NS
LEVERAGE_FIELD: Final = 1 << 0
OPEN_INTEREST_FIELD: Final = 1 << 5
CAP: Final = 100_000 * 10**6
HALF_TICK: Final = Decimal(TICK_SIZE) / 2 / 1_000_000
Price = Callable[[Decimal], int]
Build = Callable[[Watched], bytes]
TRIGGERED: Final = (OrderType.STOP, OrderType.STOP_LIMIT, OrderType.TAKE_PROFIT, OrderType.TRAILING_STOP)


def _world() -> Watched:
    """A spot market with offers, bids and a last trade; a leveraged one beside it."""
    world = Watched(2)
    world.print_at(OPENING)
    world.must(world.order(SELLER, Side.SELL, OPENING + 10, 1_000_000, market=SPOT))
    world.must(world.order(WITNESS, Side.BUY, OPENING - 10, 1_000_000, market=SPOT))
    return world


def _place(world: Watched, **changes: Any) -> bytes:
    fields: dict[str, Any] = {
        "side": Side.BUY,
        "price": OPENING - 20,
        "lots": LOTS,
        "market": SPOT,
        **changes,
    }
    return world.order(BUYER, fields.pop("side"), fields.pop("price"), fields.pop("lots"), **fields)


def _twap(world: Watched, **changes: Any) -> bytes:
    fields: dict[str, Any] = {"slices": 4, "interval_s": 60, "lots": LOTS, "side": Side.BUY, **changes}
    return commands.build("PlaceTwap", **world.of(BUYER), market=SPOT, **fields)


# ---- accepted at the bounds -----------------------------------------------------------------------------


def _trigger(kind: OrderType) -> dict[str, Any]:
    """A trigger that has not fired: beyond the last trade in the direction of the order."""
    fields: dict[str, Any] = {"order_type": kind, "trigger_source": TriggerSource.LAST_TRADE, "price": 0}
    if kind == OrderType.TRAILING_STOP:
        return {**fields, "side": Side.SELL, "trail": 1}
    fields["trigger_price"] = OPENING - 1 if kind == OrderType.TAKE_PROFIT else OPENING + 1
    if kind == OrderType.STOP_LIMIT:
        fields["price"] = OPENING + 5
    return fields


def _accepted() -> Iterator[tuple[str, Build]]:
    far = {"time_in_force": TimeInForce.GTD}
    post = {"order_flags": OrderFlag.POST_ONLY}
    resting: Mapping[str, dict[str, Any]] = {
        "LIMIT": {},
        "LIMIT POST_ONLY": post,
        "ICEBERG, smallest display": {"order_type": OrderType.ICEBERG, "display_lots": LOTS // 100},
        "ICEBERG, whole display": {"order_type": OrderType.ICEBERG, "display_lots": LOTS},
        **{kind.name: _trigger(kind) for kind in TRIGGERED},
    }
    for name, fields in resting.items():
        yield f"{name} GTC", lambda world, fields=fields: _place(world, **fields)  # type: ignore[misc]  # bound now
        for wait_ns in (1, MONTH_NS):
            yield (
                f"{name} GTD {wait_ns}",
                lambda world, fields=fields, wait_ns=wait_ns: _place(  # type: ignore[misc]  # bound now
                    world, **fields, **far, expiry_ns=world.now_ns + wait_ns
                ),
            )
    yield "LIMIT IOC", lambda world: _place(world, time_in_force=TimeInForce.IOC)
    yield "LIMIT FOK", lambda world: _place(world, price=OPENING + 10, time_in_force=TimeInForce.FOK)
    yield "LIMIT, smallest size", lambda world: _place(world, price=OPENING, lots=MINIMUM_LOTS)
    yield "LIMIT, largest size", lambda world: _place(world, price=OPENING, lots=LARGEST)
    for force in (TimeInForce.IOC, TimeInForce.FOK):
        market = {"order_type": OrderType.MARKET, "price": 0, "time_in_force": force}
        yield f"MARKET {force.name}", lambda world, market=market: _place(world, **market)  # type: ignore[misc]  # bound now
    trail = {**_trigger(OrderType.TRAILING_STOP), "order_flags": OrderFlag.TRAIL_PPM}
    yield "TRAILING_STOP, ppm", lambda world: _place(world, **{**trail, "trail": 1_000})
    yield "TWAP, fewest slices", lambda world: _twap(world, slices=2, interval_s=1)
    yield "TWAP, most slices", lambda world: _twap(world, slices=100, lots=100_000, interval_s=60)


# ---- refused --------------------------------------------------------------------------------------------


def _fill_book(world: Watched) -> bytes:
    for number in range(MAX_OPEN):
        world.must(_place(world, price=OPENING - 20 - number))
    return _place(world)


def _closed(world: Watched) -> bytes:
    world.must(commands.close_market(**world.by(Role.OPERATOR), market=SPOT))
    return _place(world)


def _close_only(world: Watched) -> bytes:
    world.must(commands.close_market(**world.by(Role.OPERATOR), market=MARKET))
    return _place(world, market=MARKET)


def _poor(world: Watched, market: int) -> bytes:
    owner = world.trader("poor", 1_000_000)
    return world.order(owner, Side.BUY, OPENING - 20, LOTS, market=market)


def _beyond_interest(world: Watched) -> bytes:
    """The market may hold a little open interest, and this order would open more."""
    world.must(
        commands.build(
            "UpdateMarketRisk",
            **world.by(Role.RISK),
            market=SECOND_MARKET,
            config_version=1,
            field_mask=OPEN_INTEREST_FIELD,
            open_interest_cap=CAP,
        )
    )
    return _place(world, market=SECOND_MARKET, price=OPENING, lots=LARGEST // 2)


def _unsuitable(world: Watched) -> bytes:
    """The market permits twenty times, the account has shown nobody that it knows what that means."""
    market = world.must(world.market_command(50, market_kind=MarketKind.PERPETUAL, feed=FEED)).value
    world.must(
        commands.build(
            "UpdateMarketRisk",
            **world.by(Role.RISK),
            market=market,
            config_version=1,
            field_mask=LEVERAGE_FIELD,
            max_leverage_e2=2 * MAX_LEVERAGE_E2,
        )
    )
    world.wait(ACTIVATION_S, OPENING)
    return _place(world, market=market, leverage_e2=MAX_LEVERAGE_E2 + 1)


def _before_settlement(world: Watched) -> bytes:
    """A market of two outcomes, in the last moment of its resolution buffer's first nanosecond."""
    settle_ns = world.now_ns + DAY_NS
    operator = STAFF[Role.OPERATOR]
    market = world.must(
        commands.create_market(
            principal=operator,
            account=account_id(operator),
            client_key=world.key(),
            nonce=50,
            base=QUOTE,
            quote=QUOTE,
            market_kind=MarketKind.OUTCOME,
            outcome_count=2,
            tick_size=OUTCOME_TICK,
            lot_size=OUTCOME_TICK,
            settle_time_ns=settle_ns,
        )
    ).value
    outcome = {"market": market, "price": OUTCOME_TICK // 2, "lots": 10 * LOTS}
    world.wait_hours(23)
    world.now_ns = settle_ns - BUFFER_NS - 1
    world.must(_place(world, **outcome))
    world.now_ns += 1
    return _place(world, **outcome)


def _feeds(world: Watched, number: int) -> list[int]:
    """The feed that is there, and more of the same sources: one carries only so many markets."""
    feeds = [FEED]
    while len(feeds) < number:
        risk: dict[str, Any] = {
            "feed_kind": 0,
            "quorum": 2,
            "interval_ms": 1_000,
            "max_confidence_ppm": 10_000,
        }
        fields = {**risk, "symbol": f"FEED-{len(feeds)}", "max_deviation_bp": 200, "fallback": NO_FEED}
        feed = world.must(commands.build("RegisterFeed", **world.by(Role.RISK), **fields)).value
        for source, weight in zip(SOURCES, WEIGHTS, strict=True):
            table: dict[str, Any] = {"feed": feed, "weight": weight, "source": source}
            world.must(commands.build("SetFeedSource", **world.by(Role.RISK), **table))
        feeds.append(feed)
    return feeds


def _quoted(world: Watched, feeds: Sequence[int], seconds: int) -> None:
    """Time goes on with prices of every feed."""
    for _ in range(seconds):
        world.wait(1)
        for feed in feeds:
            world.run(*(world.publication(source, OPENING * TICK_SIZE, feed=feed) for source in SOURCES))


def _many_positions(world: Watched) -> bytes:
    """As many positions as an account may have, in as many markets, and an order in one more."""
    markets, feeds = [MARKET, SECOND_MARKET], _feeds(world, MAX_POSITIONS // MARKETS_PER_FEED + 1)
    while len(markets) <= MAX_POSITIONS:
        feed = feeds[len(markets) // MARKETS_PER_FEED]
        frame = world.market_command(50 + len(markets), market_kind=MarketKind.PERPETUAL, feed=feed)
        markets.append(world.must(frame).value)
    _quoted(world, feeds, ACTIVATION_S)
    for market in markets[:-1]:
        world.must(world.order(SELLER, Side.SELL, OPENING, LOTS, market=market))
        world.must(_place(world, market=market, price=OPENING))
        _quoted(world, feeds, 1)
    return _place(world, market=markets[-1])


_MARKET: Final = {"order_type": OrderType.MARKET, "time_in_force": TimeInForce.IOC}
_GTD: Final = {"time_in_force": TimeInForce.GTD}
REFUSED: Final[Mapping[str, Build]] = {
    "MARKET_NOT_FOUND": lambda world: _place(world, market=99),
    "MARKET_NOT_ACTIVE": _closed,
    "MARKET_CLOSE_ONLY": _close_only,
    "INVALID_OUTCOME": lambda world: _place(world, outcome=1),
    "INVALID_SIZE": lambda world: _place(world, lots=0),
    "ORDER_TOO_SMALL": lambda world: _place(world, price=OPENING, lots=MINIMUM_LOTS - 1),
    "ORDER_TOO_LARGE": lambda world: _place(world, price=OPENING, lots=LARGEST + 1),
    "INVALID_TIME_IN_FORCE": lambda world: _place(
        world, time_in_force=TimeInForce.FOK, order_flags=OrderFlag.POST_ONLY
    ),
    "INVALID_ORDER_TYPE": lambda world: _place(world, order_type=99),
    "ORDER_EXPIRED": lambda world: _place(world, **_GTD, expiry_ns=world.now_ns),
    "ORDER_EXPIRY_TOO_FAR": lambda world: _place(world, **_GTD, expiry_ns=world.now_ns + MONTH_NS + 1),
    "MARKET_ORDER_HAS_PRICE": lambda world: _place(world, **_MARKET),
    "INVALID_PRICE": lambda world: _place(world, price=MAX_TICKS + 1),
    "PRICE_TOO_HIGH": lambda world: _place(world, price=OPENING * 12 // 10),
    "PRICE_TOO_LOW": lambda world: _place(world, side=Side.SELL, price=OPENING * 8 // 10),
    "TOO_MANY_OPEN_ORDERS": _fill_book,
    "INSUFFICIENT_BALANCE": lambda world: _poor(world, SPOT),
    "INSUFFICIENT_MARGIN": lambda world: _poor(world, MARKET),
    "POSITION_TOO_LARGE": lambda world: _place(world, market=MARKET, price=OPENING, lots=MAXIMUM_LOTS + 1),
    "INVALID_LEVERAGE": lambda world: _place(world, market=MARKET, leverage_e2=99),
    "LEVERAGE_TOO_HIGH": lambda world: _place(world, market=MARKET, leverage_e2=MAX_LEVERAGE_E2 + 1),
    "POST_ONLY_WOULD_TAKE": lambda world: _place(world, price=OPENING + 10, order_flags=OrderFlag.POST_ONLY),
    "FOK_NOT_FILLABLE": lambda world: _place(
        world, price=OPENING + 10, lots=1_000_001, time_in_force=TimeInForce.FOK
    ),
    "NO_LIQUIDITY": lambda world: _place(world, **{**_MARKET, "price": 0, "market": MARKET}),
    "REDUCE_ONLY_WOULD_INCREASE": lambda world: _place(
        world, market=MARKET, order_flags=OrderFlag.REDUCE_ONLY
    ),
    "TRIGGER_WOULD_FIRE": lambda world: _place(
        world, **{**_trigger(OrderType.STOP), "trigger_price": OPENING}
    ),
    "INVALID_TRIGGER": lambda world: _place(world, **{**_trigger(OrderType.STOP), "trigger_price": 0}),
    "INVALID_TRAIL": lambda world: _place(world, **{**_trigger(OrderType.TRAILING_STOP), "trail": 0}),
    "INVALID_DISPLAY_SIZE": lambda world: _place(
        world, order_type=OrderType.ICEBERG, display_lots=LOTS // 100 - 1
    ),
    "INVALID_TWAP": lambda world: _twap(world, slices=1),
    "OPEN_INTEREST_CAP": _beyond_interest,
    "SUITABILITY_REQUIRED": _unsuitable,
    "IN_RESOLUTION_BUFFER": _before_settlement,
    "TOO_MANY_POSITIONS": _many_positions,
    "INVALID_LINK": lambda world: _place(world, order_flags=OrderFlag.OCO),
    "SELF_TRADE_PREVENTED": lambda world: world.order(
        SELLER,
        Side.BUY,
        OPENING + 10,
        LOTS,
        market=SPOT,
        self_trade_prevention=SelfTradePrevention.CANCEL_NEWEST,
    ),
}
# Refused before a command exists: a decimal which is no whole number of ticks or lots.
CONVERTED: Final = ("TICK_MISALIGNED", "LOT_MISALIGNED")


def _converted(price: Price) -> list[dict[str, Any]]:
    scale = Scale(TICK_SIZE, LOT_SIZE)
    middle = Decimal(OPENING * TICK_SIZE) / 1_000_000
    seen = []
    for convert, value in ((price, middle + HALF_TICK), (scale.lots, Decimal(LOT_SIZE) * 3 / 2 / 1_000_000)):
        try:
            convert(value)
            seen.append("")
        except Rejected as refusal:
            seen.append(refusal.name)
    return [case(code, code, found) for code, found in zip(CONVERTED, seen, strict=True)]


def _observe(context: ProbeContext, price: Price | None = None) -> Facts:
    kinds, refusals = [], _converted(price or Scale(TICK_SIZE, LOT_SIZE).ticks)
    for name, build in _accepted():
        world = _world()
        kinds.append(case(name, "", world.ask(build(world)).code))
    for code, build in REFUSED.items():
        world = _world()
        frame = build(world)
        before = world.hash()
        answer = world.ask(frame)
        refusals.append(case(code, [code, True], [answer.code, world.hash() == before]))
    return {"kinds": kinds, "refusals": refusals}


def _summarise(facts: Facts) -> Mapping[str, MeasuredValue]:
    kinds, refusals = facts["kinds"], facts["refusals"]
    return {
        "order_types_verified": ratio(held(kinds), len(kinds)),
        "reject_codes_exercised": ratio(held(refusals), len(refusals)),
    }


placing = drill(
    "orders-place",
    observe=_observe,
    broken=lambda context: _observe(context, Scale(TICK_SIZE, LOT_SIZE).ticks_floor),
    summarise=_summarise,
    provenance="virtual",
)
