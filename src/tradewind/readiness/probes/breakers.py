"""breakers-functionality and breakers-six-types: each trips at its threshold and not one unit below."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from tradewind.core import commands
from tradewind.core.enums import MarketKind, Role, Side
from tradewind.core.events import Event
from tradewind.core.hashing import account_id
from tradewind.core.native import Batch, Engine
from tradewind.readiness.probe import ProbeContext, count
from tradewind.readiness.probes.drill import Facts, drill, ratio
from tradewind.readiness.probes.exchange import (
    BASE,
    MARKET,
    SECOND_NS,
    Send,
    honest,
    key_of,
)
from tradewind.readiness.probes.leveraged import (
    COVER,
    DOLLAR,
    FEED,
    MAKER_FEE_E6BP,
    OPENING,
    TAKER_FEE_E6BP,
    UNIT,
    Image,
    Leveraged,
    image,
)
from tradewind.readiness.probes.positions import RICH
from tradewind.readiness.record import MeasuredValue

(
    COVERAGE,
    PRICE_FAST,
    PRICE_SLOW,
    PRICE_PLATFORM,
    VOLUME,
    LIQUIDATION,
    CONGESTION,
    ORACLE,
    OPEN_INTEREST,
) = range(1, 10)
NAMES: Final = {
    COVERAGE: "coverage",
    PRICE_FAST: "price",
    PRICE_SLOW: "price",
    PRICE_PLATFORM: "price",
    VOLUME: "volume",
    LIQUIDATION: "liquidation",
    CONGESTION: "congestion",
    ORACLE: "oracle failure",
    OPEN_INTEREST: "open-interest rate",
}
REFUSALS: Final = frozenset({"BREAKER_ACTIVE", "STALE_PRICE", "INSUFFICIENT_SOURCES"})
SELLER, BUYER, WITNESS = key_of("seller"), key_of("buyer"), key_of("witness")
FLOODER: Final = WITNESS
STALE_NS: Final = 5 * SECOND_NS
VOLUME_FLOOR: Final = 50_000 * DOLLAR
SECOND_MARKET, SPOT = 1, 2
ACTIVATION_S: Final = 130
RESTING: Final = OPENING * 96 // 100
DOLLAR_LOTS: Final = DOLLAR // (OPENING * UNIT)
BASE_INTEREST: Final = 2_000_000
SMALL_LOTS: Final = 2_000
ACCOUNTS: Final = 10
THIN_VAULT: Final = 300 * DOLLAR
STAKES: Final = (150 * DOLLAR, 150 * DOLLAR, 123 * DOLLAR + 480_000)
PAIR_LOTS: Final = 10_000
HALF_COVERED: Final = OPENING * 94 // 100
BURST_BATCH: Final = 1_000
MAX_BURST: Final = 40_000


class Watched(Leveraged):
    """Leveraged markets, which watch everything, and a spot market that watches what it is told to.

    ``market`` is the one that a trial acts in, ``blind`` a breaker that nobody looks at, and ``cover`` what
    the vault holds in micro-quote.
    """

    def __init__(self, leveraged: int = 0, blind: int = 0, cover: int = COVER) -> None:
        super().__init__(honest, _markets(cover))
        self.sent: list[tuple[int, int]] = []
        self.market = (MARKET, SECOND_MARKET, SPOT)[leveraged]
        self.blind = blind

    def run(self, *frames: bytes) -> tuple[list[Any], list[Event]]:
        """As the exchange's, counting commands."""
        result = super().run(*frames)
        self.sent.append((self.now_ns // SECOND_NS, len(result[0])))
        return result

    def recent(self) -> int:
        """Commands of the last ten seconds, this one included."""
        return sum(number for second, number in self.sent if second > self.now_ns // SECOND_NS - 10)

    def arm(self, breaker: int) -> None:
        """Lets a breaker of the spot market watch; the leveraged ones watch by themselves."""
        if self.market == SPOT:
            settings: dict[str, Any] = {"market": SPOT, "breaker": breaker, "config_version": 1}
            self.must(commands.build("ConfigureBreaker", **self.by(Role.RISK), **settings))

    def pass_time(self, seconds: int) -> None:
        """Time goes on, with prices where the market has a feed."""
        while seconds > 0:
            step = min(seconds, 4) if self.market != SPOT else seconds
            self.now_ns += step * SECOND_NS
            seconds -= step
            self.tick()
            if self.market != SPOT:
                self.quote(OPENING)

    def print_at(self, price: int, lots: int = 10_000, *, back: bool = False) -> None:
        """A trade, or as much of it as the breakers let pass; ``back`` the other way round."""
        seller, buyer = (BUYER, SELLER) if back else (SELLER, BUYER)
        self.run(self.order(seller, Side.SELL, price, lots, market=self.market))
        self.run(self.order(buyer, Side.BUY, price, lots, market=self.market))

    def tripped(self, breaker: int) -> bool:
        """Whether the engine itself tripped it."""
        by_engine = [event for event in self.happened("BreakerTripped") if not any(bytes(event.principal))]
        return breaker != self.blind and any(event.breaker == breaker for event in by_engine)


@cache
def _markets(cover: int = COVER) -> Image:
    """Market 0 and another leveraged one, and a spot market; three who trade, one with resting orders."""
    world = Leveraged(image=image(cover))
    world.must(world.market_command(2, market_kind=MarketKind.PERPETUAL, feed=FEED))
    world.must(world.market_command(3))
    for name in ("seller", "buyer", "witness"):
        account = account_id(world.trader(name, RICH))
        world.must(world.deposit(account, BASE, 10**12))
    world.wait(ACTIVATION_S, OPENING)
    for market in (MARKET, SECOND_MARKET, SPOT):
        world.must(world.order(WITNESS, Side.BUY, RESTING, 10_000, market=market))
    world.wait(20, OPENING)
    return world.image()


@dataclass(frozen=True, slots=True)
class _Trial:
    """Inputs of one breaker: with ``over`` 0 exactly what is allowed, with 1 the smallest unit more."""

    breaker: int
    unit: str
    act: Callable[[Watched, int], None]
    spot: bool = False
    cover: int = COVER

    def world(self, leveraged: int = 0, blind: int = 0) -> Watched:
        """Where it is tried, before anything happened."""
        return Watched(leveraged, blind, self.cover)


def half_covered(world: Watched, over: int) -> None:
    """Three pairs of $1,000 a side before a vault of $300; a fall of 6 % puts twice that at risk.

    A long side with stake S is short of 0.3 · (1,000 - 60) - (S - 60) dollars if the mark moves by
    another 30 % (P9.1): 192, 192 and 218.52. The vault has its 70 % of three fees of 60 cents. One tick
    more is 21 cents more.
    """
    notional = PAIR_LOTS * OPENING * UNIT
    fees = [notional * rate // 10_000_000_000 for rate in (TAKER_FEE_E6BP, MAKER_FEE_E6BP)]
    for number, stake in enumerate(STAKES):
        long, short = (
            world.trader(f"{side} {number}", stake + fee)
            for side, fee in zip(("long", "short"), fees, strict=True)
        )
        world.must(world.order(short, Side.SELL, OPENING, PAIR_LOTS, market=world.market))
        world.must(world.order(long, Side.BUY, OPENING, PAIR_LOTS, market=world.market))
        world.wait(1, OPENING)
    for ticks in range(OPENING, HALF_COVERED, -20):
        world.wait(1, ticks)
    world.wait(5, HALF_COVERED - over)


def _price_fast(world: Watched, over: int) -> None:
    world.arm(PRICE_FAST)
    world.print_at(OPENING)
    world.now_ns += 1_500_000_000
    world.print_at(OPENING * 105 // 100 + over)


def _price_slow(world: Watched, over: int) -> None:
    world.arm(PRICE_SLOW)
    for price in (OPENING, OPENING * 104 // 100, OPENING * 108 // 100):
        world.print_at(price)
        world.now_ns += 2 * SECOND_NS
    world.print_at(OPENING * 110 // 100 + over)


def _price_platform(world: Watched, over: int) -> None:
    world.print_at(OPENING)
    for step in range(1, 21):
        world.wait(2, OPENING * (100 + step) // 100)
    world.wait(2, OPENING * 120 // 100 + over)


def _volume(world: Watched, over: int) -> None:
    """An hour of little; then within one minute as much as the floor of the breaker."""
    world.arm(VOLUME)
    for minute in range(60):
        # To and fro, so that volume comes without open interest.
        world.print_at(OPENING, 10_000 + minute % 11 * 100, back=minute % 2 == 1)
        world.pass_time(60)
    world.pass_time(1)
    lots = VOLUME_FLOOR // (OPENING * UNIT)
    world.print_at(OPENING, lots - DOLLAR_LOTS)
    world.print_at(OPENING, over * DOLLAR_LOTS)


def _congestion(world: Watched, over: int) -> None:
    """One account sends more than it may, until a fifth of all commands was refused, or one more."""
    world.pass_time(12)
    limited = 0
    while not limited and world.recent() < MAX_BURST:
        limited += _flood(world, BURST_BATCH)
    more = (world.recent() - 5 * limited) // 4 + over
    while more > 0:
        limited += _flood(world, min(more, BURST_BATCH))
        more -= BURST_BATCH
    world.tick()


def _flood(world: Watched, number: int) -> int:
    """Commands of one account at one moment; how many were above its rate."""
    frames = [world.order(FLOODER, Side.BUY, OPENING, 0, market=world.market) for _ in range(number)]
    answers, _ = world.run(*frames)
    return sum(answer.code == "RATE_LIMITED" for answer in answers)


def _oracle(world: Watched, over: int) -> None:
    world.quote(OPENING)
    world.now_ns += STALE_NS + over
    world.tick()


def _open_interest(world: Watched, over: int) -> None:
    world.print_at(OPENING, BASE_INTEREST)
    world.wait(1, OPENING)
    world.print_at(OPENING, BASE_INTEREST * 8 // 100 + over)


def _liquidations(world: Watched, over: int) -> None:
    """Ten accounts are liquidated within a minute, or one more; each is small beside the open interest."""
    world.print_at(OPENING, BASE_INTEREST)
    margin = SMALL_LOTS * UNIT * OPENING // 10
    for number in range(ACCOUNTS + over):
        owner = world.trader(f"small {number}", margin + SMALL_LOTS * UNIT * OPENING // 1_000)
        world.must(world.order(SELLER, Side.SELL, OPENING, SMALL_LOTS, market=world.market))
        world.must(world.order(owner, Side.BUY, OPENING, SMALL_LOTS, market=world.market))
    for step in range(1, 13):
        world.wait(2, OPENING - 50 * step)
        if step == 1:
            near = OPENING * 94 // 100 - 50
            world.must(world.order(SELLER, Side.BUY, near, BASE_INTEREST, market=world.market))
    world.wait(20, OPENING * 94 // 100)


TRIALS: Final = (
    _Trial(COVERAGE, "tick", half_covered, cover=THIN_VAULT),
    _Trial(PRICE_FAST, "tick", _price_fast, spot=True),
    _Trial(PRICE_SLOW, "tick", _price_slow, spot=True),
    _Trial(PRICE_PLATFORM, "tick", _price_platform),
    _Trial(VOLUME, "dollar", _volume, spot=True),
    _Trial(CONGESTION, "command", _congestion, spot=True),
    _Trial(ORACLE, "nanosecond", _oracle),
    _Trial(OPEN_INTEREST, "lot", _open_interest),
    _Trial(LIQUIDATION, "account", _liquidations),
)

# ---- breakers-functionality -----------------------------------------------------------------------------


def _refuses(world: Watched) -> bool:
    answer = world.ask(world.order(BUYER, Side.BUY, RESTING, 10_000, market=world.market))
    return answer.code in REFUSALS


def _after_trip(world: Watched, send: Send) -> dict[str, bool]:
    """The next new risk is refused: now, after a restart, whatever the clock says; cancels are not."""
    seen = {"refuses": _refuses(world)}
    now_ns = world.now_ns
    world.engine = Engine.restore(bytes(world.engine.snapshot()))
    seen["after a restart"] = _refuses(world)
    world.now_ns = now_ns - 3_600 * SECOND_NS
    seen["clock back"] = _refuses(world)
    until_ns = max(event.until_ns for event in world.happened("BreakerTripped"))
    world.now_ns = max(until_ns - 1, now_ns)
    seen["until its last moment"] = _refuses(world)
    world.now_ns = now_ns
    cancelled = world.ask(
        commands.cancel_all(principal=WITNESS, account=account_id(WITNESS), market=world.market)
    )
    left = [event for event in world.happened("OrderCancelled") if event.market == world.market]
    seen["cancels"] = cancelled.code == "" and bool(left)
    return seen


def _try(trial: _Trial, new_send: Callable[[], Send]) -> dict[str, Any]:
    world = trial.world(2 if trial.spot else 0)
    world.send = new_send()
    trial.act(world, 0)
    below = world.tripped(trial.breaker)
    world = trial.world(2 if trial.spot else 0)
    world.send = new_send()
    trial.act(world, 1)
    tripped = world.tripped(trial.breaker)
    return {
        "breaker": trial.breaker,
        "unit": trial.unit,
        "trips below": below,
        "trips at": tripped,
        "effects": _after_trip(world, world.send) if tripped else {},
    }


def _observe(context: ProbeContext, new_send: Callable[[], Send] = lambda: honest) -> Facts:
    return {"trials": [_try(trial, new_send) for trial in TRIALS]}


def _in_another_unit() -> Send:
    """Moments reach the engine as if a second were a millisecond."""
    base_ns: int | None = None

    def send(engine: Any, frames: bytes, now_ns: int) -> Batch:
        nonlocal base_ns
        base_ns = now_ns if base_ns is None else base_ns
        return honest(engine, frames, base_ns + (now_ns - base_ns) // 1_000)

    return send


def _summarise(facts: Facts) -> Mapping[str, MeasuredValue]:
    trials = facts["trials"]
    good = [row for row in trials if row["trips at"] and all(row["effects"].values())]
    return {
        "breakers_tripped_at_threshold": ratio(len(good), len(trials)),
        "false_trips_below_threshold": count(sum(row["trips below"] for row in trials), len(trials)),
    }


functionality = drill(
    "breakers-functionality",
    observe=_observe,
    broken=lambda context: _observe(context, _in_another_unit),
    summarise=_summarise,
    provenance="virtual",
)

# ---- breakers-six-types ---------------------------------------------------------------------------------


def _types(context: ProbeContext, blind: int = 0) -> Facts:
    """Each breaker's inputs in each leveraged market, which nobody has configured."""
    rows = []
    for number in range(2):
        for trial in TRIALS:
            if trial.breaker == PRICE_SLOW:
                continue  # its ten per cent lie beyond the price band of a market with an index
            world = trial.world(number, blind)
            trial.act(world, 1)
            rows.append(
                {"market": number, "name": NAMES[trial.breaker], "tripped": world.tripped(trial.breaker)}
            )
    return {"rows": rows, "named": sorted(set(NAMES.values()))}


def _summarise_types(facts: Facts) -> Mapping[str, MeasuredValue]:
    rows = facts["rows"]
    markets = {row["market"] for row in rows}
    armed = {row["name"] for row in rows if row["tripped"]}
    whole = [market for market in markets if all(row["tripped"] for row in rows if row["market"] == market)]
    return {
        "breaker_types_armed": count(len(armed - {NAMES[OPEN_INTEREST]}), len(facts["named"])),
        "breaker_types_armed_with_oi_rate": count(len(armed), len(facts["named"])),
        "markets_armed": ratio(len(whole), len(markets)),
    }


six_types = drill(
    "breakers-six-types",
    observe=_types,
    broken=lambda context: _types(context, VOLUME),
    summarise=_summarise_types,
    provenance="virtual",
)
