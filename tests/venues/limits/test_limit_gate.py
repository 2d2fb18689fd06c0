"""Queues before a limit, states that survive a restart, retries of reads (T4.7, T4.9, T4.10)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from tradewind.venues.limits import BinanceLimits, Gate, KrakenLimits
from tradewind.venues.limits.gate import MAX_WAITING
from tradewind.venues.limits.kraken import KrakenState, RestCall
from tradewind.venues.limits.retry import RetryPolicy, read_again
from tradewind.venues.limits.store import LimiterStore, Moment, elapsed_ns, this_moment
from tradewind.venues.limits.verdicts import GRANTED, SECOND_NS, Denied, Granted, Priority, Verdict, Wait

LOCAL = Denied("RateLimitedLocal")


class Shut:
    """A model that grants only while it is open, and remembers whom it let out."""

    def __init__(self) -> None:
        self.places = 0
        self.out: list[str] = []

    def admit(self, cls: Priority, items: Sequence[str], now_ns: int) -> Verdict:
        if items[0] == "never":
            return Denied("AboveBudget")
        if self.places == 0:
            return Wait(now_ns + 3_600 * SECOND_NS)
        self.places -= 1
        self.out.append(items[0])
        return GRANTED


async def settle(gate: Gate, waiting: int) -> None:
    async with asyncio.timeout(5):
        while sum(gate.waiting.values()) != waiting:  # noqa: ASYNC110 the gate has no event for tests
            await asyncio.sleep(0)


async def test_the_highest_class_goes_first_and_within_it_the_earliest_deadline() -> None:
    model = Shut()
    gate = Gate(model)
    calls = [
        ("history", Priority.P5, 50.0),
        ("late", Priority.P2, 30.0),
        ("early", Priority.P2, 10.0),
        ("cancel", Priority.P0, 50.0),
    ]
    tasks = [
        asyncio.create_task(gate.acquire(cls, [name], patience_s=patience_s))
        for name, cls, patience_s in calls
    ]
    await settle(gate, 4)
    for expected in ("cancel", "early", "late", "history"):
        model.places = 1
        gate.poke()
        assert model.out[-1] == expected
    assert await asyncio.gather(*tasks) == [GRANTED] * 4
    assert gate.granted[Priority.P2] == 2 and not gate._queues and not gate._timers


async def test_patience_ends_as_a_local_refusal_and_a_busy_scope_holds_up_no_other() -> None:
    model = Shut()
    gate = Gate(model, patience_s={Priority.P3: 0.02})
    waiting = asyncio.create_task(gate.acquire(Priority.P1, ["busy"], scope="BTC/USD"))
    await settle(gate, 1)
    assert await gate.acquire(Priority.P3, ["late"], scope="BTC/USD") == LOCAL
    model.places = 1
    assert await gate.acquire(Priority.P3, ["other"], scope="ETH/USD") == GRANTED
    assert model.out == ["other"]
    gate.close()
    assert await waiting == LOCAL
    assert await gate.acquire(Priority.P3, ["never"]) == Denied("AboveBudget")
    assert gate.denied[Priority.P3, "AboveBudget"] == 1


async def test_a_queue_is_bounded() -> None:
    gate = Gate(Shut())
    tasks = [asyncio.create_task(gate.acquire(Priority.P5, ["x"])) for _ in range(MAX_WAITING)]
    await settle(gate, MAX_WAITING)
    assert await gate.acquire(Priority.P5, ["one more"]) == LOCAL
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert not gate._queues


async def test_a_grant_whose_caller_was_cancelled_is_given_back() -> None:
    model, back = Shut(), list[Sequence[str]]()
    gate = Gate(model, unused=back.append)
    task = asyncio.create_task(gate.acquire(Priority.P1, ["gone"]))
    await settle(gate, 1)
    model.places = 1
    gate.poke()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert back == [["gone"]]


async def test_a_real_model_lets_everybody_out_in_time() -> None:
    gate = Gate(KrakenLimits("pro"), clock_ns=Clock())
    verdicts = await asyncio.gather(*(gate.acquire(Priority.P1, [RestCall()]) for _ in range(30)))
    assert all(isinstance(one, Granted) for one in verdicts)


class Clock:
    """A clock a thousand times faster than the machine's."""

    def __init__(self) -> None:
        self.begin_s = asyncio.get_running_loop().time()

    def __call__(self) -> int:
        return int((asyncio.get_running_loop().time() - self.begin_s) * 1_000 * SECOND_NS)


