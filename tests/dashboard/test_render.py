"""Regions of the console: exact numbers, unknown shown as unknown, nothing from outside unescaped."""

from __future__ import annotations

from decimal import Decimal
from html.parser import HTMLParser

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradewind.dashboard import charts, render, text
from tradewind.observe.view import (
    Alarm,
    BalanceRow,
    Candle,
    DepthView,
    FeedState,
    FeedView,
    FillRow,
    HeadView,
    Level,
    LimitState,
    LimitView,
    MarketView,
    OrderRow,
    OutcomePrice,
    OutcomeRow,
    OutcomesView,
    PlatformView,
    ProfitView,
    Quality,
    Reading,
    Severity,
    StrategyView,
    TradingView,
)

EMPTY = PlatformView(taken_ns=1, env="paper", version="1")
EVIL = "<img src=x onerror=alert(1)>\"'&"
REGIONS = (
    render.identity,
    render.feed,
    render.trading,
    render.ticker,
    render.alarms,
    render.tiles,
    render.ladder,
    render.orders,
    render.fills,
    render.balances,
    render.limits,
    render.journal,
    render.head_hash,
    render.performance,
    render.strategy,
    render.outcomes,
    render.outcome_counts,
)
micros = st.integers(-(10**18), 10**18)


@given(micros)
def test_grouped_text_keeps_every_digit(micro: int) -> None:
    value = Decimal(micro).scaleb(-6)
    shown = text.grouped(format(value, "f"), 2)
    assert Decimal(shown.replace(",", "").replace(text.MINUS, "-")) == value


@given(micros)
def test_money_carries_its_exact_value_sign_and_shape(micro: int) -> None:
    value = Decimal(micro).scaleb(-6)
    html = text.money(Reading.known(value), signed=True)
    assert f'data-value="{value}"' in html
    assert ("▲" in html) == (value > 0) and ("▼" in html) == (value < 0)


def test_unknown_is_a_word_and_stale_shows_its_age() -> None:
    assert "unknown" in text.reading(Reading()) and "0" not in text.reading(Reading())
    stale = text.reading(Reading.stale("1.5", 5_000))
    assert "stale 5.0 s" in stale and "1.50" in stale


@pytest.mark.parametrize(
    ("age_ms", "shown"),
    [
        (None, "age unknown"),
        (0, "0 ms"),
        (999, "999 ms"),
        (1_500, "1.5 s"),
        (61_000, "1 m 01 s"),
        (7_380_000, "2 h 03 m"),
    ],
)
def test_ages_are_short_and_readable(age_ms: int | None, shown: str) -> None:
    assert text.age(age_ms) == shown


def test_an_empty_view_renders_everywhere_without_a_zero_where_nothing_is_known() -> None:
    for region in REGIONS:
        assert isinstance(region(EMPTY), str)
    tiles = render.tiles(EMPTY)
    assert tiles.count('class="unknown"') >= 6 and "0.00" not in tiles
    assert "unknown" in render.orders(EMPTY) and "unknown" in render.balances(EMPTY)
    assert "unknown" in render.limits(EMPTY) and "State unknown" in render.trading(EMPTY)


def hostile() -> PlatformView:
    known = Reading.known("1")
    return PlatformView(
        taken_ns=1,
        env=EVIL,
        version=EVIL,
        feed=FeedView(label=EVIL, symbol=EVIL, generated=True, state=FeedState.SUSPECT, detail=EVIL),
        head=HeadView(hash=EVIL, stopped=EVIL),
        market=MarketView(symbol=EVIL, base=EVIL, quote=EVIL, status=EVIL),
        orders=(
            OrderRow(id=EVIL, client_id=EVIL, side="buy", price="1", quantity="1", filled="0", state=EVIL),
        ),
        orders_open=1,
        fills=(
            FillRow(
                time_ns=1,
                seq=1,
                side="sell",
                price="1",
                quantity="1",
                notional="1",
                fee="1",
                fee_asset=EVIL,
                liquidity=EVIL,
            ),
        ),
        balances=(BalanceRow(asset=EVIL, free=known, held=known, total=known),),
        profit=ProfitView(unit=EVIL),
        limits=(LimitView(code=EVIL, name=EVIL, used=known, limit="2", unit=EVIL, fraction=0.5),),
        trading=TradingView(state="halted", reason=EVIL, actor=EVIL),
        strategy=StrategyView(name=EVIL, state=EVIL, detail=EVIL),
        alarms=(Alarm(severity=Severity.CRITICAL, code=EVIL, text=EVIL),),
        outcomes=OutcomesView(
            rows=(
                OutcomeRow(symbol=EVIL, status=EVIL, stage=EVIL, pool=EVIL, estimate=EVIL),
                OutcomeRow(symbol=EVIL, status=EVIL, prices=(OutcomePrice(EVIL, EVIL, EVIL),)),
            ),
            count=2,
        ),
    )


