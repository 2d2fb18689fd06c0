"""The path inside a candle: nothing is known before its end, and no order fills better than it allows."""

from __future__ import annotations

import random
from decimal import Decimal

import msgspec
import pytest
from backtest_world import (
    MINUTE_NS,
    START_NS,
    STEADY,
    SYMBOL,
    CandlesOf,
    Scripted,
    buy,
    candle,
    played,
    sell,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind.trader.backtest.candles import (
    BURST_STEP_NS,
    Candle,
    CandleModel,
    check_candles,
    latency_for_candles,
)
from tradewind.trader.backtest.errors import DataRefused
from tradewind.trader.strategy import Bar, Context, StrategyIntent
from tradewind.venues.market_data import BookDelta, BookSnapshot, TradePrint
from tradewind.venues.paper.latency import LatencyConfig, LatencyModel

PRICES = st.lists(st.integers(9_900, 10_100), min_size=4, max_size=4)


def of(prices: list[int], number: int, volume: str = "100") -> Candle:
    first, last, *others = prices
    text = " ".join(f"{one / 100:.2f}" for one in (first, max(prices), min(prices), last))
    del others
    return candle(number, text, volume)


def events_before(data: CandlesOf, at_ns: int) -> list[object]:
    return [event for now_ns, events in data.batches() for event in events if now_ns < at_ns]


@given(PRICES, PRICES, PRICES, st.integers(1, 500), st.integers(0, 5))
def test_before_a_candle_ends_its_events_are_the_same_whatever_it_will_be(
    before: list[int], one: list[int], other: list[int], volume: int, seed: int
) -> None:
    other = [one[0], *other[1:]]
    end_ns = START_NS + 2 * MINUTE_NS - 10 * BURST_STEP_NS
    first = CandlesOf([of(before, 0), of(one, 1)], seed)
    second = CandlesOf([of(before, 0), of(other, 1, str(volume))], seed)
    assert events_before(first, end_ns) == events_before(second, end_ns)


@given(PRICES, st.integers(0, 9))
def test_prints_stay_inside_of_the_candle_and_add_up_to_its_volume(prices: list[int], seed: int) -> None:
    one = of(prices, 0, "12.3456")
    data = CandlesOf([one], seed)
    prints = [event for _, events in data.batches() for event in events if isinstance(event, TradePrint)]
    lot, tick = data.instruments[SYMBOL].lot, data.instruments[SYMBOL].tick
    assert sum(event.quantity_lots for event in prints) * lot == one.volume
    assert {tick * event.price_ticks for event in prints} == {one.open, one.high, one.low, one.close}
    assert tick * prints[0].price_ticks == one.open
    assert tick * prints[-1].price_ticks == one.close
    times = [now_ns for now_ns, _ in data.batches()]
    assert times == sorted(times)
    assert times[-1] < START_NS + MINUTE_NS


def test_which_extreme_comes_first_depends_on_seed_and_time_and_not_on_the_close() -> None:
    def low_first(number: int, last: str, seed: int) -> bool:
        data = CandlesOf([candle(number, f"100 110 90 {last}")], seed)
        prices = [
            event.price_ticks for _, events in data.batches() for event in events
            if isinstance(event, TradePrint)
        ]  # fmt: skip
        return prices.index(9_000) < prices.index(11_000)

    ways = [low_first(number, "105", 1) for number in range(60)]
    assert ways == [low_first(number, "95", 1) for number in range(60)]
    assert 15 < sum(ways) < 45
    assert ways != [low_first(number, "105", 2) for number in range(60)]


def test_a_candle_without_volume_prints_nothing() -> None:
    data = CandlesOf([candle(0, "100 100 100 100", "0")])
    events = [event for _, events in data.batches() for event in events]
    assert [type(event).__name__ for event in events] == ["BookSnapshot", "FeedState"]


def once(intent: object, number: int = 0):  # type: ignore[no-untyped-def]
    """Wish it at the book of the candle with this number."""

    def wish(strategy: Scripted, context: object) -> list[object]:
        at_ns = START_NS + number * MINUTE_NS
        due = context.now_ns >= at_ns and not getattr(strategy, "done", False)  # type: ignore[attr-defined]
        strategy.done = due or getattr(strategy, "done", False)  # type: ignore[attr-defined]
        return [intent] if due else []

    return wish


CANDLES = [
    candle(0, "100 100.5 99.5 100"),
    candle(1, "100 101 98.5 100.5"),
    candle(2, "100.5 101.5 99 99.5"),
]


@pytest.mark.parametrize(("price_ticks", "filled"), [(9_850, 0), (9_851, 1), (9_900, 1), (9_849, 0)])
def test_a_resting_buy_fills_at_its_own_price_only_when_the_candle_went_through_it(
    price_ticks: int, filled: int
) -> None:
    facts = played(CandlesOf(CANDLES[:2]), Scripted(once(buy(price_ticks, 100))))
    assert len(facts.fills) == filled
    assert all(fill.price_ticks == price_ticks and fill.maker for fill in facts.fills)


@pytest.mark.parametrize(("price_ticks", "sold"), [(10_150, 0), (10_149, 1)])
def test_a_resting_sell_fills_only_when_the_candle_went_through_it(price_ticks: int, sold: int) -> None:
    def wish(strategy: Scripted, context: object) -> list[object]:
        if len(strategy.books) == 4:  # the open of the second candle
            return [buy(10_100, 100, take=True)]
        if strategy.fills and not getattr(strategy, "asked", False):
            strategy.asked = True  # type: ignore[attr-defined]
            return [sell(price_ticks, 100)]
        return []

    # Both prices are reached by the third candle only: its high is 101.50.
    facts = played(CandlesOf([*CANDLES, candle(3, "99.5 99.5 98.5 99")]), Scripted(wish))
    assert sum(1 for fill in facts.fills if int(fill.side) == 1) == sold


def test_an_order_takes_at_most_the_stated_share_of_the_volume() -> None:
    thin = [candle(0, "100 100.5 99.5 100", "0.2"), candle(1, "100 101 98.5 100.5", "0.2")]
    facts = played(CandlesOf(thin), Scripted(once(buy(9_990, 500))))
    filled = sum(fill.lots for fill in facts.fills) * facts.lot
    assert filled == Decimal("0.02"), "a tenth of the volume of the candle in which it rested"


def test_what_is_wished_at_the_end_of_a_candle_reaches_the_venue_in_the_next_one() -> None:
    def at_the_end(strategy: Scripted, context: object) -> list[object]:
        late = context.now_ns % MINUTE_NS > MINUTE_NS - 10 * BURST_STEP_NS  # type: ignore[attr-defined]
        return [buy(10_150, 100, take=True)] if late and not strategy.fills else []

    facts = played(CandlesOf(CANDLES), Scripted(at_the_end))
    assert facts.fills
    for fill in facts.fills:
        inside_ns = fill.venue_ts_ns % MINUTE_NS
        assert 39 * 10**6 < inside_ns < 41 * 10**6, "the entry latency lies between wish and fill"
        place = (fill.venue_ts_ns - START_NS) // MINUTE_NS
        assert fill.price_ticks > CANDLES[place].open * 100, "a taker pays half of the spread"


ROUND = st.lists(st.tuples(PRICES, st.integers(1, 200)), min_size=3, max_size=6)


@settings(max_examples=12, deadline=None)
@given(ROUND, st.integers(0, 1_000))
def test_no_fill_is_better_than_its_candle(rows: list[tuple[list[int], int]], seed: int) -> None:
    candles = [of(prices, number, str(volume)) for number, (prices, volume) in enumerate(rows)]
    generator = random.Random(seed)

    def wish(strategy: Scripted, context: object) -> list[object]:
        price = generator.randrange(9_900, 10_100)
        take = generator.random() < 0.3
        if context.position_lots and generator.random() < 0.5:  # type: ignore[attr-defined]
            lots = min(300, context.position_lots)  # type: ignore[attr-defined]
            return [] if context.orders else [sell(price, lots, take=take)]  # type: ignore[attr-defined]
        return [buy(price, generator.randrange(1, 300), take=take)]

    facts = played(CandlesOf(candles, seed), Scripted(wish), cash=Decimal(50_000))
    assert not facts.differences
    for fill in facts.fills:
        place = min(len(candles) - 1, (fill.venue_ts_ns - START_NS) // MINUTE_NS)
        price = facts.tick * fill.price_ticks
        if int(fill.side) == 0:
            assert price >= candles[place].low
        else:
            assert price <= candles[place].high


def test_latency_never_reaches_into_the_burst() -> None:
    fixed = latency_for_candles(LatencyConfig.off())
    model = LatencyModel(fixed)
    assert {model.draw_ns(path) for path in ("entry", "cancel", "report")} == {1_000_000}
    assert latency_for_candles(STEADY) == STEADY
    default = LatencyModel(latency_for_candles(LatencyConfig()))
    assert min(default.draw_ns("entry") for _ in range(20_000)) > 100 * 4 * BURST_STEP_NS
    with pytest.raises(DataRefused, match="latency"):
        latency_for_candles(LatencyConfig(entry_median_ms=1, entry_p99_ms=2_000))


def test_candles_out_of_order_twice_impossible_or_missing_are_refused() -> None:
    good = [candle(0, "100 101 99 100"), candle(1, "100 101 99 100")]
    assert check_candles(good, MINUTE_NS, where="x", allow_gaps=False) == []
    cases = [
        ("DATA_UNSORTED", [good[1], good[0]]),
        ("DATA_UNSORTED", [good[0], good[0]]),
        ("DATA_GAP", [good[0], candle(3, "100 101 99 100")]),
        ("DATA_DAMAGED", [candle(0, "100 101 99 102")]),
        ("DATA_DAMAGED", [candle(0, "100 101 -1 100")]),
        ("DATA_DAMAGED", [candle(0, "100 NaN 99 100")]),
        ("DATA_DAMAGED", [candle(0, "100 101 99 100", "-1")]),
        ("DATA_EMPTY", []),
    ]
    for code, candles in cases:
        with pytest.raises(DataRefused) as refused:
            check_candles(candles, MINUTE_NS, where="x", allow_gaps=False)
        assert refused.value.code == code
    gaps = check_candles([good[0], candle(3, "100 101 99 100")], MINUTE_NS, where="x", allow_gaps=True)
    assert gaps == ["x: 2 candles are missing before candle 2"]


@pytest.mark.parametrize(
    "model",
    [CandleModel(spread_bps=Decimal(-1)), CandleModel(participation_pct=Decimal(0)),
     CandleModel(spread_bps=Decimal("NaN"))],
)  # fmt: skip
def test_a_model_outside_its_bounds_is_refused(model: CandleModel) -> None:
    with pytest.raises(DataRefused, match="candle"):
        model.validate()


def test_a_taker_sees_a_book_around_the_open_for_the_whole_candle() -> None:
    data = CandlesOf(CANDLES[:1], model=CandleModel(spread_bps=Decimal(20)))
    [(_, events), *_] = list(data.batches())
    assert isinstance(events[0], BookSnapshot)
    assert (events[0].bids[0][0], events[0].asks[0][0]) == (9_990, 10_010)
    deltas = [event for _, rest in data.batches() for event in rest if isinstance(event, BookDelta)]
    assert all(delta.recv_ts_ns >= START_NS + MINUTE_NS - 3 * BURST_STEP_NS for delta in deltas)


class BarsSeen(Scripted):
    """Keeps the bars it is told of, with the moment."""

    def __init__(self) -> None:
        super().__init__()
        self.manifest = msgspec.structs.replace(self.manifest, data=("bars:60",))
        self.bars: list[tuple[int, Bar]] = []

    def on_bar(self, context: Context, bar: Bar) -> list[StrategyIntent]:
        self.bars.append((context.now_ns, bar))
        return []


def test_a_strategy_of_bars_is_told_exactly_the_candles_each_after_its_end() -> None:
    candles = [*CANDLES, candle(3, "99.5 99.5 99.5 99.5", "0"), candle(4, "99.5 100 99 99.75")]
    strategy = BarsSeen()
    facts = played(CandlesOf([*candles, candle(5, "100 100 100 100")]), strategy)
    assert facts.strategy_error is None
    # The bar in which the trader starts is not whole and is not told.
    for (told_ns, bar), one in zip(strategy.bars, candles[1:], strict=True):
        assert (bar.start_ns, bar.seconds) == (one.open_ns, 60)
        prices = (bar.open_ticks, bar.high_ticks, bar.low_ticks, bar.close_ticks)
        assert prices == tuple(int(price * 100) for price in (one.open, one.high, one.low, one.close))
        assert told_ns >= bar.end_ns
        assert told_ns - bar.end_ns < 2 * 10**9
    assert not strategy.books, "who wants bars only is not told of books"