def test_time_away_is_told_by_the_boot_clock_and_never_taken_too_long() -> None:
    before = Moment(boot_id="a", since_boot_ns=100)
    assert elapsed_ns(before, Moment(boot_id="a", since_boot_ns=250)) == 150
    assert elapsed_ns(before, Moment(boot_id="a", since_boot_ns=50)) == 0
    assert elapsed_ns(before, Moment(boot_id="b", since_boot_ns=70)) == 70, "since the reboot at least"
    assert elapsed_ns(before, Moment(boot_id="", since_boot_ns=70)) == 0
    assert this_moment().since_boot_ns > 0


def test_a_saved_state_comes_back_with_its_decay_and_damage_is_a_loss(tmp_path: Path) -> None:
    path, away_ns = tmp_path / "state" / "kraken.limits", 0

    def store(model: KrakenLimits) -> LimiterStore[KrakenState]:
        moment = Moment(boot_id="a", since_boot_ns=away_ns)
        return LimiterStore(path, model, KrakenState, clock_ns=lambda: 5, moment=lambda: moment)

    model = KrakenLimits("pro")
    assert store(model).load(fresh=True)
    assert model.levels(5)["rest"][0] == 0
    assert not store(KrakenLimits("pro")).load(), "a missing file of a used account is a loss"
    model.admit(Priority.P0, [RestCall(10)], 5)
    store(model).save()
    away_ns = 4 * SECOND_NS
    after = KrakenLimits("pro")
    assert store(after).load() and after.levels(5)["rest"][0] == 6
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)
    lost = KrakenLimits("pro")
    assert not store(lost).load(fresh=True) and lost.levels(5)["rest"][0] == 14


async def test_the_store_saves_on_its_own_and_a_failing_disk_is_counted(tmp_path: Path) -> None:
    good = LimiterStore(tmp_path / "a", KrakenLimits("pro"), KrakenState)
    (tmp_path / "file").touch()
    bad = LimiterStore(tmp_path / "file" / "b", KrakenLimits("pro"), KrakenState)
    for store in (good, bad):
        task = asyncio.create_task(store.run())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert good.saves == 1 and bad.failures == 1


def test_retries_are_jittered_bounded_and_end_with_the_deadline() -> None:
    policy = RetryPolicy()
    highest = [policy.next_delay_s(n, 0.0, uniform=lambda low, high: high) for n in range(4)]
    assert highest == [0.25, 0.5, 1.0, None]
    assert policy.next_delay_s(0, 0.0, 7.0) == 7.0
    assert policy.next_delay_s(0, 4.0, 7.0) is None, "the venue asks for longer than the deadline"


async def test_a_read_is_repeated_until_it_stands_and_three_times_at_most() -> None:
    answers = iter(["bad", "bad", "good", "never asked"])

    async def attempt() -> str:
        return next(answers)

    fast = RetryPolicy(base_s=0.0)
    assert await read_again(attempt, lambda one: 0.0 if one == "bad" else None, fast) == "good"
    count = 0

    async def failing() -> str:
        nonlocal count
        count += 1
        return "bad"

    assert await read_again(failing, lambda one: 0.0, fast) == "bad" and count == 4


def test_the_package_offers_the_models() -> None:
    assert BinanceLimits and KrakenLimits


async def test_scopes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tradewind.venues.limits.gate.MAX_SCOPES", 1)
    gate = Gate(Shut())
    waiting = asyncio.create_task(gate.acquire(Priority.P1, ["a"], scope="a"))
    await settle(gate, 1)
    assert await gate.acquire(Priority.P1, ["b"], scope="b") == LOCAL
    gate.close()
    assert await waiting == LOCAL


def test_a_machine_without_a_boot_id_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tradewind.venues.limits.store.BOOT_ID", tmp_path / "none")
    assert this_moment().boot_id == ""