class Tags(HTMLParser):
    """Tags and attribute names of a piece of HTML."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.seen.extend(name for name, _ in attrs)


@pytest.mark.parametrize("region", REGIONS, ids=lambda one: one.__name__)
def test_text_from_outside_never_becomes_markup(region: object) -> None:
    tags = Tags()
    tags.feed(region(hostile()))  # type: ignore[operator]
    assert "img" not in tags.seen and "onerror" not in tags.seen


def test_a_generated_market_is_labelled_and_a_real_one_is_not() -> None:
    real = msgspec.structs.replace(EMPTY, feed=FeedView(label="recorded:file", generated=False))
    assert "GENERATED" in render.identity(msgspec.structs.replace(EMPTY, feed=FeedView(generated=True)))
    assert "GENERATED" not in render.identity(real)


@pytest.mark.parametrize("state", list(FeedState))
def test_every_feed_state_has_a_word_and_a_shape(state: FeedState) -> None:
    html = render.feed(msgspec.structs.replace(EMPTY, feed=FeedView(state=state)))
    shape, word = render.FEED_LABELS[state]
    assert shape in html and word in html


@pytest.mark.parametrize("state", list(LimitState))
def test_every_gauge_state_is_said_in_words(state: LimitState) -> None:
    fraction = None if state is LimitState.UNKNOWN else 1.7
    limit = LimitView(
        code="L", name="Limit", used=Reading.known("17"), limit="10", unit="u", fraction=fraction, state=state
    )
    html = render.limits(msgspec.structs.replace(EMPTY, limits=(limit,)))
    assert render.GAUGE_LABELS[state] in html
    assert "width:100.0%" in html or fraction is None


def test_rows_are_bounded() -> None:
    order = OrderRow(id="1", client_id="c", side="buy", price="1", quantity="1", filled="0", state="open")
    many = msgspec.structs.replace(EMPTY, orders=(order,) * 100, orders_open=130)
    html = render.orders(many)
    assert html.count("data-order=") == render.ORDER_ROWS
    assert f"and {130 - render.ORDER_ROWS} more" in html


def test_ladder_marks_own_orders_and_puts_the_best_prices_at_the_spread() -> None:
    def level(price: str, own: str = "0") -> Level:
        return Level(price=price, size="1", cumulative="1", own=own)

    depth = DepthView(
        bids=(level("99"), level("98", "0.5")), asks=(level("101"), level("102")), quality=Quality.KNOWN
    )
    html = render.ladder(msgspec.structs.replace(EMPTY, depth=depth))
    positions = [html.index(f">{price}.00<") for price in ("102", "101", "99", "98")]
    assert positions == sorted(positions)
    assert html.count("◆") == 1


def test_fills_are_marked_in_the_candle_of_their_second_only() -> None:
    fill = FillRow(
        time_ns=5_400_000_000,
        seq=1,
        side="buy",
        price="10",
        quantity="1",
        notional="10",
        fee="0",
        fee_asset="USDT",
        liquidity="maker",
    )
    candle = Candle(5, "10", "11", "9", "10", "3")
    view = msgspec.structs.replace(EMPTY, fills=(fill,), candles_1s=(candle,))
    by_id = {one["id"]: one["data"] for one in charts.price_data(view, 1)["series"]}
    assert by_id["bought"] == [["00:00:05", 10.0]] and by_id["sold"] == []
    assert by_id["price"] == [[10.0, 10.0, 9.0, 11.0]]
    later = msgspec.structs.replace(view, candles_1s=(Candle(6, "10", "11", "9", "10", "3"),))
    assert {one["id"]: one["data"] for one in charts.price_data(later, 1)["series"]}["bought"] == []


def test_outcome_markets_show_prices_status_pool_and_stage_and_unknown_is_a_word() -> None:
    known = OutcomePrice("yes", "0.640", "book")
    row = OutcomeRow(
        symbol="OUTCOME-3",
        status="resolving",
        stage="disputed",
        prices=(known, OutcomePrice("no")),
        pool="lmsr",
        pool_cash="1234.5",
        sets="70",
        settles_in_ms=-1,
    )
    many = OutcomeRow(symbol="OUTCOME-4", status="active", outcomes=64, settles_in_ms=3 * 86_400_000)
    number = OutcomeRow(symbol="DISTRIBUTION-5", status="active", estimate="21 ± 3", settles_in_ms=60_000)
    rows = (row, many, number)
    view = msgspec.structs.replace(
        EMPTY, outcomes=OutcomesView(rows=rows, count=21_000, trading=20_998, disputed=1)
    )
    html = render.outcomes(view)
    for shown in (
        "OUTCOME-3",
        "0.640",
        "unknown",
        "disputed",
        "lmsr",
        "1,234.5",
        "over",
        "+64",
        "3 d",
        "21 ± 3",
    ):
        assert shown in html, shown
    assert 'title="yes: book"' in html and 'title="no: no price"' in html
    assert "and 20,997 more" in html
    assert "20,998 of 21,000 trading" in render.outcome_counts(view)
    assert "No outcome markets" in render.outcomes(EMPTY) and "none" in render.outcomes(EMPTY)
