"""Outcome markets behind gateways: nothing is made or lost, both tokens show one book, restarts included."""

from __future__ import annotations

import random
from decimal import Decimal
from pathlib import Path

import pytest

from tradewind.gateways.exchange import Exchange, ExchangeConfiguration
from tradewind.gateways.exchange_outcomes import OutcomeConfiguration, OutcomeExchange
from tradewind.gateways.model import Refusal, Refused
from tradewind.gateways.outcome_model import OutcomeMarket, OutcomeOrder, OutcomeRequest
from tradewind.node.limits import NodeLimits
from tradewind.venues.market_data import Side
from tradewind.venues.protocol import FINAL_PHASES

ACCOUNTS = ("alice", "bob", "carol")
CONFIGURATION = OutcomeConfiguration(
    markets=(OutcomeMarket(slug="coin", question="Heads?", outcomes=("Heads", "Tails")),),
    grant=Decimal(1_000),
    sets=Decimal(100),
)


async def opened(data: Path) -> tuple[Exchange, OutcomeExchange]:
    exchange = await Exchange.open(
        data,
        ExchangeConfiguration(
            accounts={name: {} for name in ACCOUNTS}, limits=NodeLimits(space_reserved_bytes=0)
        ),
    )
    return exchange, await OutcomeExchange.open(exchange, CONFIGURATION)


def check(outcomes: OutcomeExchange) -> None:
    """Money in USDC plus complete sets is what was granted; both tokens are equally many and one book."""
    [market] = outcomes.markets.values()
    money = sum((sum(outcomes.collateral(name)) for name in ACCOUNTS), Decimal(0))
    held = [
        sum(((one := outcomes.holding(name, token)).free + one.held for name in ACCOUNTS), Decimal(0))
        for token in market.tokens
    ]
    assert held[0] == held[1] and money + held[0] == 3 * CONFIGURATION.grant
    heads, tails = (outcomes.book(token) for token in market.tokens)
    whole = market.payout_ticks
    assert tails.bids == tuple((whole - price, lots) for price, lots in heads.asks)
    assert tails.asks == tuple((whole - price, lots) for price, lots in heads.bids)
    assert not heads.bids or not heads.asks or heads.bids[0][0] < heads.asks[0][0]


@pytest.mark.parametrize("seed", range(4))
async def test_any_run_keeps_every_share_and_cent_also_behind_a_restart(tmp_path: Path, seed: int) -> None:
    exchange, outcomes = await opened(tmp_path / "data")
    rolls = random.Random(seed)
    tokens = list(outcomes.tokens)
    references: dict[str, str] = {}
    for number in range(150):
        account = rolls.choice(ACCOUNTS)
        if references and rolls.random() < 0.2:
            name = rolls.choice(list(references))
            await outcomes.cancel(references[name], [name])
        else:
            name = f"order-{number}"
            # within 0.45 to 0.55: a large move would trip the engine's breaker
            request = OutcomeRequest(
                token_id=rolls.choice(tokens),
                side=rolls.choice(list(Side)),
                price_ticks=rolls.randrange(48, 53),
                lots=rolls.randrange(5, 30) * 10_000,
                order_type=rolls.choice(["GTC", "GTC", "FAK", "FOK"]),
                reference=name,
            )
            answer = await outcomes.place(account, request)
            if isinstance(answer, OutcomeOrder):
                references[name] = account
        check(outcomes)
    trades = {name: outcomes.trades(name) for name in ACCOUNTS}
    kinds = {trade.kind for found in trades.values() for trade in found}
    assert kinds == {"transfer", "mint", "merge"}, "the run is worth something"
    orders = {name: outcomes.order(account, name) for name, account in references.items()}
    for order in orders.values():
        assert order is not None
        filled = sum(one.lots for one in outcomes.trades(order.account) if one.trade_id in order.trade_ids)
        assert filled == order.filled_lots, order
    funds = {name: outcomes.collateral(name) for name in ACCOUNTS}
    await exchange.close()

    exchange, outcomes = await opened(tmp_path / "data")
    check(outcomes)
    assert {name: outcomes.collateral(name) for name in ACCOUNTS} == funds
    for name, order in orders.items():
        again = outcomes.order(references[name], name)
        assert again is not None and order is not None
        assert (again.phase, again.filled_lots, again.cost, again.trade_ids) == (
            order.phase, order.filled_lots, order.cost, order.trade_ids
        )  # fmt: skip
        assert (again.phase in FINAL_PHASES) == (again.order_id not in outcomes.views.orders.open)
    for name in ACCOUNTS:
        assert [one.trade_id for one in outcomes.trades(name)] == [one.trade_id for one in trades[name]]
    await exchange.close()


async def test_a_spot_gateway_neither_sees_nor_keeps_outcome_orders(tmp_path: Path) -> None:
    exchange, outcomes = await opened(tmp_path / "data")
    request = OutcomeRequest(
        token_id=next(iter(outcomes.tokens)), side=Side.BUY, price_ticks=50, lots=100_000,
        order_type="GTC", reference="one",
    )  # fmt: skip
    assert isinstance(await outcomes.place("alice", request), OutcomeOrder)
    assert exchange.orders("alice", working=True) == []
    assert all(symbol != "USDC/USDC" for symbol in exchange.markets)
    await exchange.close()


async def test_orders_of_others_are_unknown(tmp_path: Path) -> None:
    exchange, outcomes = await opened(tmp_path / "data")
    request = OutcomeRequest(
        token_id=next(iter(outcomes.tokens)), side=Side.BUY, price_ticks=50, lots=100_000,
        order_type="GTC", reference="one",
    )  # fmt: skip
    await outcomes.place("alice", request)
    assert outcomes.order("bob", "one") is None
    [answer] = (await outcomes.cancel("bob", ["one"])).values()
    assert isinstance(answer, Refused) and answer.refusal is Refusal.UNKNOWN_ORDER
    await exchange.close()
