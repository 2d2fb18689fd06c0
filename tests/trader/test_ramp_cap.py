"""No order above the stage's cap can become a record, whatever profile, strategy or command say (T17.4)."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paper_world import SYMBOL, instrument
from trader_world import TraderWorld, buy

from tradewind.trader.ledger import Ledger
from tradewind.trader.oms import Identity, Oms, OrderRequest
from tradewind.trader.ramp.cap import NoCap, StageCap, StageCapExceeded, ineligible
from tradewind.trader.ramp.stages import load_stages
from tradewind.trader.strategy import AmendIntent
from tradewind.venues.market_data import Side

STAGES = load_stages()
MID = Decimal(50_000)
SOURCE = Path(__file__).parents[2] / "src" / "tradewind"


def oms(environment: str = "canary", stage: str = "S3", reference: Decimal | None = MID) -> Oms:
    identity = Identity(
        environment=environment, account="a", venue="v", epoch=1, limits_hash="-", config_hash="-"
    )
    ledger = Ledger()
    for asset in ("USDT", "BTC"):
        ledger.deposit(asset, Decimal(10**9))
    found = Oms(identity, {SYMBOL: instrument()}, ledger)
    if stage:
        found.cap = StageCap(lambda: STAGES.named(stage), lambda _: reference)
    return found


def request(side: Side, price_ticks: int, lots: int, *, post_only: bool = False) -> OrderRequest:
    return OrderRequest(
        strategy="s", path="manual", symbol=SYMBOL, side=side, price_ticks=price_ticks, lots=lots,
        post_only=post_only, decision_ns=1,
    )  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(list(Side)),
    st.integers(1, 10_000_000),
    st.integers(1, 10_000),
    st.booleans(),
    st.sampled_from(["S3", "S4", "S5", "S6", "S7"]),
)
def test_nothing_above_the_cap_is_ever_created(
    side: Side, price_ticks: int, lots: int, post_only: bool, stage: str
) -> None:
    book = oms(stage=stage)
    cap = STAGES.named(stage).order_cap_quote
    assert cap is not None
    price = Decimal("0.01") * price_ticks
    # a sale with a low limit trades at the market's price
    worth = max(price, MID) if side is Side.SELL and not post_only else price
    try:
        book.create(request(side, price_ticks, lots, post_only=post_only), Decimal(0))
        created = True
    except StageCapExceeded:
        created = False
    assert created is (worth * lots * Decimal("0.0001") <= cap)
    assert len(book.orders) == int(created)


@pytest.mark.parametrize(("lots", "passes"), [(9, True), (10, True), (11, False)])
def test_just_under_equal_and_just_over(lots: int, passes: bool) -> None:
    book = oms()
    if passes:
        book.create(request(Side.BUY, 500_000, lots), Decimal(0))
        return
    with pytest.raises(StageCapExceeded, match=r"5\.500000 is above"):
        book.create(request(Side.BUY, 500_000, lots), Decimal(0))


def test_an_amendment_is_a_new_order_to_the_cap() -> None:
    book = oms()
    order, _ = book.create(request(Side.BUY, 500_000, 10), Decimal(0))
    order.state = type(order.state)["WORKING"]
    with pytest.raises(StageCapExceeded):
        book.request_amend(order, 500_000, 101, Decimal(0), 2)
    assert order.lots == 10


@pytest.mark.parametrize("environment", ["canary", "live"])
def test_real_funds_without_a_ramp_create_nothing(environment: str) -> None:
    with pytest.raises(StageCapExceeded, match="no stage"):
        oms(environment, stage="").create(request(Side.BUY, 1, 1), Decimal(0))


def test_a_sale_without_a_known_price_has_no_known_size() -> None:
    with pytest.raises(StageCapExceeded, match="no price"):
        oms(reference=None).create(request(Side.SELL, 1, 1), Decimal(0))
    oms(reference=None).create(request(Side.SELL, 1, 1, post_only=True), Decimal(0))


async def test_the_running_trader_denies_with_the_code_on_every_path() -> None:
    world = await TraderWorld.open()
    world.trader.oms.cap = StageCap(lambda: STAGES.named("S4"), lambda _: MID)
    denied, client_id = await world.trader.submit(buy(5_000_000, 2))
    assert client_id is None and [one.code for one in denied] == ["StageCapExceeded"]
    denied, client_id = await world.trader.submit(buy(5_000_000, 1))
    assert not denied and client_id is not None
    await world.wait_ms(200)
    denied, changed = await world.trader.submit(
        AmendIntent(client_id=client_id, price_ticks=5_000_000, lots=2)
    )
    assert changed is None and [one.code for one in denied] == ["StageCapExceeded"]
    world.trader.oms.cap = NoCap()
    denied, _ = await world.trader.submit(buy(4_998_000, 2))
    assert not denied, "the mutation: without the cap the same order passes"


def test_intents_are_made_in_one_place_only() -> None:
    found = {
        path.relative_to(SOURCE).as_posix()
        for path in SOURCE.rglob("*.py")
        if re.search(r"(?<![A-Za-z_.])Intent\(\n? *intent_seq=", path.read_text())
    }
    assert found <= {"trader/oms.py"}, "whoever makes an intent elsewhere goes past the cap"
    assert "trader/oms.py" in found


def test_a_pair_whose_least_order_is_above_the_cap_is_not_eligible_and_the_cap_stays() -> None:
    one = instrument()
    assert ineligible(one, MID, STAGES.named("S3")), "a minimum of 5 with a margin of 10 % is above 5"
    assert not ineligible(one, MID, STAGES.named("S4"))
    assert not ineligible(one, MID, STAGES.named("S2")), "paper has no cap of its own"
