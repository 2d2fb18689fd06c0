"""Parent orders over the API: typed requests, precise refusals, idempotent keys, a named actor."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from tradewind.api.directory import NamedMarket
from tradewind.api.execution_access import ExecutionOfTrader
from tradewind.api.execution_desk import Execute, ExecutionRequests, TurnExecution
from tradewind.api.identities import open_identities
from tradewind.api.problems import ApiFailure
from tradewind.lab.preflight.exchange import SYMBOL, World
from tradewind.trader.execution.records import ParentChanged, ParentOpened
from tradewind.trader.execution.service_view import attach
from tradewind.trader.risk.check import Code, Denied

from .test_own_orders import MARKET


@contextlib.asynccontextmanager
async def driven(folder: Path) -> AsyncIterator[tuple[World, ExecutionRequests, list[Any]]]:
    """A live simulated exchange with an execution desk; its virtual time passes while the test waits."""
    world = await World.open()
    desk = attach(world.trader)
    told: list[Any] = []
    record = world.trader.record
    world.trader.record = lambda *records: (told.extend(records), record(*records))[1]  # type: ignore[method-assign]
    await world.live()
    api = SimpleNamespace(
        execution=ExecutionOfTrader(world.session, desk),
        directory=SimpleNamespace(market=named),
        identities=open_identities(folder),
    )

    async def pass_time() -> None:
        while True:
            await world.session.sleep_ns(1_000_000)
            await asyncio.sleep(0)

    clock = asyncio.create_task(pass_time())
    try:
        yield world, ExecutionRequests(api), told  # type: ignore[arg-type]
    finally:
        clock.cancel()
        await asyncio.gather(clock, return_exceptions=True)


def named(name: str) -> NamedMarket:
    return NamedMarket(name, MARKET.market)


def execute(**changes: Any) -> Execute:
    fields = {"algorithm": "passive", "market": SYMBOL, "side": "buy", "quantity": "0.002"}
    return Execute(**{**fields, "completion": "cancel_rest", **changes})


async def refused(attempt: Any) -> tuple[int, str]:
    with pytest.raises(ApiFailure) as failure:
        await attempt
    return failure.value.problem.status, failure.value.problem.name


async def test_a_parent_is_begun_shown_paused_resumed_and_cancelled_with_its_actor(tmp_path: Path) -> None:
    async with driven(tmp_path) as (_, requests, told):
        row = await requests.execute(execute(actor="operator_2", reason="test"))
        assert (row.number, row.state, row.quantity, row.actor) == (1, "working", "0.002", "operator_2")
        opened = next(one for one in told if isinstance(one, ParentOpened))
        assert (opened.actor, opened.reason, opened.strategy) == ("operator_2", "test", "manual")
        for verb, state in (("pause", "paused"), ("resume", "working"), ("cancel", None)):
            turned = await requests.turn(verb, 1, TurnExecution(reason="drill", actor="risk"))
            assert state is None or turned.state == state
        for _ in range(2_000):
            if requests.list()[0].state == "cancelled":
                break
            await asyncio.sleep(0.001)
        shown = requests.show(1)
        assert (shown.state, shown.actor, shown.reason) == ("cancelled", "risk", "drill")
        changes = [one for one in told if isinstance(one, ParentChanged)]
        assert {(one.actor, one.reason) for one in changes} == {("risk", "drill")}


async def test_refusals_have_names_and_statuses_and_change_nothing(tmp_path: Path) -> None:
    async with driven(tmp_path) as (world, requests, told):
        cases = [
            ((422, "PARENT_TOO_SMALL"), execute(quantity="0.0001")),
            ((422, "NO_COMPLETION_POLICY"), execute(completion="cross_at_end")),
            ((422, "UNKNOWN_PARAMETER"), execute(interval_s="60")),
            ((422, "PARAMETER_OUT_OF_BOUNDS"), execute(passive_pct="101")),
            ((422, "FLOAT_MONEY"), execute(quantity=0.1)),
            ((422, "NOT_A_NUMBER"), execute(quantity="1e-3")),
            ((422, "LIMIT_BEYOND_MARKET"), execute(limit="1")),
            ((422, "NO_VOLUME_CURVE"), execute(algorithm="vwap")),
            ((422, "RISK_DENIED"), execute(quantity="5")),
            ((404, "MARKET_NOT_FOUND"), execute(market="DOGE/USDT")),
            ((422, "REASON_TOO_LONG"), execute(reason="x" * 201)),
            ((422, "BAD_CLIENT_KEY"), execute(client_key="x" * 17)),
        ]
        for wanted, body in cases:
            assert await refused(requests.execute(body)) == wanted
        assert (await refused(requests.execute(execute(actor="nobody"))))[0] == 404
        assert await refused(requests.turn("pause", 7, TurnExecution(reason="x"))) == (404, "UNKNOWN_PARENT")
        assert not any(isinstance(one, ParentOpened) for one in told)
        assert world.own_orders_in_engine() == 0


async def test_the_same_key_begins_one_parent(tmp_path: Path) -> None:
    async with driven(tmp_path) as (_, requests, __):
        first = await requests.execute(execute(client_key="once"))
        second = await requests.execute(execute(client_key="once"))
        assert first.number == second.number == 1
        again = requests.execute(execute(client_key="once", quantity="0.003"))
        assert await refused(again) == (409, "IDEMPOTENCY_CONFLICT")
        assert await refused(requests.turn("pause", 1, TurnExecution(reason=" "))) == (422, "NO_REASON")


async def test_children_pass_the_same_risk(tmp_path: Path) -> None:
    async with driven(tmp_path) as (world, requests, _):
        await requests.execute(execute())
        denial = Denied(code=Code.ORDER_NOTIONAL_LIMIT, limit="test")
        world.trader.risk.check = lambda *_: [denial]  # type: ignore[method-assign]
        await requests.turn("pause", 1, TurnExecution(reason="drill"))
        await requests.turn("resume", 1, TurnExecution(reason="drill"))
        for _ in range(1_500):
            await asyncio.sleep(0.001)
            if requests.show(1).waits.get("denied OrderNotionalLimit"):
                break
        assert requests.show(1).waits["denied OrderNotionalLimit"] >= 1
        assert world.own_orders_in_engine() == 0


async def test_nothing_trades_nothing_executes(tmp_path: Path) -> None:
    requests = ExecutionRequests(SimpleNamespace(execution=None))  # type: ignore[arg-type]
    assert await refused(requests.execute(execute())) == (409, "NOT_TRADING")


def test_a_body_with_an_unknown_field_or_without_a_completion_policy_is_not_read() -> None:
    body = {"algorithm": "twap", "market": SYMBOL, "side": "buy", "quantity": "1"}
    for wrong in (body, {**body, "completion": "cancel_rest", "speed": 2}, {**body, "completion": "maybe"}):
        with pytest.raises(msgspec.ValidationError):
            msgspec.json.decode(msgspec.json.encode(wrong), type=Execute)
