"""The watchdog cancels when the core is silent, at local venues over sockets, and never for nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from watchdog_world import ACCOUNT, beat, incident_service, put, venue

from tradewind.gateways.faults import Fault, Plan, Rule
from tradewind.gateways.keys import Right
from tradewind.trader.heartbeat import BadBeat, Beat, Channels, Heartbeat, boot_now_ns, read_beat
from tradewind.trader.watchdog.diary import Diary, broken_line
from tradewind.trader.watchdog.disk import Disk
from tradewind.trader.watchdog.judge import SECOND_NS, Judge, Limits
from tradewind.trader.watchdog.paging import Page, Pager
from tradewind.trader.watchdog.paths import open_path
from tradewind.trader.watchdog.watch import Mode, Pages, Watchdog
from tradewind.venues.transport.dead_man import Purpose
from tradewind.venues.transport.lease import KeyBusy

BOOT = "this boot"
PATIENCE_S = 20.0


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 files and venues tell nobody
            await asyncio.sleep(0.01)


class Clock:
    """A boot clock that tests move."""

    def __init__(self) -> None:
        self.ahead_ns = 0

    def __call__(self) -> int:
        return boot_now_ns() + self.ahead_ns


# ---- judging ---------------------------------------------------------------------------------------------


def judged(now_ns: int = 0, **limits: int) -> Judge:
    return Judge("kraken", ACCOUNT, BOOT, now_ns, Limits(**limits))


def at(second: float, **changes: Any) -> Beat:
    at_ns = int(second * SECOND_NS)
    usual = {"control_ns": at_ns, "events_ns": at_ns, "boot_id": BOOT, "number": int(second * 10)}
    return beat(**{"at_ns": at_ns, **usual, **changes})


def test_a_core_that_beats_is_left_alone_and_ten_seconds_of_silence_are_the_end_of_it() -> None:
    judge = judged()
    for second in range(100):
        assert judge.see(at(second), second * SECOND_NS) == ""
        assert judge.verdict(second * SECOND_NS).cause == ""
    assert judge.verdict(109 * SECOND_NS).cause == ""
    assert judge.verdict(109 * SECOND_NS + 1).cause == "core_silent"


@pytest.mark.parametrize("channel", ["control_ns", "events_ns"])
def test_a_living_core_without_one_of_its_channels_for_forty_seconds_has_lost_control(channel: str) -> None:
    judge = judged()
    for second in range(60):
        judge.see(at(second, **{channel: 0}), second * SECOND_NS)
        assert judge.verdict(second * SECOND_NS).cause == ("control_lost" if second > 40 else "")


@settings(deadline=None)  # a busy machine is no defect
@given(st.integers(0, 10**12), st.integers(0, 10**12), st.integers(0, 10**12))
def test_the_outage_is_never_shorter_than_that_of_either_channel(control: int, events: int, now: int) -> None:
    judge = judged()
    latest = max(control, events)
    judge.see(at(0, at_ns=latest, control_ns=control, events_ns=events), latest)
    now = max(now, latest)
    assert judge.outage_ns(now) == max(now - control, now - events)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"account": "other"}, "foreign"),
        ({"venue": "binance"}, "foreign"),
        ({"boot_id": "another boot"}, "other_boot"),
        ({"at_ns": 200 * SECOND_NS}, "future"),
        ({"number": 3}, "older"),
        ({"core": "b", "at_ns": 40 * SECOND_NS}, "older"),
    ],
)
def test_a_foreign_stale_or_impossible_beat_is_no_sign_of_life(change: dict[str, Any], reason: str) -> None:
    judge = judged()
    judge.see(at(50), 50 * SECOND_NS)
    assert judge.see(at(61, **change), 61 * SECOND_NS) == reason
    assert judge.refused == {reason: 1}
    assert judge.verdict(61 * SECOND_NS).cause == "core_silent"


def test_a_copy_of_the_last_beat_keeps_nobody_alive() -> None:
    judge = judged()
    for second in range(5, 20):
        assert judge.see(at(5), second * SECOND_NS) == ""
    assert judge.verdict(19 * SECOND_NS).cause == "core_silent"


def test_a_watchdog_that_starts_late_counts_from_the_last_beat_and_not_from_its_start() -> None:
    judge = judged(now_ns=100 * SECOND_NS)
    judge.see(at(50), 100 * SECOND_NS)
    assert judge.verdict(100 * SECOND_NS).cause == "core_silent"


def test_a_core_that_ended_in_order_is_not_missed() -> None:
    judge = judged()
    judge.see(at(50, stopped=True), 50 * SECOND_NS)
    assert judge.verdict(10_000 * SECOND_NS).cause == ""


def test_a_new_core_takes_over_from_a_dead_one() -> None:
    judge = judged()
    judge.see(at(50), 50 * SECOND_NS)
    assert judge.see(at(70, core="b", number=1), 70 * SECOND_NS) == ""
    assert judge.verdict(71 * SECOND_NS).cause == ""


# ---- the file ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("break_it", "reason"),
    [
        (lambda path: path.unlink(), "missing"),
        (lambda path: path.write_bytes(b""), "damaged"),
        (lambda path: path.write_bytes(path.read_bytes()[:-3]), "damaged"),
        (lambda path: path.write_bytes(b"x" * 300_000), "damaged"),
        (lambda path: path.write_bytes(path.read_bytes().replace(b"trader", b"trade2")), "damaged"),
        (lambda path: path.chmod(0o622), "exposed"),
        (lambda path: (path.unlink(), path.mkdir()), "unreadable"),
        (lambda path: put(path, beat(version=9)), "version"),
    ],
)
def test_a_file_that_cannot_be_believed_says_why(tmp_path: Path, break_it: Any, reason: str) -> None:
    path = tmp_path / "beat"
    put(path, beat())
    assert read_beat(path).account == ACCOUNT
    break_it(path)
    with pytest.raises(BadBeat) as bad:
        read_beat(path)
    assert bad.value.reason == reason


async def test_a_core_writes_beats_with_the_ages_of_its_channels(tmp_path: Path) -> None:
    path = tmp_path / "state" / "beat"
    heart = Heartbeat(
        path, venue="kraken", account=ACCOUNT, every_s=0.01,
        channels=lambda: Channels(control_age_ns=5 * SECOND_NS), protective=lambda: ["tw1"],
    )  # fmt: skip
    running = asyncio.create_task(heart.run())
    await until(path.exists)
    first = read_beat(path)
    assert first.control_ns is not None
    assert abs(first.at_ns - first.control_ns - 5 * SECOND_NS) < SECOND_NS
    assert (first.events_ns, first.protective, first.stopped) == (None, ("tw1",), False)
    await until(lambda: read_beat(path).number > first.number + 3)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await heart.stopped()
    assert read_beat(path).stopped


async def test_a_heartbeat_that_cannot_be_written_is_counted_and_tried_again(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    heart = Heartbeat(tmp_path / "file" / "beat", venue="kraken", account=ACCOUNT)
    await heart.beat()
    await heart.beat()
    assert heart.failures == 2


# ---- acting at a venue ------------------------------------------------------------------------------------


@asynccontextmanager
async def dog_at(
    world: Any, data: Path, *, url: str = "", purpose: Purpose = Purpose.TIMER, **options: Any
) -> Any:
    """A watchdog whose loop is not running: tests look and act by hand, or run it."""
    key, secret = options.pop("key", None) or world.key()
    data.mkdir(exist_ok=True)  # noqa: ASYNC240 a test of its own
    async with open_path(world.name, key, secret, data=data, url=world.gateway.url) as path:
        pages = Pages(url=url, routing_key="r", source="test")
        dog = Watchdog(data / "beat", path, data, pages=pages, account=ACCOUNT, purpose=purpose, **options)
        try:
            yield dog
        finally:
            dog.close()


@pytest.mark.parametrize("name", ["kraken", "binance"])
async def test_a_silent_core_has_its_orders_cancelled_and_read_back(name: str, tmp_path: Path) -> None:
    clock = Clock()
    async with venue(name, tmp_path / "exchange") as world:
        await world.rest(5)
        async with dog_at(world, tmp_path / "dog", clock_ns=clock) as dog:
            put(tmp_path / "dog" / "beat", beat(name))
            assert dog.look().cause == ""
            assert dog.mode is Mode.WATCHING
            clock.ahead_ns = 11 * SECOND_NS
            assert dog.look().cause == "core_silent"
            assert dog.mode is Mode.CANCELLING
            await dog.act()
            assert dog.mode is Mode.HOLDING
            assert world.working() == []
            assert (dog.fired, dog.attempts) == ({"core_silent": 1}, {"verified": 1})


@pytest.mark.parametrize("name", ["kraken", "binance"])
async def test_purpose_stops_cancels_all_but_protective_orders(name: str, tmp_path: Path) -> None:
    clock = Clock()
    async with venue(name, tmp_path / "exchange") as world:
        ids = await world.rest(6)
        async with dog_at(world, tmp_path / "dog", clock_ns=clock, purpose=Purpose.STOPS) as dog:
            put(tmp_path / "dog" / "beat", beat(name, protective=tuple(ids[:2])))
            dog.look()
            clock.ahead_ns = 11 * SECOND_NS
            dog.look()
            await dog.act()
            assert sorted(world.working()) == ids[:2]
            assert dog.mode is Mode.HOLDING


async def test_without_any_heartbeat_protective_orders_are_not_guessed(tmp_path: Path) -> None:
    clock = Clock()
    async with venue("kraken", tmp_path / "exchange") as world:
        ids = await world.rest(2)
        async with dog_at(world, tmp_path / "dog", clock_ns=clock, purpose=Purpose.STOPS) as dog:
            clock.ahead_ns = 11 * SECOND_NS
            assert dog.look().cause == "core_silent"
            await dog.act()
            assert sorted(world.working()) == ids
            assert dog.mode is Mode.CANCELLING
            assert dog.attempts == {"failed": 1}


async def test_a_file_that_never_came_is_silence_too(tmp_path: Path) -> None:
    clock = Clock()
    async with venue("kraken", tmp_path / "exchange") as world:
        await world.rest(2)
        async with dog_at(world, tmp_path / "dog", clock_ns=clock) as dog:
            assert dog.look().cause == ""
            clock.ahead_ns = 11 * SECOND_NS
            dog.look()
            await dog.act()
            assert world.working() == []
            assert dog.status().refused_beats == {"missing": 2}


async def test_the_venue_is_asked_until_it_shows_nothing_whatever_it_answers(tmp_path: Path) -> None:
    clock = Clock()
    async with venue("kraken", tmp_path / "exchange") as world:
        await world.rest(3)
        rules = (
            Rule(surface="rest", name="*CancelAll*", action=Fault.STATUS, status=503, times=2),
            Rule(surface="rest", name="*OpenOrders*", action=Fault.RESET, times=1),
        )
        world.exchange.faults.replace(Plan(rules=rules))
        async with dog_at(world, tmp_path / "dog", clock_ns=clock) as dog:
            clock.ahead_ns = 11 * SECOND_NS
            dog.look()
            for _ in range(10):
                await dog.act()
                if dog.mode is Mode.HOLDING:
                    break
            assert world.working() == []
            assert dog.attempts["failed"] >= 1
            # what arrives late is seen and cancelled as well
            await world.exchange.place(ACCOUNT, late_order())
            await dog.act()
            await dog.act()
            assert world.working() == []


def late_order() -> Any:
    from tradewind.gateways.model import PlaceRequest
    from tradewind.venues.market_data import Side

    return PlaceRequest(symbol="BTC/USD", side=Side.BUY, price_ticks=500_000, lots=100)


async def test_a_core_that_is_back_ends_the_incident_and_one_that_ended_in_order_is_left_alone(
    tmp_path: Path,
) -> None:
    clock = Clock()
    file = tmp_path / "dog" / "beat"
    async with (
        venue("kraken", tmp_path / "exchange") as world,
        dog_at(world, tmp_path / "dog", clock_ns=clock) as dog,
    ):
        clock.ahead_ns = 11 * SECOND_NS
        dog.look()
        await dog.act()
        put(file, beat(at_ns=clock(), control_ns=clock(), events_ns=clock()))
        assert dog.look().cause == ""
        assert dog.mode is Mode.WATCHING
        put(file, beat(number=2, at_ns=clock(), stopped=True))
        await world.rest(1)
        clock.ahead_ns += 100 * SECOND_NS
        assert dog.look().cause == ""
        assert dog.mode is Mode.STOOD_DOWN
        assert len(world.working()) == 1
    assert broken_line(tmp_path / "dog" / "journal.jsonl") is None


async def test_a_restarted_watchdog_goes_on_with_its_incident_and_pages_once(tmp_path: Path) -> None:
    clock = Clock()
    async with venue("kraken", tmp_path / "exchange") as world, incident_service() as service:
        await world.rest(2)
        key = world.key()
        put(tmp_path / "beat", beat(protective=("tw0000000000000000",)))
        (tmp_path / "dog").mkdir()
        (tmp_path / "beat").rename(tmp_path / "dog" / "beat")
        options = {"clock_ns": clock, "url": service.url, "purpose": Purpose.STOPS, "key": key}
        async with dog_at(world, tmp_path / "dog", **options) as dog:
            dog.look()
            clock.ahead_ns = 11 * SECOND_NS
            dog.look()
            incident = dog._diary.memory.incident
        # it died before it could cancel; meanwhile the file is lost too
        (tmp_path / "dog" / "beat").unlink()
        async with dog_at(world, tmp_path / "dog", **options) as dog:
            dog.look()
            assert dog._diary.memory.incident == incident
            clock.ahead_ns += 11 * SECOND_NS
            dog.look()
            assert dog._diary.memory.incident == incident
            await dog.act()
            assert world.working() == ["tw0000000000000000"]
            delivering = asyncio.create_task(dog._pager.run())
            await until(lambda: len(service.events) == 2)
            delivering.cancel()
            await asyncio.gather(delivering, return_exceptions=True)
        keys = [one["dedup_key"] for one in service.events]
        assert keys == [incident, incident]
        assert broken_line(tmp_path / "dog" / "journal.jsonl") is None


async def test_a_second_watchdog_with_the_same_key_does_not_start(tmp_path: Path) -> None:
    async with venue("kraken", tmp_path / "exchange") as world:
        key = world.key()
        async with dog_at(world, tmp_path / "dog", key=key):
            with pytest.raises(KeyBusy):
                async with dog_at(world, tmp_path / "dog", key=key):
                    pass


@pytest.mark.parametrize("name", ["kraken", "binance"])
@pytest.mark.parametrize(
    ("rights", "trades", "cancels"),
    [
        ((Right.READ, Right.CANCEL), False, True),
        ((Right.READ,), False, False),
        (tuple(Right), True, True),
    ],
)
async def test_the_venue_says_what_a_key_may_do_and_nothing_changes_by_asking(
    name: str, rights: tuple[Right, ...], trades: bool, cancels: bool, tmp_path: Path
) -> None:
    async with venue(name, tmp_path / "exchange") as world:
        ids = await world.rest(1)
        async with dog_at(world, tmp_path / "dog", key=world.key(rights)) as dog:
            found = await dog.check_rights()
            assert (found.trades, found.cancels) == (trades, cancels)
        assert world.working() == ids


async def test_a_path_that_does_not_work_is_told_before_it_is_needed(tmp_path: Path) -> None:
    async with (
        venue("kraken", tmp_path / "exchange") as world,
        incident_service() as service,
        dog_at(world, tmp_path / "dog", url=service.url) as dog,
    ):
        assert await dog.check_path() == ""
        await world.gateway.close()
        for _ in range(3):
            assert await dog.check_path()
        delivering = asyncio.create_task(dog._pager.run())
        await until(lambda: service.events)
        delivering.cancel()
        await asyncio.gather(delivering, return_exceptions=True)
        assert "cannot reach" in service.events[0]["payload"]["summary"]
        assert dog.status().resting is None  # unknown, and not zero


# ---- pages ------------------------------------------------------------------------------------------------


async def test_a_page_is_delivered_once_the_service_takes_it_and_survives_a_restart(tmp_path: Path) -> None:
    page = Page(incident="i", action="trigger", summary="s", at_ns=0)
    async with incident_service() as service:
        service.status = 500
        disk = Disk()
        pager = Pager(tmp_path, disk, url=service.url, routing_key="secret-key", source="test")
        assert "secret" not in repr(pager)
        pager.page(page)
        delivering = asyncio.create_task(pager.run())
        await until(lambda: service.asked)
        delivering.cancel()
        await asyncio.gather(delivering, return_exceptions=True)
        disk.flush()
        again = Pager(tmp_path, disk, url=service.url, routing_key="secret-key", source="test")
        assert again.pending == 1
        service.status = 202
        delivering = asyncio.create_task(again.run())
        await until(lambda: again.delivered)
        delivering.cancel()
        await asyncio.gather(delivering, return_exceptions=True)
        [event] = service.events
        assert (event["routing_key"], event["event_action"], event["dedup_key"]) == (
            "secret-key",
            "trigger",
            "i",
        )
    disk.flush()
    assert Pager(tmp_path, disk, url="", routing_key="", source="test").pending == 0


async def test_pages_are_bounded_and_the_oldest_makes_room(tmp_path: Path) -> None:
    pager = Pager(tmp_path, Disk(), url="http://127.0.0.1:9/", routing_key="", source="test")
    for number in range(103):
        pager.page(Page(incident=str(number), action="trigger", summary="s", at_ns=0))
    assert (pager.pending, pager.dropped) == (100, 3)


def test_a_line_that_was_changed_or_cut_out_breaks_the_journal(tmp_path: Path) -> None:
    disk = Disk()
    diary = Diary(tmp_path, disk)
    for number in range(5):
        diary.write("act", number=number)
    disk.flush()
    assert broken_line(diary.path) is None
    lines = diary.path.read_bytes().splitlines(keepends=True)
    diary.path.write_bytes(b"".join(lines[:2] + lines[3:]))
    assert broken_line(diary.path) == 3
    diary.path.write_bytes(b"".join(lines).replace(b'"number":2', b'"number":7'))
    assert broken_line(diary.path) == 4
    assert msgspec.json.decode(lines[-1])["act"] == "act"


async def test_a_disk_that_hangs_or_refuses_keeps_nobody_from_acting(tmp_path: Path) -> None:
    import threading

    clock, stuck = Clock(), threading.Event()
    async with venue("kraken", tmp_path / "exchange") as world:
        await world.rest(2)
        async with dog_at(world, tmp_path / "dog", clock_ns=clock) as dog:
            dog._disk.do(stuck.wait)
            dog._disk.do((tmp_path / "nowhere" / "file").touch)
            clock.ahead_ns = 11 * SECOND_NS
            dog.look()
            await dog.act()
            assert world.working() == []
            stuck.set()
            dog._disk.flush()
            assert dog.status().diary_failures == 1
