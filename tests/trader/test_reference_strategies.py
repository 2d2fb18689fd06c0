"""The shipped strategies: the same intents twice, never more than their caps, nothing left on a suspect book,
and each rule of T14.4 to T14.6.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal as D

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind.trader.discovery import make
from tradewind.trader.parameters import ParameterError, declarations, perturbations
from tradewind.trader.rehearsal import FEES, START_NS, Rehearsal, plain_instrument, rehearse
from tradewind.trader.strategies import breakout, holding, market_making, mean_reversion, outcome_reference
from tradewind.trader.strategies.breakout import Breakout, BreakoutParameters
from tradewind.trader.strategies.holding import EXIT, STOP, HoldingStrategy
from tradewind.trader.strategies.market_making import MarketMaking, MarketMakingParameters
from tradewind.trader.strategies.mean_reversion import MeanReversion, MeanReversionParameters
from tradewind.trader.strategies.outcome_reference import (
    LATEST_S,
    OutcomeReference,
    OutcomeReferenceParameters,
)
from tradewind.trader.strategy import (
    AmendIntent,
    Bar,
    BookTop,
    CancelIntent,
    Context,
    OwnOrder,
    PlaceIntent,
    PublicTrade,
    Strategy,
    StrategyIntent,
)
from tradewind.venues.market_data import Side
from tradewind.venues.protocol import TimeInForce

COIN = ("BTC/USDT",)
SECOND_NS = 10**9
OVER_BARS = [MeanReversion, Breakout]
SETTLED = OutcomeReferenceParameters(settles_at_s=LATEST_S)
SHIPPED: dict[str, Callable[[], Strategy]] = {
    "market_maker": lambda: MarketMaking(COIN),
    "market_maker demonstration": lambda: MarketMaking(COIN, market_making.DEMONSTRATION),
    "mean_reversion": lambda: MeanReversion((*COIN, "ETH/USDT")),
    "mean_reversion demonstration": lambda: MeanReversion((*COIN, "ETH/USDT"), mean_reversion.DEMONSTRATION),
    "breakout": lambda: Breakout((*COIN, "ETH/USDT")),
    "breakout demonstration": lambda: Breakout((*COIN, "ETH/USDT"), breakout.DEMONSTRATION),
    "outcome_reference": lambda: OutcomeReference(("YES/USDC",), SETTLED, outside=("POLY/USDC",)),
    "outcome_reference demonstration": lambda: OutcomeReference(
        ("YES/USDC",), outcome_reference.DEMONSTRATION, outside=("POLY/USDC",)
    ),
}
TRADES = [name for name in SHIPPED if name not in {"market_maker", "mean_reversion"}]


@pytest.mark.parametrize("name", SHIPPED)
def test_the_same_inputs_twice_give_byte_identical_intents_and_no_problem(name: str) -> None:
    """Problems include orders that survive a suspect book and intents that break the contract."""
    played = rehearse(SHIPPED[name], steps=1_500)
    assert played.problems == []
    assert played.callbacks > 1_500
    if name in TRADES:
        assert played.fills > 0, "a strategy that does nothing proves nothing"


class _Clock(MarketMaking):
    """A strategy that breaks the contract: it counts over all of its lives."""

    lives = 0

    def on_book(self, context: Context, book: BookTop) -> list[StrategyIntent]:
        intents = super().on_book(context, book)
        _Clock.lives += 1
        return intents if _Clock.lives % 7 else []


class _Keeps(MarketMaking):
    """One that leaves its orders in a suspect book."""

    def on_suspect(self, context: Context, symbol: str) -> list[StrategyIntent]:
        return []


@pytest.mark.parametrize(
    ("broken", "problem"), [(_Clock, "other intents"), (_Keeps, "survive a suspect book")]
)
def test_the_rehearsal_sees_a_hidden_state_and_an_order_in_a_suspect_book(
    broken: type[MarketMaking], problem: str
) -> None:
    played = rehearse(lambda: broken(COIN, market_making.DEMONSTRATION), steps=400)
    assert any(problem in text for text in played.problems)


# ---- caps ------------------------------------------------------------------------------------------


class Watched(Rehearsal):
    """Looks at what is held and wished after every callback."""

    def __init__(self, strategy: Strategy, seed: int, most: Callable[[Watched], dict[str, int]]) -> None:
        super().__init__(strategy, seed=seed)
        self.most = most
        self.excess: list[str] = []
        self.wishes = 0

    def money(self) -> D:
        return self.equity() or D(0)

    def _carry_out(self, name: str, intent: object) -> None:
        if isinstance(intent, PlaceIntent):
            self._look(intent)
        super()._carry_out(name, intent)

    def _look(self, intent: PlaceIntent) -> None:
        self.wishes += 1
        working = [order for order in self.working.values() if order.symbol == intent.symbol]
        lots = intent.lots + sum(order.lots - order.filled for order in working if order.side is intent.side)
        held = self.positions[intent.symbol]
        most = self.most(self)[intent.symbol]
        if intent.side is Side.BUY and held + lots > most:
            self.excess.append(f"{held} held and {lots} wished, at most {most}")
        if intent.side is Side.SELL and lots > held:
            self.excess.append(f"{lots} to be sold, {held} held")


def _most_lots(quote: Callable[[Watched], D]) -> Callable[[Watched], dict[str, int]]:
    """A cap in money as lots of each traded symbol; 1 % for what the price moved since the decision."""

    def most(world: Watched) -> dict[str, int]:
        caps = {}
        for symbol in world.positions:
            market = world.markets[symbol]
            assert market.book is not None
            price = market.instrument.tick * market.book.bids[0][0]
            caps[symbol] = int(quote(world) * D("1.01") / price / market.instrument.lot) + 1
        return caps

    return most


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    cap=st.decimals(min_value="0.5", max_value=10, places=1),
    base=st.decimals(min_value=20, max_value=400, places=0),
)
def test_market_making_never_wishes_more_than_its_inventory_cap_nor_sells_what_it_has_not(
    seed: int, cap: D, base: D
) -> None:
    chosen = msgspec.structs.replace(
        market_making.DEMONSTRATION, inventory_cap_pct=cap, base_notional_quote=base
    )
    world = Watched(
        MarketMaking(COIN, chosen),
        seed,
        _most_lots(lambda one: one.money() * D("0.4") * cap / 100),
    )
    played = world.play(400)
    assert (world.excess, played.problems) == ([], [])


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10_000), cap=st.integers(20, 600), which=st.sampled_from(OVER_BARS))
def test_strategies_over_bars_never_wish_more_than_their_caps(
    seed: int, cap: int, which: type[MeanReversion] | type[Breakout]
) -> None:
    chosen = msgspec.structs.replace(
        which.presets["demonstration"], max_notional_quote=D(cap), max_positions=2
    )
    strategy = which((*COIN, "ETH/USDT", "SOL/USDT"), chosen)  # type: ignore[arg-type]
    world = Watched(strategy, seed, _most_lots(lambda one: D(cap)))
    played = world.play(800)
    assert (world.excess, played.problems) == ([], [])


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10_000), cap=st.integers(30, 400))
def test_the_outcome_strategy_never_wishes_more_than_its_position_cap(seed: int, cap: int) -> None:
    chosen = msgspec.structs.replace(outcome_reference.DEMONSTRATION, max_position_quote=D(cap))
    strategy = OutcomeReference(("YES/USDC",), chosen, outside=("POLY/USDC",))
    most = _most_lots(lambda one: D(cap))

    def at_fair(world: Watched) -> dict[str, int]:
        outside = world.markets["POLY/USDC"].book
        assert outside is not None
        caps = most(world)
        return {name: max(lots, int(cap * 1000 / outside.bids[0][0]) + 1) for name, lots in caps.items()}

    world = Watched(strategy, seed, at_fair)
    played = world.play(600)
    assert (world.excess, played.problems) == ([], [])
    assert world.wishes > 0


def test_the_look_at_caps_sees_a_strategy_that_forgets_its_cap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holding, "lots_for", lambda *_: 10**9)
    chosen = msgspec.structs.replace(breakout.DEMONSTRATION, max_notional_quote=D(20))
    world = Watched(Breakout(COIN, chosen), 1, _most_lots(lambda one: D(20)))
    world.play(800)
    assert world.excess


def test_positions_at_a_time_are_limited_over_all_symbols() -> None:
    symbols = tuple(f"C{index}/USDT" for index in range(5))
    chosen = msgspec.structs.replace(breakout.DEMONSTRATION, max_positions=1)
    strategy = Breakout(symbols, chosen)
    world = Rehearsal(strategy, seed=3)
    most = 0

    def look(_: list[StrategyIntent]) -> None:
        nonlocal most
        most = max(most, sum(lots != 0 for lots in world.positions.values()))

    world.on_intents = look
    world.play(2_000)
    assert most == 1


# ---- market making (T14.4) --------------------------------------------------------------------------


def book_of(bid: int = 499_999, ask: int = 500_001, lots: int = 500, symbol: str = "BTC/USDT") -> BookTop:
    return BookTop(symbol, ((bid, lots),), ((ask, lots),), START_NS)


def context(**changes: object) -> Context:
    values: dict[str, object] = {
        "now_ns": START_NS + 3_600 * SECOND_NS,
        "instrument": plain_instrument("BTC/USDT", claim=False),
        "fees": FEES,
        "equity": D(10_000),
        "position_lots": 0,
        "orders": (),
        "strategy_loss": D(0),
        "state": "normal",
        "hold_reason": "",
        "size_multiplier": D(1),
        "book": book_of(),
    }
    return Context.fixed(symbol="BTC/USDT", **(values | changes))


def quotes(
    strategy: MarketMaking, seen: Context, refused: bool = False
) -> dict[tuple[Side, str], PlaceIntent]:
    """What is placed; unless it is refused, each order comes to be and ends."""
    placed = [one for one in strategy.on_book(seen, book_of()) if isinstance(one, PlaceIntent)]
    for one in placed if not refused else []:
        strategy.on_order(seen, order(one.side, one.price_ticks, one.lots, one.tag), "cancelled")
    return {(one.side, one.tag): one for one in placed}


WIDE = MarketMakingParameters(max_messages_per_refresh=50)


def test_three_layers_are_sized_one_two_four_and_rest_outside_the_costs() -> None:
    placed = quotes(MarketMaking(COIN, WIDE), context(position_lots=0))
    lots = [placed[Side.BUY, f"L{layer}"].lots for layer in range(3)]
    assert lots[1] in {2 * lots[0], 2 * lots[0] + 1}
    assert lots[2] in range(4 * lots[0], 4 * lots[0] + 4)
    assert all(one.post_only and one.time_in_force is TimeInForce.GTC for one in placed.values())
    away_bps = D(500_000 - placed[Side.BUY, "L0"].price_ticks) / 50
    assert away_bps >= D("0.75") * (2 * FEES.maker_bps + 1)


def test_beyond_seventy_percent_of_the_cap_one_side_is_quoted_and_the_skew_is_bounded() -> None:
    cap_lots = 800
    empty = quotes(MarketMaking(COIN, WIDE), context(position_lots=10))
    full = quotes(MarketMaking(COIN, WIDE), context(position_lots=cap_lots * 71 // 100))
    assert (Side.BUY, "L0") in empty
    assert not [key for key in full if key[0] is Side.BUY]
    below = quotes(MarketMaking(COIN, WIDE), context(position_lots=cap_lots * 69 // 100))
    assert (Side.BUY, "L0") in below
    moved = empty[Side.BUY, "L0"].price_ticks - below[Side.BUY, "L0"].price_ticks
    assert 0 < D(moved) / 50 <= 20 * D("0.7")


def test_toxic_flow_doubles_the_spread_and_halves_the_size_for_a_minute() -> None:
    strategy = MarketMaking(COIN, WIDE)
    calm = quotes(strategy, context())[Side.BUY, "L0"]
    now = START_NS + 3_600 * SECOND_NS
    for index in range(20):
        side = Side.BUY if index < 16 else Side.SELL
        strategy.on_trade(context(now_ns=now), PublicTrade("BTC/USDT", 500_000, 10, side, now))
    toxic = quotes(strategy, context(now_ns=now + SECOND_NS))[Side.BUY, "L0"]
    distance = 500_000 - calm.price_ticks
    assert 500_000 - toxic.price_ticks in range(2 * distance - 2, 2 * distance + 3)
    assert toxic.lots in {calm.lots // 2, calm.lots // 2 + 1}
    later = quotes(strategy, context(now_ns=now + 62 * SECOND_NS))[Side.BUY, "L0"]
    assert (later.price_ticks, later.lots) == (calm.price_ticks, calm.lots)


def order(side: Side, ticks: int, lots: int = 10, tag: str = "L0", busy: bool = False) -> OwnOrder:
    return OwnOrder(
        client_id=f"{tag}{side}{ticks}", symbol="BTC/USDT", side=side, price_ticks=ticks, lots=lots,
        remaining_lots=lots, tag=tag, busy=busy,
    )  # fmt: skip


def test_a_quote_is_amended_only_when_it_is_off_by_more_than_a_tick_and_two_basis_points() -> None:
    wanted = quotes(MarketMaking(COIN, WIDE), context())[Side.BUY, "L0"]
    for off, amended in ((1, False), (99, False), (101, True)):
        working = order(Side.BUY, wanted.price_ticks - off, wanted.lots)
        intents = MarketMaking(COIN, WIDE).on_book(context(orders=(working,)), book_of())
        amends = [one for one in intents if isinstance(one, AmendIntent)]
        assert bool(amends) is amended, off


@pytest.mark.parametrize("changes", [{"state": "halted"}, {"strategy_loss": D("100.01")}, {"equity": None}])
def test_market_making_cancels_all_when_halted_or_after_a_loss_of_one_percent(
    changes: dict[str, object],
) -> None:
    orders = (order(Side.BUY, 499_000), order(Side.SELL, 501_000), order(Side.SELL, 502_000, busy=True))
    intents = MarketMaking(COIN).on_book(context(orders=orders, **changes), book_of())
    assert [one.client_id for one in intents if isinstance(one, CancelIntent)] == ["L00499000", "L01501000"]
    assert len(intents) == 2


def test_a_crossed_or_one_sided_book_has_all_quotes_cancelled() -> None:
    orders = (order(Side.BUY, 499_000),)
    for broken in (book_of(500_001, 500_000), BookTop("BTC/USDT", (), ((1, 1),), START_NS)):
        intents = MarketMaking(COIN).on_book(context(orders=orders), broken)
        assert [type(one) for one in intents] == [CancelIntent]


def test_a_refused_quote_is_wished_again_only_after_a_pause_that_doubles() -> None:
    strategy = MarketMaking(COIN, WIDE)
    wished = []
    for second in range(120):
        now = START_NS + (3_600 + second) * SECOND_NS
        if quotes(strategy, context(now_ns=now), refused=True):
            wished.append(second)
    assert wished == [0, 16, 47, 108]
    quote = order(Side.BUY, 499_000)
    strategy.on_order(context(orders=(quote,)), quote, "working")
    now = START_NS + 3_721 * SECOND_NS
    assert list(quotes(strategy, context(now_ns=now))) == [(Side.BUY, "L0")], (
        "one that came to be is forgiven"
    )


def test_unknown_fees_mean_no_quotes() -> None:
    strategy = MarketMaking(COIN)
    assert strategy.on_book(context(fees=None), book_of()) == []
    assert strategy.gate_reason == "fees unknown"


# ---- over bars (T14.5, T14.6) -----------------------------------------------------------------------


def bar(index: int, close: int, *, spread: int = 20, lots: int = 100, seconds: int = 300) -> Bar:
    return Bar(
        symbol="BTC/USDT", start_ns=START_NS + index * seconds * SECOND_NS, seconds=seconds, open_ticks=close,
        high_ticks=close + spread, low_ticks=close - spread, close_ticks=close, lots=lots, trades=5,
    )  # fmt: skip


def sized(**changes: object) -> Context:
    made = context(**changes)
    made.__dict__["size_reason"] = ""
    made._source = _Sizes()  # type: ignore[assignment]
    return made


class _Sizes:
    def size(self, request: object) -> tuple[int, str]:
        return 1_000, ""


def feed(strategy: HoldingStrategy, closes: list[int], **shape: int) -> list[StrategyIntent]:
    """Quiet bars; returns what the last one led to."""
    intents: list[StrategyIntent] = []
    for index, close in enumerate(closes):
        last = index == len(closes) - 1
        lots = shape.get("last_lots", 100) if last else 100
        spread = shape.get("spread", 2_000)
        half = shape.get("half", 1)
        book = book_of(close - half, close + half)
        intents = strategy.on_bar(sized(book=book), bar(index, close, spread=spread, lots=lots))
    return intents


REVERTING = MeanReversionParameters(
    rsi_low=D(45), min_target_bps=D(100), max_stop_bps=D(500), assumed_win_rate=D("0.9")
)
SWING = [500_000 + (3_000 if index % 2 else -3_000) for index in range(60)]


def test_mean_reversion_buys_at_the_band_with_stop_and_edge_after_an_excess_without_direction() -> None:
    strategy = MeanReversion(COIN, REVERTING)
    drop = [480_000]
    (entry,) = feed(strategy, SWING + drop)
    assert isinstance(entry, PlaceIntent)
    assert (entry.side, entry.post_only, entry.time_in_force) == (Side.BUY, True, TimeInForce.GTC)
    assert entry.price_ticks <= drop[-1] - 1, "never through the book"
    assert entry.stop_ticks is not None and entry.stop_ticks < entry.price_ticks
    assert entry.edge_bps is not None and entry.edge_bps > 0


@pytest.mark.parametrize(
    ("change", "note"),
    [
        ({"rsi_low": D(1)}, ""),
        ({"min_target_bps": D(1_000)}, "nearer"),
        ({"max_stop_bps": D(5)}, "further"),
        ({"assumed_win_rate": D("0.3")}, "below"),
    ],
)
def test_mean_reversion_does_not_enter_when_one_condition_is_missing(change: dict[str, D], note: str) -> None:
    chosen = msgspec.structs.replace(REVERTING, **change)
    strategy = MeanReversion(COIN, chosen)
    assert feed(strategy, [*SWING, 480_000]) == []
    assert note in strategy.gate_reason


def test_mean_reversion_stays_away_from_a_market_with_direction() -> None:
    falling = [900_000 - 400 * index + 9_000 * (index == 40) for index in range(60)]
    for below, entering in ((D(25), False), (D(100), True)):
        chosen = msgspec.structs.replace(REVERTING, adx_below=below)
        intents = feed(MeanReversion(COIN, chosen), [*falling[:-1], 850_000], spread=8_000)
        assert bool(intents) is entering


def test_an_entry_that_was_not_filled_within_a_bar_is_taken_away() -> None:
    strategy = MeanReversion(COIN, REVERTING)
    (entry,) = feed(strategy, [*SWING, 480_000])
    assert isinstance(entry, PlaceIntent)
    working = order(Side.BUY, entry.price_ticks, entry.lots, tag="entry")
    next_bar = bar(len(SWING) + 1, 482_000, spread=2_000)
    (cancel,) = strategy.on_bar(sized(orders=(working,), book=book_of(483_999, 484_001)), next_bar)
    assert isinstance(cancel, CancelIntent)


def entered(strategy: HoldingStrategy, closes: list[int], **shape: int) -> PlaceIntent:
    (entry,) = feed(strategy, closes, **shape)
    assert isinstance(entry, PlaceIntent)
    return entry


def test_mean_reversion_leaves_at_the_stop_at_the_mean_and_after_24_bars() -> None:
    strategy = MeanReversion(COIN, REVERTING)
    entry = entered(strategy, [*SWING, 480_000])
    assert entry.stop_ticks is not None
    now = START_NS + 7_200 * SECOND_NS
    above = book_of(entry.stop_ticks + 1, entry.stop_ticks + 3)
    assert strategy.on_book(sized(position_lots=500, book=above, now_ns=now), above) == []
    at_stop = book_of(entry.stop_ticks, entry.stop_ticks + 2)
    (out,) = strategy.on_book(sized(position_lots=500, book=at_stop, now_ns=now), at_stop)
    assert isinstance(out, PlaceIntent)
    assert (out.side, out.lots, out.tag) == (Side.SELL, 500, STOP)
    assert (out.time_in_force, out.post_only, out.edge_bps) == (TimeInForce.IOC, False, None)
    early = strategy.on_book(sized(position_lots=200, book=at_stop, now_ns=now + SECOND_NS), at_stop)
    assert early == [], "the exit is tried again only after a pause"
    (again,) = strategy.on_book(sized(position_lots=200, book=at_stop, now_ns=now + 5 * SECOND_NS), at_stop)
    assert isinstance(again, PlaceIntent) and again.lots == 200


def test_a_resting_order_is_cancelled_before_an_exit_is_sent() -> None:
    strategy = MeanReversion(COIN, REVERTING)
    entry = entered(strategy, [*SWING, 480_000])
    low = book_of(400_000, 400_002)
    rest = order(Side.BUY, entry.price_ticks, 10, tag="entry")
    (cancel,) = strategy.on_book(sized(position_lots=500, orders=(rest,), book=low), low)
    assert isinstance(cancel, CancelIntent)


def test_time_ends_a_position_after_so_many_bars() -> None:
    strategy = MeanReversion(COIN, msgspec.structs.replace(REVERTING, time_stop_bars=3))
    entry = entered(strategy, [*SWING, 480_000])
    book = book_of(entry.price_ticks - 1, entry.price_ticks + 1)
    strategy.on_book(sized(position_lots=500, book=book), book)
    answers = []
    for index in range(3):
        seen = sized(position_lots=500, book=book, now_ns=START_NS + (8_000 + 300 * index) * SECOND_NS)
        answers.append(strategy.on_bar(seen, bar(len(SWING) + 1 + index, entry.price_ticks, spread=50)))
    assert answers[:2] == [[], []]
    assert isinstance(answers[2][0], PlaceIntent) and answers[2][0].tag == EXIT


@pytest.mark.parametrize("strategy", [MeanReversion(COIN), Breakout(COIN)])
def test_a_position_of_an_earlier_life_is_closed_and_dust_is_left_alone(strategy: HoldingStrategy) -> None:
    (out,) = strategy.on_book(sized(position_lots=500), book_of())
    assert isinstance(out, PlaceIntent) and (out.side, out.lots) == (Side.SELL, 500)
    fresh = type(strategy)(COIN)  # type: ignore[call-arg]
    assert fresh.on_book(sized(position_lots=1), book_of()) == []


@pytest.mark.parametrize("made", [MeanReversion, Breakout])
def test_stops_of_this_process_have_to_be_allowed_outside_of_sim_and_paper(
    made: type[MeanReversion] | type[Breakout],
) -> None:
    for environment in ("testnet", "canary", "live"):
        with pytest.raises(ParameterError, match="allow_synthetic_stops"):
            made(COIN, environment=environment)
        allowed = made.Parameters(allow_synthetic_stops=True)
        made(COIN, allowed, environment=environment)  # type: ignore[arg-type]
        reporting = msgspec.structs.replace(allowed, cost_gate="report")
        with pytest.raises(ParameterError, match="cost_gate"):
            made(COIN, reporting, environment=environment)  # type: ignore[arg-type]


def test_a_set_that_no_rate_of_wins_could_make_pay_is_refused_at_the_start() -> None:
    cheap = MeanReversionParameters(min_target_bps=D(23), max_stop_bps=D(200))
    with pytest.raises(ParameterError, match="min_target_bps"):
        MeanReversion(COIN, cheap).on_start(context())
    MeanReversion(COIN, msgspec.structs.replace(cheap, cost_gate="report")).on_start(context())
    rate = MeanReversion(COIN).break_even(FEES)
    assert 0 < rate < 1
    with pytest.raises(ParameterError, match="min_atr_bps"):
        Breakout(COIN, BreakoutParameters(min_atr_bps=D(5), target_atr=D(4))).break_even(FEES)
    with pytest.raises(ParameterError, match="not known"):
        Breakout(COIN).break_even(None)


RISE = [500_000 + 400 * index for index in range(60)]
BREAKING = BreakoutParameters(
    min_atr_bps=D(1), assumed_win_rate=D("0.9"), target_atr=D(10), stop_atr=D("0.5"), trail_atr=D("0.5")
)


def test_a_breakout_is_followed_through_the_book_with_a_stop() -> None:
    entry = entered(Breakout(COIN, BREAKING), [*RISE, 530_000], last_lots=150)
    assert (entry.side, entry.post_only, entry.time_in_force) == (Side.BUY, False, TimeInForce.IOC)
    assert entry.stop_ticks is not None and entry.stop_ticks < 530_000 <= entry.price_ticks


@pytest.mark.parametrize(
    ("changes", "last", "lots"),
    [
        ({}, 530_000, 149),
        ({}, 525_000, 150),
        ({"max_spread_bps": D("0.1")}, 530_000, 150),
        ({"min_atr_bps": D(500)}, 530_000, 150),
    ],
)
def test_a_breakout_needs_volume_a_close_beyond_direction_and_a_narrow_spread(
    changes: dict[str, D], last: int, lots: int
) -> None:
    chosen = msgspec.structs.replace(BREAKING, **changes)
    assert feed(Breakout(COIN, chosen), [*RISE, last], last_lots=lots, half=5) == []


def test_a_breakout_needs_a_market_with_direction() -> None:
    for least, followed in ((D(25), False), (D(0), True)):
        chosen = msgspec.structs.replace(BREAKING, adx_from=least)
        assert bool(feed(Breakout(COIN, chosen), [*SWING, 530_000], last_lots=150)) is followed


def test_the_stop_trails_the_best_close_and_never_goes_back() -> None:
    strategy = Breakout(COIN, BREAKING)
    entry = entered(strategy, [*RISE, 530_000], last_lots=150)
    plan = strategy.legs["BTC/USDT"].plan
    assert plan is not None
    stops = [entry.stop_ticks]
    for index, close in enumerate((535_000, 540_000, 539_000, 541_000)):
        book = book_of(close - 1, close + 1)
        strategy.on_book(sized(position_lots=100, book=book), book)
        strategy.on_bar(sized(position_lots=100, book=book), bar(61 + index, close, spread=2_000))
        stops.append(plan.stop_ticks)
    assert stops == sorted(stops)
    assert stops[-1] > 535_000


def test_no_entry_within_three_bars_of_a_failed_break() -> None:
    strategy = Breakout(COIN, BREAKING)
    entered(strategy, [*RISE, 530_000], last_lots=150)
    strategy.legs["BTC/USDT"].plan = None
    answers = []
    for index, close in enumerate((520_000, 540_000, 541_000, 550_000, 560_000)):
        seen = sized(book=book_of(close - 1, close + 1), now_ns=START_NS + (9_000 + index) * SECOND_NS)
        lots = 100 if index == 0 else 1_000 * (index + 1)
        answers.append(strategy.on_bar(seen, bar(61 + index, close, spread=2_000, lots=lots)))
    assert answers[:4] == [[], [], [], []]
    assert "failed" in strategy.gate_reason or answers[4]
    assert isinstance(answers[4][0], PlaceIntent)


def test_a_stop_is_never_nearer_than_risk_allows_however_quiet_the_market() -> None:
    strategy = Breakout(COIN, BREAKING)
    assert strategy.stop_ticks(1, 500_000, 0.1) == 500_000 - 400
    assert strategy.stop_ticks(-1, 500_000, 0.1) == 500_000 + 400
    assert strategy.stop_ticks(1, 500_000, 1_000.5) == 500_000 - 1_001


def test_a_hole_between_bars_begins_the_indicators_anew() -> None:
    strategy = Breakout(COIN, BREAKING)
    feed(strategy, RISE)
    late = bar(100, 530_000, spread=2_000, lots=500)
    assert strategy.on_bar(sized(book=book_of(529_999, 530_001)), late) == []
    assert "hole" in strategy.gate_reason


# ---- outcome markets --------------------------------------------------------------------------------


def outcome(parameters: OutcomeReferenceParameters = SETTLED) -> OutcomeReference:
    return OutcomeReference(("YES/USDC",), parameters, outside=("POLY/USDC",))


def claims(
    bid: int, ask: int, fair_bid: int = 499, fair_ask: int = 501, *, age_s: int = 0, lots: int = 1_000,
    **changes: object,
) -> Context:  # fmt: skip
    now = START_NS + 3_600 * SECOND_NS
    here = {
        "instrument": plain_instrument("YES/USDC", claim=True), "fees": FEES, "position_lots": 0,
        "orders": (), "state": "normal", "hold_reason": "",
        "book": BookTop("YES/USDC", ((bid, lots),), ((ask, lots),), now),
    }  # fmt: skip
    there = {
        "instrument": plain_instrument("POLY/USDC", claim=True),
        "book": BookTop("POLY/USDC", ((fair_bid, lots),), ((fair_ask, lots),), now - age_s * SECOND_NS),
    }
    whole = {"now_ns": now, "equity": D(10_000), "strategy_loss": D(0), "size_multiplier": D(1)}
    here |= {key: value for key, value in changes.items() if key in here}
    there |= {"book": changes["outside"]} if "outside" in changes else {}
    whole |= {key: value for key, value in changes.items() if key in whole}
    return Context.fixed(symbol="YES/USDC", markets={"YES/USDC": here, "POLY/USDC": there}, **whole)


def test_a_claim_is_taken_only_when_it_is_wrong_by_more_than_one_and_a_half_times_all_costs() -> None:
    (taken,) = outcome().on_book(claims(440, 446), book_of())
    assert isinstance(taken, PlaceIntent)
    assert (taken.side, taken.price_ticks, taken.time_in_force) == (Side.BUY, 446, TimeInForce.IOC)
    near = outcome().on_book(claims(490, 495), book_of())
    assert all(isinstance(one, PlaceIntent) and one.post_only for one in near)
    for one in near:
        assert isinstance(one, PlaceIntent)
        assert (one.price_ticks < 500) if one.side is Side.BUY else (one.price_ticks > 500)


def test_it_sells_only_what_it_holds() -> None:
    assert not [
        one
        for one in outcome().on_book(claims(560, 566), book_of())
        if isinstance(one, PlaceIntent) and one.side is Side.SELL
    ]
    (sold,) = outcome().on_book(claims(560, 566, position_lots=30), book_of())
    assert isinstance(sold, PlaceIntent) and (sold.side, sold.lots) == (Side.SELL, 30)


@pytest.mark.parametrize(
    ("seen", "reason"),
    [
        ({"age_s": 31}, "stale"),
        ({"outside": None}, "missing"),
        ({"fair_bid": 480, "fair_ask": 520}, "spread"),
        ({"fair_bid": 980, "fair_ask": 981}, "too near to 0 or 1"),
        ({"fair_bid": 649, "fair_ask": 651}, "diverge"),
        ({"strategy_loss": D(101)}, "loss"),
        ({"equity": None}, "equity"),
        ({"state": "halted"}, ""),
    ],
)
def test_what_is_not_believed_cancels_everything(seen: dict[str, object], reason: str) -> None:
    working = msgspec.structs.replace(order(Side.BUY, 480, tag="quote"), symbol="YES/USDC")
    strategy = outcome()
    intents = strategy.on_book(claims(490, 495, orders=(working,), **seen), book_of())  # type: ignore[arg-type]
    assert [type(one) for one in intents] == [CancelIntent]
    assert reason in strategy.gate_reason


def test_before_settlement_nothing_is_entered_and_what_is_held_is_sold_where_that_is_wanted() -> None:
    soon = START_NS // SECOND_NS + 3_600 + 3_599
    holding = claims(490, 495, position_lots=50)
    assert outcome(OutcomeReferenceParameters(settles_at_s=soon)).on_book(holding, book_of()) == []
    selling = OutcomeReferenceParameters(settles_at_s=soon, before_settlement="sell")
    (offer,) = outcome(selling).on_book(claims(490, 495, position_lots=50), book_of())
    assert isinstance(offer, PlaceIntent)
    assert (offer.side, offer.price_ticks, offer.lots, offer.post_only) == (Side.SELL, 500, 50, True)
    unknown = outcome(OutcomeReferenceParameters())
    assert unknown.on_book(claims(440, 446), book_of()) == []
    assert "settlement" in unknown.gate_reason


def test_the_outcome_strategy_needs_exactly_one_market_and_one_outside() -> None:
    for symbols, outside in ((("A", "B"), ("C",)), (("A",), ()), (("A",), ("A",)), (("A",), ("B", "C"))):
        with pytest.raises(ParameterError):
            OutcomeReference(symbols, SETTLED, outside=outside)


# ---- parameters of all ------------------------------------------------------------------------------


@pytest.mark.parametrize("made", [MarketMaking, MeanReversion, Breakout, OutcomeReference])
def test_every_shipped_set_is_declared_valid_and_perturbed_within_its_bounds(made: type) -> None:
    assert len(declarations(made.Parameters)) > 10
    for chosen in (made.Parameters(), *made.presets.values()):
        chosen.validate("paper")
        moved = perturbations(chosen, environment="paper")
        assert len(moved) > 5
        for one in moved:
            one.parameters.validate("paper")


def test_market_making_below_five_basis_points_is_only_a_report() -> None:
    with pytest.raises(ParameterError, match="min_half_bps"):
        MarketMaking(COIN, MarketMakingParameters(min_half_bps=D(4)))
    with pytest.raises(ParameterError, match="max_half_bps"):
        MarketMaking(COIN, MarketMakingParameters(max_half_bps=D(51)))


@pytest.mark.parametrize("name", ["market_maker", "mean_reversion", "breakout", "outcome_reference"])
def test_a_demonstration_is_for_sim_and_paper_only(name: str) -> None:
    outside = ("B",) if name == "outcome_reference" else ()
    make(name, ("A",), preset="demonstration", environment="paper", outside=outside)
    for environment in ("testnet", "canary", "live"):
        with pytest.raises(ParameterError, match="cost_gate"):
            make(name, ("A",), preset="demonstration", environment=environment, outside=outside)
