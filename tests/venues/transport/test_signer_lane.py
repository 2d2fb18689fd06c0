"""The order on the wire is the order of the nonces; stale, expired and quarantined keys send nothing (T3)."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from raw_server import OK, RawServer

from tradewind.venues.limits import Gate, KrakenLimits
from tradewind.venues.limits.kraken import RestCall
from tradewind.venues.limits.sliding import Request, Rule, SlidingLimits
from tradewind.venues.limits.verdicts import Priority
from tradewind.venues.transport import nonce as nonce_module
from tradewind.venues.transport.lease import KeyLock, TradingLease
from tradewind.venues.transport.nonce import SECOND_NS, NonceAllocator, NonceClock, NonceUnit
from tradewind.venues.transport.private_http import Answer, NoAnswer, PrivateHttp
from tradewind.venues.transport.signer import InvalidNonceCause, Nonce, SignedRequest, SignerLane


def build(nonce: Nonce) -> SignedRequest:
    return SignedRequest(method="POST", target="/0/private/X", headers={}, body=f"nonce={nonce}".encode())


def frozen_lease(path: Path) -> TradingLease:
    """A lease in a time that stands still: it does not run out while a test is slow."""
    return TradingLease.acquire(path, lambda: SECOND_NS, lambda: SECOND_NS)


def nonces_of(server: RawServer) -> list[int]:
    return [int(one.partition(b"nonce=")[2]) for one in server.requests]


@asynccontextmanager
async def lane_to(
    server: RawServer,
    folder: Path,
    *,
    lease: TradingLease | None = None,
    gate: Gate | None = None,
    clock: NonceClock | None = None,
) -> AsyncIterator[SignerLane]:
    path = folder / "key.nonce"
    nonces = NonceAllocator.open(path, NonceUnit.US, used=path.exists(), clock=clock)
    lane = SignerLane(
        PrivateHttp(server.url, max_connections=1),
        lock=KeyLock(folder, "key"), lease=lease, nonces=nonces, gate=gate,
    )  # fmt: skip
    try:
        yield lane
    finally:
        await lane.close()


async def test_the_wire_has_the_nonces_in_order_whatever_the_venue_delays(tmp_path: Path) -> None:
    chance = random.Random(11)

    async def jitter(_: bytes, __: int) -> bytes:
        await asyncio.sleep(chance.random() * 0.004)
        return OK

    async with RawServer(jitter) as server, lane_to(server, tmp_path) as lane:

        async def caller(cls: Priority) -> None:
            for _ in range(10):
                await asyncio.sleep(chance.random() * 0.002)
                assert isinstance(await lane.call(build, cls=cls), Answer)

        await asyncio.gather(*(caller(cls) for cls in list(Priority) * 2))
        sent = nonces_of(server)
        assert len(sent) == 120 and sent == sorted(set(sent))
        assert server.connections == 1 and lane.facts().reused == 119


async def test_a_cancel_overtakes_everything_that_waits(tmp_path: Path) -> None:
    release, order = asyncio.Event(), list[str]()

    async def reply(request: bytes, number: int) -> bytes:
        if number == 0:
            await release.wait()
        return OK

    async with RawServer(reply) as server, lane_to(server, tmp_path) as lane:

        async def call(name: str, cls: Priority) -> None:
            await lane.call(build, cls=cls)
            order.append(name)

        tasks = [asyncio.create_task(call("first", Priority.P5))]
        async with asyncio.timeout(5):
            while not server.requests:  # noqa: ASYNC110 the server has no event
                await asyncio.sleep(0)
            for name, cls in (("history", Priority.P5), ("order", Priority.P3), ("cancel", Priority.P0)):
                tasks.append(asyncio.create_task(call(name, cls)))
            while lane.facts().waiting < 3:  # noqa: ASYNC110 the lane has no event
                await asyncio.sleep(0)
        release.set()
        await asyncio.gather(*tasks)
        assert order == ["first", "cancel", "order", "history"]


async def test_an_epoch_below_the_highest_seen_sends_no_byte(tmp_path: Path) -> None:
    lease = frozen_lease(tmp_path / "lease")
    async with RawServer() as server:
        async with lane_to(server, tmp_path, lease=lease) as lane:
            assert isinstance(await lane.call(build, cls=Priority.P0, epoch=1), Answer)
            stale = await lane.call(build, cls=Priority.P0, epoch=0)
            assert stale == NoAnswer(reason="StaleEpoch", sent=False)
            future = await lane.call(build, cls=Priority.P0, epoch=2)
            assert future == NoAnswer(reason="LeaseExpired", sent=False)
            lease.release()
            successor = frozen_lease(tmp_path / "lease")
            lost = await lane.call(build, cls=Priority.P0, epoch=1)
            assert lost == NoAnswer(reason="LeaseExpired", sent=False)
            assert not lane.new_risk_allowed
        async with lane_to(server, tmp_path, lease=successor) as lane:
            assert isinstance(await lane.call(build, cls=Priority.P0, epoch=2), Answer)
            assert lane.facts().refused == {}
        before = len(server.requests)
        back = frozen_lease(tmp_path / "another lease")
        async with lane_to(server, tmp_path, lease=back) as lane:
            stale = await lane.call(build, cls=Priority.P0, epoch=1)
            assert stale == NoAnswer(reason="StaleEpoch", sent=False), "the key has seen epoch 2"
        assert len(server.requests) == before


async def test_a_lease_that_ran_out_while_waiting_for_the_turn_sends_nothing(tmp_path: Path) -> None:
    moment = [10 * SECOND_NS]
    lease = TradingLease.acquire(tmp_path / "lease", lambda: moment[0], lambda: moment[0])
    release = asyncio.Event()

    async def reply(_: bytes, __: int) -> bytes:
        await release.wait()
        return OK

    async with RawServer(reply) as server, lane_to(server, tmp_path, lease=lease) as lane:
        first = asyncio.create_task(lane.call(build, cls=Priority.P0, epoch=1))
        second = asyncio.create_task(lane.call(build, cls=Priority.P0, epoch=1))
        async with asyncio.timeout(5):
            while not server.requests or not lane.facts().waiting:  # noqa: ASYNC110 no event for this
                await asyncio.sleep(0)
        moment[0] += 4 * SECOND_NS
        release.set()
        assert isinstance(await first, Answer)
        assert await second == NoAnswer(reason="LeaseExpired", sent=False)
        assert len(server.requests) == 1


async def test_a_key_whose_lock_was_taken_away_sends_nothing(tmp_path: Path) -> None:
    async with RawServer() as server, lane_to(server, tmp_path) as lane:
        (tmp_path / "key.lock").unlink()
        assert await lane.call(build, cls=Priority.P0) == NoAnswer(reason="KeyLockLost", sent=False)
        assert lane.nonce_refused()[0] is InvalidNonceCause.OTHER_PROCESS


async def test_a_refused_nonce_skips_a_minute_once_and_the_second_in_a_row_ends_the_key(
    tmp_path: Path,
) -> None:
    async with RawServer() as server, lane_to(server, tmp_path) as lane:
        await lane.call(build, cls=Priority.P2)
        assert lane.nonce_refused() == (InvalidNonceCause.OTHER_PROCESS, True)
        await lane.call(build, cls=Priority.P2)
        first, second = nonces_of(server)
        assert second - first >= 60 * NonceUnit.US.per_s
        ahead_s = lane.facts().ahead_s
        assert ahead_s is not None and 55 < ahead_s <= 60
        lane.accepted()
        assert lane.nonce_refused()[1]
        assert lane.nonce_refused() == (InvalidNonceCause.OTHER_PROCESS, False)
        assert lane.quarantined and not lane.new_risk_allowed
        assert await lane.call(build, cls=Priority.P0) == NoAnswer(reason="KeyQuarantined", sent=False)
        assert len(server.requests) == 2


async def test_three_authentication_failures_in_a_minute_end_the_key(tmp_path: Path) -> None:
    async with RawServer() as server, lane_to(server, tmp_path) as lane:
        assert [lane.signature_refused() for _ in range(3)] == [False, False, True]
        assert lane.facts().quarantined == "AuthenticationFailures"


async def test_the_cause_of_a_refused_nonce_is_told(tmp_path: Path) -> None:
    wall = [1_800_000_000 * SECOND_NS]
    clock = NonceClock(wall_ns=lambda: wall[0], steady_ns=lambda: 0)

    async def silent(_: bytes, number: int) -> bytes | None:
        return None

    async with RawServer(silent) as server, lane_to(server, tmp_path, clock=clock) as lane:
        reply = await lane.call(build, cls=Priority.P2)
        assert isinstance(reply, NoAnswer) and reply.sent
        assert lane.nonce_refused()[0] is InvalidNonceCause.REORDER
        wall[0] += 3_600 * SECOND_NS
        lane.accepted()
        assert lane.nonce_refused()[0] is InvalidNonceCause.CLOCK_STEP
        assert not lane.new_risk_allowed


async def test_nonces_far_ahead_of_the_clock_end_the_key(tmp_path: Path) -> None:
    wall = [1_800_000_000 * SECOND_NS]
    clock = NonceClock(wall_ns=lambda: wall[0], steady_ns=lambda: 0)
    async with RawServer() as server, lane_to(server, tmp_path, clock=clock) as lane:
        assert lane._nonces is not None
        lane._nonces.skip_ahead(301)
        assert await lane.call(build, cls=Priority.P2) == NoAnswer(reason="NonceError", sent=False)
        assert lane.facts().quarantined == "NonceAheadOfClock" and not server.requests


async def test_a_full_disk_ends_the_key_and_not_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with RawServer() as server, lane_to(server, tmp_path) as lane:
        assert lane._nonces is not None
        lane._nonces.skip_ahead(100)

        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(nonce_module, "write_mark", full)
        assert await lane.call(build, cls=Priority.P0) == NoAnswer(reason="NonceStorageFailed", sent=False)
        assert lane.quarantined == "NonceStorageFailed" and not server.requests


async def test_the_limits_are_asked_first_and_a_denied_call_has_no_nonce(tmp_path: Path) -> None:
    gate = Gate(KrakenLimits("starter"), patience_s={Priority.P3: 0.01})
    async with RawServer() as server, lane_to(server, tmp_path, gate=gate) as lane:
        for _ in range(7):
            assert isinstance(await lane.call(build, cls=Priority.P0, cost=[RestCall(2)]), Answer)
        denied = await lane.call(build, cls=Priority.P3, cost=[RestCall(2)])
        assert denied == NoAnswer(reason="RateLimitedLocal", sent=False)
        assert len(server.requests) == 7


async def test_lanes_with_a_clock_may_have_several_requests_under_way(tmp_path: Path) -> None:
    together = asyncio.Barrier(3)

    async def reply(_: bytes, __: int) -> bytes:
        async with asyncio.timeout(5):
            await together.wait()
        return OK

    async with RawServer(reply) as server:
        lane = SignerLane(
            PrivateHttp(server.url, max_connections=3), lock=KeyLock(tmp_path, "b"), stamp_ms=lambda: 5
        )
        answers = await asyncio.gather(*(lane.call(build, cls=Priority.P2) for _ in range(3)))
        assert all(isinstance(one, Answer) for one in answers) and nonces_of(server) == [5, 5, 5]
        assert lane.facts().ahead_s is None and lane.new_risk_allowed
        lane.nonce_refused()
        assert lane.quarantined, "there is no nonce that could skip ahead"
        waiting = await lane.call(build, cls=Priority.P2)
        assert isinstance(waiting, NoAnswer)
        await lane.close()
        with pytest.raises(ValueError, match="either"):
            SignerLane(PrivateHttp(server.url), lock=KeyLock(tmp_path, "c"))


async def test_a_closed_lane_answers_its_waiters_and_gives_the_key_back(tmp_path: Path) -> None:
    async def never(_: bytes, __: int) -> bytes:
        await asyncio.sleep(3_600)
        return OK

    async with RawServer(never) as server:
        async with lane_to(server, tmp_path) as lane:
            tasks = [asyncio.create_task(lane.call(build, cls=Priority.P2)) for _ in range(3)]
            async with asyncio.timeout(5):
                while not server.requests or lane.facts().waiting < 2:  # noqa: ASYNC110 no event
                    await asyncio.sleep(0)
        replies = await asyncio.gather(*tasks)
        assert [one.sent for one in replies if isinstance(one, NoAnswer)].count(True) == 1
        assert len(replies) == 3 and len(server.requests) == 1
        KeyLock(tmp_path, "key").release()


def test_what_a_request_shows_of_itself_has_no_signature() -> None:
    request = SignedRequest(method="GET", target="/x?signature=hidden", headers={"API-Sign": "hidden"})
    assert "hidden" not in repr(request)


async def until_waiting(lane: SignerLane, server: RawServer, number: int) -> None:
    async with asyncio.timeout(5):
        while not server.requests or lane.facts().waiting != number:  # noqa: ASYNC110 no event for this
            await asyncio.sleep(0)


async def test_a_lane_bounds_its_waiters_and_their_patience_and_survives_cancelled_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = asyncio.Event()

    async def reply(_: bytes, __: int) -> bytes:
        await release.wait()
        return OK

    async with RawServer(reply) as server, lane_to(server, tmp_path) as lane:
        first = asyncio.create_task(lane.call(build, cls=Priority.P2))
        await until_waiting(lane, server, 0)
        late = await lane.call(build, cls=Priority.P2, timeout_s=0.02)
        assert late == NoAnswer(reason="Timeout", sent=False)
        cancelled = asyncio.create_task(lane.call(build, cls=Priority.P0))
        waiting = asyncio.create_task(lane.call(build, cls=Priority.P2))
        await until_waiting(lane, server, 2)
        monkeypatch.setattr("tradewind.venues.transport.signer.MAX_WAITING", 2)
        assert await lane.call(build, cls=Priority.P0) == NoAnswer(reason="LaneFull", sent=False)
        cancelled.cancel()
        await asyncio.gather(cancelled, return_exceptions=True)
        release.set()
        assert isinstance(await first, Answer) and isinstance(await waiting, Answer)
        assert isinstance(await lane.call(build, cls=Priority.P2), Answer), "the place came back"
        outcomes = lane.facts().outcomes
        assert outcomes["P2", "ok"] == 3 and outcomes["P2", "transport"] == 1
        assert outcomes["P0", "refused"] == 1
        assert "127.0.0.1" in repr(lane)


async def test_a_turn_given_to_a_cancelled_caller_goes_to_the_next(tmp_path: Path) -> None:
    release = asyncio.Event()

    async def reply(_: bytes, __: int) -> bytes:
        await release.wait()
        return OK

    async with RawServer(reply) as server, lane_to(server, tmp_path) as lane:
        first = asyncio.create_task(lane.call(build, cls=Priority.P2))
        await until_waiting(lane, server, 0)
        second = asyncio.create_task(lane.call(build, cls=Priority.P2))
        third = asyncio.create_task(lane.call(build, cls=Priority.P2))
        await until_waiting(lane, server, 2)
        lane._give_turn()  # the first one's turn ends in the same moment in which
        second.cancel()  # its successor is cancelled
        release.set()
        assert isinstance(await first, Answer) and isinstance(await third, Answer)
        with pytest.raises(asyncio.CancelledError):
            await second


async def test_an_epoch_that_cannot_be_made_durable_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    lease = frozen_lease(tmp_path / "lease")
    async with RawServer() as server, lane_to(server, tmp_path, lease=lease) as lane:
        monkeypatch.setattr(nonce_module, "write_mark", full)
        assert await lane.call(build, cls=Priority.P0, epoch=1) == NoAnswer(
            reason="NonceStorageFailed", sent=False
        )
        assert not server.requests


async def test_nonces_a_little_ahead_are_an_alarm_and_still_used(tmp_path: Path) -> None:
    async with RawServer() as server, lane_to(server, tmp_path) as lane:
        assert lane._nonces is not None
        lane._nonces.skip_ahead(20)
        assert isinstance(await lane.call(build, cls=Priority.P2), Answer)
        monitored = lane.facts().ahead_s
        assert monitored is not None and monitored > 15


async def test_a_wrong_number_of_digits_is_told_as_the_cause(tmp_path: Path) -> None:
    async with RawServer() as server, lane_to(server, tmp_path) as lane:
        assert lane._nonces is not None
        lane._nonces.unit = NonceUnit.NS
        assert lane._cause() is InvalidNonceCause.UNIT


async def test_a_sliding_window_hears_when_a_request_has_ended(tmp_path: Path) -> None:
    model = SlidingLimits([Rule(name="orders", limit=5)])
    gate, cost = Gate(model, clock_ns=lambda: 0), [Request(("orders",))]
    async with RawServer() as server, lane_to(server, tmp_path, gate=gate) as lane:
        assert isinstance(await lane.call(build, cls=Priority.P0, cost=cost), Answer)
        with pytest.raises(RuntimeError, match="under way"):
            model.done(cost, 0)
        lane.quarantine("for a test")
        await lane.call(build, cls=Priority.P0, cost=cost)
        assert model.levels(0)["orders"][0] == 1
