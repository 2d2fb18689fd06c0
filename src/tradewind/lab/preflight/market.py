"""Checks of market data and of the venue's rules: V09, V11, V20, V23."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any, Final
from zlib import crc32

import msgspec

from tradewind.lab.preflight.exchange import SYMBOL, World, instrument
from tradewind.lab.preflight.model import Context, Evidence, require
from tradewind.trader.risk.check import Code, Path
from tradewind.trader.risk.profile import load_profile
from tradewind.trader.risk_view import risk_order
from tradewind.trader.strategies.market_making import MarketMaking, MarketMakingParameters
from tradewind.trader.strategy import PlaceIntent
from tradewind.venues.feeds.checksum import kraken_checksum
from tradewind.venues.feeds.decoding import Received
from tradewind.venues.feeds.pipeline import MarketPipeline
from tradewind.venues.feeds.sequencing import KrakenChecksumRule
from tradewind.venues.kraken.decoder import KrakenDecoder
from tradewind.venues.market_data import BookState, Known, Side, Unknown
from tradewind.venues.paper.filters import OrderContext, Rules, check_values
from tradewind.venues.protocol import OrderType, TimeInForce

UPDATES: Final = 60
SECOND_NS: Final = 1_000_000_000
E6BP_PER_BPS: Final = 1_000_000


async def filters(context: Context) -> Evidence:
    """V09: one order per filter, each just outside its bound, is refused with that filter's code."""
    truth = instrument()
    rules = Rules(
        instrument=context.at("V09.instrument", truth),
        max_open_orders=200,
        price_up_multiplier=Decimal(5),
        price_down_multiplier=Decimal("0.2"),
        max_position=Decimal(10),
        order_types=frozenset({OrderType.LIMIT}),
        times_in_force=frozenset({TimeInForce.GTC}),
    )
    tick, lot = truth.tick, truth.lot
    good: dict[str, Any] = {"price": Decimal(50_000), "quantity": Decimal("0.01")}
    reference: dict[str, Any] = {"reference_price": Decimal(50_000), "open_orders": 0, "position": Decimal(0)}
    cases: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
        "off the tick": ({"price": Decimal(50_000) + tick / 2}, {}),
        "off the lot": ({"quantity": Decimal("0.01") + lot / 2}, {}),
        "below the smallest notional": (
            {"price": Decimal(1), "quantity": lot},
            {"reference_price": Decimal(1)},
        ),
        "above the largest size": ({"quantity": Decimal(9_000) + lot}, {}),
        "above the price band": ({"price": Decimal(250_000) + tick}, {}),
        "below the price band": ({"price": Decimal(10_000) - tick}, {}),
        "one order too many": ({}, {"open_orders": 200}),
        "position too large": ({}, {"position": Decimal(10)}),
        "not a number": ({"price": "NaN"}, {}),
        "zero": ({"quantity": "0"}, {}),
    }
    require(not _codes(rules, good, reference), "a good order is refused")
    codes = {}
    for name, (order, state) in cases.items():
        found = _codes(rules, {**good, **order}, {**reference, **state})
        require(bool(found), f"an order that is {name} was accepted")
        codes[name] = found[0]
    kinds = check_values(
        rules, Side.BUY, OrderType.MARKET, TimeInForce.IOC, **good, context=OrderContext(**reference)
    )
    require(len(kinds) == 2, "an unsupported type and time in force were not both refused")
    require(len(set(codes.values())) >= 7, f"filters share their codes: {codes}")
    return {"codes": codes}


def _codes(rules: Rules, order: dict[str, Any], state: dict[str, Any]) -> list[str]:
    failures = check_values(
        rules, Side.BUY, OrderType.LIMIT, TimeInForce.GTC, **order, context=OrderContext(**state)
    )
    return [one.code for one in failures]


