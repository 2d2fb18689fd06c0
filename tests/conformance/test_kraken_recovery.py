"""What only a connector with connections can get wrong: cuts, gaps, unknown words, a key out of use."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator

import msgspec
import pytest

from tradewind.gateways.faults import Fault as WireFault
from tradewind.gateways.faults import Plan, Rule
from tradewind.gateways.model import Order, PlaceRequest
from tradewind.venues.codes import RejectCode
from tradewind.venues.kraken.history import Orders
from tradewind.venues.market_data import Side
from tradewind.venues.protocol import (
    FINAL_PHASES,
    Acked,
    AlreadyFinal,
    CancelledAll,
    FillEvent,
    Found,
    Incomplete,
    NotFound,
    OrderEvent,
    OrderPhase,
    Rejected,
    StreamState,
    Uncertain,
    VenueState,
)
from tradewind.venues.transport.private_link import Phase

from .kraken_bench import KrakenBench

CUTS = 50


@pytest.fixture
async def bench() -> AsyncIterator[KrakenBench]:
    one = await KrakenBench.open()
    yield one
    await one.close()


def rules(bench: KrakenBench, *wanted: Rule) -> None:
    bench.exchange.faults.replace(Plan(rules=wanted))


def keep_away(bench: KrakenBench) -> None:
    """No private connection gets further than its subscriptions."""
    rules(bench, Rule(action=WireFault.RESET, surface="ws-api", name="subscribe"))
    bench.venue.socket.link.socket.reconnect("test")


async def live_again(bench: KrakenBench, epoch: int) -> None:
    link = bench.venue.socket.link
    await bench.until(lambda: link.live and link.socket.epoch > epoch, "live on a new connection")

    def heard() -> bool:
        return [one.live for one in bench.events if isinstance(one, StreamState)][-1]

    await bench.until(heard, "what the link told before that is read")


def fills_of(bench: KrakenBench) -> list[FillEvent]:
    return [one for one in bench.events if isinstance(one, FillEvent)]


async def test_executions_during_an_outage_are_told_once_with_true_remainders(bench: KrakenBench) -> None:
    lots, epoch = bench.usual_lots, bench.venue.socket.link.socket.epoch
    order = await bench.place(Side.BUY, bench.middle_ticks, 4 * lots)
    await bench.take(Side.SELL, bench.middle_ticks, lots)
    keep_away(bench)
    await bench.until(lambda: not bench.venue.socket.link.live, "it is away")
    for _ in range(2):
        request = PlaceRequest(symbol=bench.symbol, side=Side.SELL, price_ticks=bench.middle_ticks, lots=lots)
        assert isinstance(await bench.exchange.place("taker", request), Order)
    await bench.heal()
    await live_again(bench, epoch)
    told = fills_of(bench)
    assert [one.remaining_lots for one in told] == [3 * lots, 2 * lots, lots]
    assert len({one.key for one in told}) == 3
    assert {one.client_id for one in told} == {order.client_id}
    known = bench.venue.mirror.find(order.client_id)
    assert known is not None
    assert (known.phase, known.filled_lots) == (OrderPhase.PARTIALLY_FILLED, 3 * lots)


async def test_an_order_that_ended_during_an_outage_is_asked_for_and_never_assumed(
    bench: KrakenBench,
) -> None:
    lots, epoch = bench.usual_lots, bench.venue.socket.link.socket.epoch
    filled = await bench.place(Side.BUY, bench.middle_ticks, lots)
    cancelled = await bench.place(Side.BUY, bench.middle_ticks - 5, lots)
    stays = await bench.place(Side.BUY, bench.middle_ticks - 6, lots)
    keep_away(bench)
    await bench.until(lambda: not bench.venue.socket.link.live, "it is away")
    request = PlaceRequest(symbol=bench.symbol, side=Side.SELL, price_ticks=bench.middle_ticks, lots=lots)
    assert isinstance(await bench.exchange.place("taker", request), Order)
    truth = bench.exchange.order(bench.account, client_id=cancelled.client_id)
    assert truth is not None
    await bench.exchange.cancel(bench.account, truth.order_id)
    await bench.heal()
    await live_again(bench, epoch)
    ends = {
        one.state.client_id: one.state.phase
        for one in bench.events
        if isinstance(one, OrderEvent) and one.state.phase in FINAL_PHASES
    }
    assert ends == {filled.client_id: OrderPhase.FILLED, cancelled.client_id: OrderPhase.CANCELLED}
    assert [one.client_id for one in bench.venue.mirror.open()] == [stays.client_id]


async def test_the_stream_says_when_it_is_away_and_when_it_is_back(bench: KrakenBench) -> None:
    epoch = bench.venue.socket.link.socket.epoch
    bench.venue.socket.link.socket.reconnect("test")
    await live_again(bench, epoch)
    await bench.step(0.05)
    assert [one.live for one in bench.events if isinstance(one, StreamState)] == [True, False, True]


async def test_without_a_live_link_nothing_new_is_sent_and_cancels_go_over_rest(bench: KrakenBench) -> None:
    first = await bench.place(Side.BUY, bench.middle_ticks)
    second = await bench.place(Side.BUY, bench.middle_ticks - 1)
    keep_away(bench)
    await bench.until(lambda: not bench.venue.socket.link.can_send, "it is away")
    before = len(await bench.true_orders())
    answer = await bench.run(bench.venue.submit(bench.order(Side.BUY, bench.middle_ticks), 1))
    assert isinstance(answer, Rejected)
    assert answer.code == RejectCode.NOT_LIVE
    assert len(await bench.true_orders()) == before
    cancelled = await bench.run(bench.venue.cancel(bench.reference(first.client_id), 1))
    assert isinstance(cancelled, Acked | AlreadyFinal | Uncertain), cancelled
    answer = await bench.run(bench.venue.cancel_all(None, 1))
    assert isinstance(answer, CancelledAll), answer
    assert second.client_id in answer.client_ids
    assert all(one.phase is OrderPhase.CANCELLED for one in await bench.true_orders())


async def test_a_cancel_that_was_taken_while_the_order_filled_tells_that_it_filled(
    bench: KrakenBench,
) -> None:
    order = await bench.place(Side.BUY, bench.middle_ticks)
    rules(bench, Rule(action=WireFault.LOSE_ORDER, surface="ws-api", name="cancel_order", times=1))
    cancel = asyncio.ensure_future(bench.venue.cancel(bench.reference(order.client_id), 1))
    await bench.until(lambda: bool(bench.exchange.faults.log), "the cancel is acknowledged and forgotten")
    await bench.take(Side.SELL, bench.middle_ticks, bench.usual_lots)
    answer = await bench.run(cancel)
    assert isinstance(answer, AlreadyFinal), answer
    assert (answer.state.phase, answer.state.filled_lots) == (OrderPhase.FILLED, bench.usual_lots)


async def test_absence_of_what_may_still_be_accepted_is_never_proven(bench: KrakenBench) -> None:
    slow = msgspec.structs.replace(bench.venue.options, deadline_s=3.0, answer_timeout_s=0.1)
    bench.venue.options = slow
    rules(bench, Rule(action=WireFault.DELAY, surface="ws-api", name="add_order", delay_ms=1_500))
    order = bench.order(Side.BUY, bench.middle_ticks)
    answer = await bench.run(bench.venue.submit(order, 1))
    assert isinstance(answer, Uncertain), answer
    reference = bench.reference(order.client_id)
    early = await bench.run(bench.venue.query(reference))
    assert early == NotFound(proven_absent=False)

    async def there() -> bool:
        answer = await bench.run(bench.venue.query(reference))
        assert answer != NotFound(proven_absent=True)
        return isinstance(answer, Found)

    await bench.until_true(there, "the late order is found")


async def test_a_post_only_order_does_not_take_when_it_is_amended(bench: KrakenBench) -> None:
    order = bench.order(Side.BUY, bench.middle_ticks, post_only=True)
    assert isinstance(await bench.run(bench.venue.submit(order, 1)), Acked)
    await bench.until(lambda: bool(bench.venue.mirror.post_only), "the stream tells of it")
    await bench.quote([], [(bench.middle_ticks + 60, bench.usual_lots)])
    reference = bench.reference(order.client_id)
    answer = await bench.run(bench.venue.amend(reference, 1, price_ticks=bench.middle_ticks + 60))
    assert isinstance(answer, Rejected), answer
    assert (answer.code, answer.preventable) == (RejectCode.AMEND_WOULD_TAKE, False)
    truth = await bench.true_order(order.client_id)
    assert truth is not None
    assert (truth.phase, truth.price_ticks) == (OrderPhase.WORKING, bench.middle_ticks)
    assert await bench.true_fills() == []


async def test_an_id_that_is_sent_again_names_the_new_order(bench: KrakenBench) -> None:
    order = await bench.place(Side.BUY, bench.middle_ticks)
    await bench.run(bench.venue.cancel(bench.reference(order.client_id), 1))
    assert isinstance(await bench.run(bench.venue.submit(order, 1)), Acked)
    found = await bench.run(bench.venue.query(bench.reference(order.client_id)))
    assert isinstance(found, Found)
    assert found.state.phase is OrderPhase.WORKING


async def test_a_missing_message_is_noticed_and_healed_by_a_new_connection(bench: KrakenBench) -> None:
    epoch = bench.venue.socket.link.socket.epoch
    rules(bench, Rule(action=WireFault.DROP_FRAME, surface="stream", name="executions", times=1))
    order = await bench.place(Side.BUY, bench.middle_ticks, 2 * bench.usual_lots)
    await bench.take(Side.SELL, bench.middle_ticks, bench.usual_lots)
    await live_again(bench, epoch)
    assert bench.venue.socket.gaps == 1
    assert [(one.client_id, one.lots) for one in fills_of(bench)] == [(order.client_id, bench.usual_lots)]
    known = bench.venue.mirror.find(order.client_id)
    assert known is not None
    assert known.filled_lots == bench.usual_lots


async def test_a_state_that_nobody_knows_stops_new_risk_and_is_never_guessed(bench: KrakenBench) -> None:
    rules(bench, Rule(action=WireFault.UNKNOWN_ENUM, surface="ws-api", name="add_order", times=1))
    order = bench.order(Side.BUY, bench.middle_ticks)
    await bench.run(bench.venue.submit(order, 1))
    await bench.until(lambda: bool(bench.venue.socket.problems), "the row is noticed")
    answer = await bench.run(bench.venue.submit(bench.order(Side.BUY, bench.middle_ticks), 1))
    assert isinstance(answer, Rejected)
    assert answer.code == RejectCode.NOT_LIVE
    assert "unmapped" in answer.raw
    await bench.heal()
    found = await bench.run(bench.venue.query(bench.reference(order.client_id)))
    assert isinstance(found, Found)


async def test_lists_with_a_row_that_cannot_be_mapped_are_incomplete(bench: KrakenBench) -> None:
    await bench.place(Side.BUY, bench.middle_ticks)
    rules(bench, Rule(action=WireFault.UNKNOWN_ENUM, surface="rest", name="POST /0/private/OpenOrders"))
    orders = await bench.run(bench.venue.open_orders(None))
    assert isinstance(orders, Incomplete), orders


@pytest.mark.parametrize("path", ["OpenOrders", "TradesHistory", "BalanceEx", "QueryOrders"])
@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_read_that_fails_is_incomplete_or_uncertain_and_never_empty(
    bench: KrakenBench, path: str, status: int
) -> None:
    order = await bench.place(Side.BUY, bench.middle_ticks)
    rule = Rule(action=WireFault.STATUS, surface="rest", name=f"POST /0/private/{path}", status=status)
    rules(bench, rule)
    reads = {
        "OpenOrders": bench.venue.open_orders(None), "TradesHistory": bench.venue.fills(0),
        "BalanceEx": bench.venue.balances(),
        "QueryOrders": bench.venue.query(bench.reference(order.client_id)),
    }  # fmt: skip
    wanted = reads.pop(path)
    for one in reads.values():
        one.close()
    assert isinstance(await bench.run(wanted), Incomplete | Uncertain)


@pytest.mark.parametrize("state", [VenueState.CANCEL_ONLY, VenueState.MAINTENANCE, VenueState.POST_ONLY])
async def test_a_venue_that_takes_no_such_orders_is_obeyed_before_it_has_to_refuse(
    bench: KrakenBench, state: VenueState
) -> None:
    order = await bench.place(Side.BUY, bench.middle_ticks)
    bench.exchange.set_mode(state)
    await bench.until(lambda: bench.venue.socket.system is state, "the venue says so")
    answer = await bench.run(bench.venue.submit(bench.order(Side.BUY, bench.middle_ticks - 1), 1))
    assert isinstance(answer, Rejected), answer
    codes = {RejectCode.CANCEL_ONLY, RejectCode.MAINTENANCE, RejectCode.POST_ONLY_MODE}
    assert answer.code in codes
    assert (await bench.run(bench.venue.status())).state is state
    if state is VenueState.CANCEL_ONLY:
        cancelled = await bench.run(bench.venue.cancel(bench.reference(order.client_id), 1))
        assert isinstance(cancelled, Acked), cancelled


async def test_an_order_of_somebody_else_on_the_account_is_told_and_can_be_cancelled(
    bench: KrakenBench,
) -> None:
    request = PlaceRequest(symbol=bench.symbol, side=Side.BUY, price_ticks=bench.middle_ticks, lots=100)
    foreign = await bench.exchange.place(bench.account, request)
    assert isinstance(foreign, Order)
    await bench.until(lambda: bool(bench.venue.mirror.open()), "the stream tells of it")
    listed = await bench.run(bench.venue.open_orders(None))
    assert not isinstance(listed, Incomplete)
    assert [one.client_id for one in listed] == [""]
    answer = await bench.run(bench.venue.cancel_all(bench.symbol, 1))
    assert isinstance(answer, CancelledAll), answer
    assert len(answer.client_ids) == 1


async def test_a_key_out_of_use_sends_nothing(bench: KrakenBench) -> None:
    bench.lane.quarantine("test")
    answer = await bench.run(bench.venue.submit(bench.order(Side.BUY, bench.middle_ticks), 1))
    assert isinstance(answer, Rejected)
    assert answer.code == RejectCode.KEY_QUARANTINED
    assert isinstance(await bench.run(bench.venue.balances()), Incomplete)


async def test_a_core_that_was_paused_beyond_its_lease_sends_nothing_not_even_a_cancel(
    bench: KrakenBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = await bench.place(Side.BUY, bench.middle_ticks)

    class Expired:
        epoch = 1
        may_sign = True

    lease = Expired()
    monkeypatch.setattr(bench.venue.rest, "_lease", lease)
    reference = bench.reference(order.client_id)
    assert isinstance(await bench.run(bench.venue.amend(reference, 1, lots=200)), Acked)
    sent = bench.gateway.exchange.faults
    rules(bench, Rule(action=WireFault.DELAY, surface="ws-api", delay_ms=1))
    lease.may_sign = False
    answers = [
        await bench.run(bench.venue.submit(bench.order(Side.BUY, bench.middle_ticks), 1)),
        await bench.run(bench.venue.amend(reference, 1, lots=300)),
        await bench.run(bench.venue.cancel(reference, 1)),
        await bench.run(bench.venue.cancel_all(None, 1)),
        await bench.run(bench.venue.cancel_after(60, 1)),
    ]
    assert {(one.code, type(one)) for one in answers} == {(RejectCode.STALE_EPOCH, Rejected)}  # type: ignore[union-attr]
    assert [one.name for one in sent.log] == [], "not one request left"


async def test_an_order_that_would_come_too_late_is_not_sent(bench: KrakenBench) -> None:
    order = bench.order(Side.BUY, bench.middle_ticks)
    fields = {name: getattr(order, name) for name in order.__struct_fields__}
    late = type(order)(**(fields | {"valid_until_ns": time.time_ns() + 100_000_000}))
    answer = await bench.run(bench.venue.submit(late, 1))
    assert isinstance(answer, Rejected)
    assert answer.code == RejectCode.DEADLINE_PASSED
    assert await bench.true_orders() == []


async def test_no_secret_and_no_token_is_ever_shown(
    bench: KrakenBench, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    key = bench.exchange.keys.of_account(bench.account)[0]
    token = bench.venue.socket._token
    await bench.place(Side.BUY, bench.middle_ticks)
    bench.venue.socket.link.socket.reconnect("test")
    await bench.step(0.1)
    import base64

    shown = "".join(
        [caplog.text, *capsys.readouterr()]
        + [repr(one) for one in (bench.venue, bench.venue.rest, bench.venue.socket, bench.lane)]
        + [repr(one) for one in bench.venue.socket.link.transitions]
    )
    assert token
    assert token not in shown
    assert base64.b64encode(key.secret).decode() not in shown
    assert key.secret.hex() not in shown
    assert repr(key.secret) not in shown


async def test_every_phase_change_is_reported_for_the_journal(bench: KrakenBench) -> None:
    link = bench.venue.socket.link
    assert [one.after for one in link.transitions][-1] is Phase.LIVE
    assert all(one.link == "kraken private" and one.at_ns > 0 for one in link.transitions)


async def test_a_cut_costs_no_rest_points_when_the_snapshot_tells_all_that_was_missed(
    bench: KrakenBench,
) -> None:
    lots = bench.usual_lots
    await bench.place(Side.BUY, bench.middle_ticks, 30 * lots)
    await bench.take(Side.SELL, bench.middle_ticks, lots)
    for number in range(3):
        epoch, calls = bench.venue.socket.link.socket.epoch, bench.lane.facts().calls
        keep_away(bench)
        await bench.until(lambda: not bench.venue.socket.link.live, "it is away")
        request = PlaceRequest(symbol=bench.symbol, side=Side.SELL, price_ticks=bench.middle_ticks, lots=lots)
        assert isinstance(await bench.exchange.place("taker", request), Order)
        await bench.heal()
        await live_again(bench, epoch)
        assert bench.lane.facts().calls == calls, "neither a token nor a list was asked for"
        assert [one.remaining_lots for one in fills_of(bench)][-1] == (28 - number) * lots


async def test_a_token_that_the_venue_does_not_take_any_more_is_replaced(bench: KrakenBench) -> None:
    epoch = bench.venue.socket.link.socket.epoch
    bench.venue.socket._token = "expired"
    bench.venue.socket.link.socket.reconnect("test")
    await live_again(bench, epoch)
    assert bench.venue.socket._token != "expired"


async def test_an_id_that_the_venue_does_not_know_hides_no_other_order(bench: KrakenBench) -> None:
    orders = [await bench.place(Side.BUY, bench.middle_ticks - step) for step in range(3)]
    known = [bench.venue.mirror.find(one.client_id) for one in orders]
    ids = [one.venue_id for one in known if one is not None]
    answer = await bench.venue.history.query([ids[0], "OQCLML-BW3P3-BUCMWZ", *ids[1:]])
    assert isinstance(answer, Orders)
    assert set(answer.rows) == set(ids)


async def test_an_order_that_is_known_to_have_ended_while_it_was_asked_for_is_no_defect(
    bench: KrakenBench,
) -> None:
    assert bench.venue._ended_orders(["OQCLML-BW3P3-BUCMWZ"], Orders({})) == ""


async def test_the_systems_state_is_asked_for_when_the_connection_did_not_tell_it(bench: KrakenBench) -> None:
    epoch = bench.venue.socket.link.socket.epoch
    rules(bench, Rule(action=WireFault.DROP_FRAME, surface="stream", name="status"))
    bench.venue.socket.link.socket.reconnect("test")
    await live_again(bench, epoch)
    assert bench.venue.socket.system is VenueState.ONLINE
    assert isinstance(
        await bench.run(bench.venue.submit(bench.order(Side.BUY, bench.middle_ticks), 1)), Acked
    )


@pytest.mark.slow
async def test_fifty_cuts_lose_nothing_and_most_heal_within_five_seconds(bench: KrakenBench) -> None:
    lots, link = bench.usual_lots, bench.venue.socket.link
    bench.venue.rest.limits.rest_report = lambda *_: None  # type: ignore[method-assign]
    orders = [await bench.place(Side.BUY, bench.middle_ticks - step, 30 * lots) for step in range(2)]
    outages_s: list[float] = []
    for number in range(CUTS):
        epoch, begin_s = link.socket.epoch, time.monotonic()
        link.socket.reconnect("test")
        if number % 5 == 0:
            request = PlaceRequest(
                symbol=bench.symbol, side=Side.SELL, price_ticks=bench.middle_ticks - 1, lots=lots
            )
            await bench.exchange.place("taker", request)
        while not (link.live and link.socket.epoch > epoch):
            assert time.monotonic() - begin_s < 60, link.transitions[-5:]
            await asyncio.sleep(0.005)
        outages_s.append(time.monotonic() - begin_s)
    outages_s.sort()
    print(json.dumps({"cuts": CUTS, "p50_s": outages_s[CUTS // 2], "p95_s": outages_s[int(CUTS * 0.95)]}))
    assert sum(one.lots for one in fills_of(bench)) == sum(one.lots for one in await bench.true_fills())
    assert len({one.key for one in fills_of(bench)}) == len(fills_of(bench))
    for order in orders:
        truth, known = await bench.true_order(order.client_id), bench.venue.mirror.find(order.client_id)
        assert truth is not None
        assert known is not None
        assert (known.phase, known.filled_lots) == (truth.phase, truth.filled_lots)