async def checksums(context: Context) -> Evidence:
    """V11: a synthetic book stream stays live through its checksums, and one corrupt price makes it
    suspect.
    """
    healthy = _Stream()
    healthy.apply(context.at("V11.frames", healthy.frames()))
    state = healthy.pipeline.book(SYMBOL).state
    require(state is BookState.LIVE, f"the book is {state} after {UPDATES} good updates")
    require(healthy.mirrored(), "the mirrored levels are not those that were sent")
    corrupt = _Stream()
    frames = corrupt.frames()
    frames[UPDATES // 2] = _with_wrong_price(frames[UPDATES // 2])
    corrupt.apply(frames[: UPDATES // 2 + 1])
    state = corrupt.pipeline.book(SYMBOL).state
    require(state is BookState.SUSPECT, f"a corrupt price left the book {state}")
    return {"updates": UPDATES, "corrupt": str(state)}


def _with_wrong_price(frame: bytes) -> bytes:
    document = json.loads(frame)
    level = document["data"][0]["bids"][0]
    level["qty"] = round(level["qty"] + 0.0001, 4)
    return json.dumps(document).encode()


class _Stream:
    """A Kraken v2 book stream whose checksums are computed here, independently of the feed's code."""

    def __init__(self) -> None:
        one = msgspec.structs.replace(instrument(), venue_symbol=SYMBOL)
        self.pipeline = MarketPipeline(KrakenDecoder([one]), KrakenChecksumRule(), None, kraken_checksum)
        self.bids = {5_000_000 - 10 * step: 100 + step for step in range(12)}
        self.asks = {5_000_100 + 10 * step: 90 + step for step in range(12)}

    def frames(self) -> list[bytes]:
        """A snapshot, then updates of the best bid's size and of one level behind."""
        frames = [self._frame("snapshot", self.bids, self.asks)]
        for number in range(UPDATES):
            change = {5_000_000: 100 + number, 5_000_000 - 10 * (number % 9 + 1): 300 + number}
            self.bids.update(change)
            frames.append(self._frame("update", change, {}))
        return frames

    def _frame(self, kind: str, bids: dict[int, int], asks: dict[int, int]) -> bytes:
        def rows(levels: dict[int, int]) -> list[dict[str, float]]:
            return [{"price": price / 100, "qty": lots / 10_000} for price, lots in levels.items()]

        row = {"symbol": SYMBOL, "bids": rows(bids), "asks": rows(asks), "checksum": self._checksum()}
        return json.dumps({"channel": "book", "type": kind, "data": [row]}).encode()

    def _checksum(self) -> int:
        asks = sorted(self.asks.items())[:10]
        bids = sorted(self.bids.items(), reverse=True)[:10]
        return crc32("".join(f"{price}{lots}" for price, lots in asks + bids).encode())

    def apply(self, frames: list[bytes]) -> None:
        """Feed the frames through decoder and book."""
        for number, frame in enumerate(frames):
            received = Received(1_000_000_000 + number * 1_000_000, number * 1_000_000, 0)
            for message in self.pipeline.decoder.decode(frame, received):
                self.pipeline.apply(message, [])

    def mirrored(self) -> bool:
        """Whether the book holds exactly what was sent."""
        book = self.pipeline.book(SYMBOL)
        bids = sorted(self.bids.items(), reverse=True)
        return (
            list(book.bids.top(20)) == bids[:20] and list(book.asks.top(20)) == sorted(self.asks.items())[:20]
        )


async def fees(context: Context) -> Evidence:
    """V20: the schedule is named, dated and not zero; the engine charges it; the cost gate stands on it."""
    world = await (await World.open()).live()
    schedule = context.at("V20.schedule", world.venue.setup.fees)
    require(schedule.maker_bps > 0 and schedule.taker_bps > 0, "a fee of zero is not believed")
    require(bool(schedule.source and schedule.checked_on), "the schedule names no source and date")
    known = await world.venue.fees("trader", SYMBOL)
    require(isinstance(known, Known) and known.value == schedule, "the venue tells another schedule")
    charged = await _taken_fee(world)
    notional = Decimal(50_001) * Decimal("0.001")
    expected = notional * schedule.taker_rate
    require(charged == expected, f"{charged} was charged for {notional}, the schedule says {expected}")
    intent = PlaceIntent(symbol=SYMBOL, side=Side.BUY, price_ticks=4_999_900, lots=10)
    order = risk_order(world.trader, "manual", Path.MANUAL, intent, world.port.now_ns())
    blind = msgspec.structs.replace(world.trader.snapshot_for_risk(), fees=Unknown("preflight"))
    denied = [one.code for one in world.trader.risk.check(order, blind)]
    require(Code.FEES_UNKNOWN in denied, f"an order with unknown fees was not denied: {denied}")
    half_bps = await _half_spread_bps(schedule)
    require(
        half_bps >= schedule.maker_bps,
        f"honest quotes stand {half_bps} bps away, fees are {schedule.maker_bps}",
    )
    return {
        "schedule": schedule.name,
        "maker_bps": str(schedule.maker_bps),
        "taker_bps": str(schedule.taker_bps),
        "checked_on": schedule.checked_on,
        "charged": str(charged),
        "honest_half_spread_bps": str(round(half_bps, 2)),
    }


async def _taken_fee(world: World) -> Decimal:
    """Takes 0.001 from the displayed ask and returns the fee that was charged."""
    intent = PlaceIntent(
        symbol=SYMBOL,
        side=Side.BUY,
        price_ticks=5_000_100,
        lots=10,
        post_only=False,
        time_in_force=TimeInForce.IOC,
    )
    denied, _ = await world.trader.submit(intent)
    require(not denied, f"the probing order was denied: {[one.code for one in denied]}")
    await world.session.sleep_ns(SECOND_NS)
    return sum((one.fee for one in world.trader.recent_fills), Decimal(0))


async def _half_spread_bps(schedule: Any) -> Decimal:
    """Distance of the honest strategy's nearest quote from the middle."""
    strategy = MarketMaking((SYMBOL,), MarketMakingParameters(), environment="sim")
    world = await (await World.open(strategy=strategy)).live()
    for _ in range(3):
        await world.session.sleep_ns(SECOND_NS // 2)
        await world.live()
    quotes = world.trader.oms.working()
    require(bool(quotes), f"the honest strategy does not quote: {strategy.gate_reason}")
    middle = Decimal(10_000_100) / 2
    return min(abs(Decimal(one.price_ticks) - middle) for one in quotes) * 10_000 / middle


async def stale(context: Context) -> Evidence:
    """V23: a gap, and data older than its budget, each stop new risk and take working quotes off the book."""
    profile = context.at("V23.profile", load_profile("paper"))
    facts: dict[str, Any] = {}
    gap = await (await World.open(profile=profile)).live()
    require(await _accepted(gap), "an order in a live book was denied")
    await gap.state(BookState.SUSPECT)
    facts["gap"] = await _denials(gap)
    require(Code.STALE_MARKET in facts["gap"], f"after a gap new risk was not denied: {facts['gap']}")
    old = await (await World.open(profile=profile)).live()
    await old.session.sleep_ns(load_profile("paper").limits.max_market_age_ms * 1_000_000 + SECOND_NS)
    facts["stale"] = await _denials(old)
    require(Code.STALE_MARKET in facts["stale"], f"on old data new risk was not denied: {facts['stale']}")
    await gap.live()
    require(await _accepted(gap, price_ticks=4_999_800), "after the resync new risk is still denied")
    return facts


async def _accepted(world: World, price_ticks: int = 4_999_900) -> bool:
    return not await _denials(world, price_ticks)


async def _denials(world: World, price_ticks: int = 4_999_700) -> list[str]:
    intent = PlaceIntent(symbol=SYMBOL, side=Side.BUY, price_ticks=price_ticks, lots=10)
    denied, _ = await world.trader.submit(intent)
    return [str(one.code) for one in denied]
