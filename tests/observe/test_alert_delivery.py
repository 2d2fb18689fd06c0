"""Alerts reach people or say that they do not; nothing waits for them, and nothing grows without bound."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tradewind.lab.preflight.alerting import LocalSink
from tradewind.observe.alerts import Alert, AlertRouter, FileSink, Severity, SinkError, WebhookSink
from tradewind.observe.alerts.router import MAX_QUEUE, PATH_DEAD


def alert(number: int, severity: Severity = Severity.TICKET) -> Alert:
    return Alert(rule="Drill", text=f"{number}", severity=severity, scope="test", at_ns=number)


class Fake:
    """A sink that fails as long as it is told to."""

    def __init__(self, name: str, *, fails: bool = False) -> None:
        self.name, self.fails = name, fails
        self.taken: list[str] = []
        self.asked = self.beats = 0

    async def deliver(self, one: Alert) -> None:
        self.asked += 1
        if self.fails:
            raise SinkError("down")
        self.taken.append(one.text)

    async def beat(self) -> None:
        if self.fails:
            raise SinkError("down")
        self.beats += 1

    async def close(self) -> None:
        return None


async def test_the_most_urgent_goes_first_and_the_same_alert_is_one() -> None:
    sink = Fake("one")
    router = AlertRouter([sink])
    for one in (alert(1), alert(2, Severity.SEV1), alert(3, Severity.PAGE), alert(1)):
        router.post(one)
    assert await router.deliver_once()
    assert sink.taken == ["2", "3", "1"] and router.waiting == 0


async def test_the_second_sink_takes_over_and_the_first_gets_everything_when_it_is_back() -> None:
    first, second = Fake("first", fails=True), Fake("second")
    router = AlertRouter([first, second])
    for number in range(3):
        router.post(alert(number))
    assert not await router.deliver_once()
    assert second.taken == ["0", "1", "2"] and first.asked == 1, "a silent sink is waited for once a round"
    assert not await router.deliver_once() and len(second.taken) == 3, "nobody is told twice by the same sink"
    first.fails = False
    assert await router.deliver_once()
    assert first.taken == ["0", "1", "2"] and router.waiting == 0


async def test_both_sinks_down_keeps_a_bounded_queue_and_the_urgent_ones() -> None:
    router = AlertRouter([Fake("a", fails=True), Fake("b", fails=True)])
    router.post(alert(0, Severity.SEV1))
    for number in range(1, MAX_QUEUE + 50):
        router.post(alert(number))
    assert router.waiting == MAX_QUEUE and router.dropped == 50
    assert "0" in {one.text for one in router.unacknowledged()}


async def test_an_alert_stays_open_until_a_person_acknowledges_it() -> None:
    router = AlertRouter([Fake("one")], clock_ns=lambda: 10**12)
    router.post(alert(5))
    await router.deliver_once()
    assert [one.text for one in router.unacknowledged(older_than_s=900)] == ["5"]
    assert router.acknowledge(alert(5).id, "anna") is not None
    assert router.unacknowledged() == [] and router.acknowledge(alert(5).id, "anna") is None


async def test_a_silent_path_becomes_an_alert_through_the_second_sink_once() -> None:
    first, second = Fake("first", fails=True), Fake("second")
    router = AlertRouter([first, second], dead_after_s=0.0)
    await router.beat_once()
    await router.beat_once()
    await router.deliver_once()
    assert [one.rule for one in router.unacknowledged()] == [PATH_DEAD] and len(second.taken) == 1
    first.fails = False
    await router.beat_once()
    assert first.beats == 1


async def test_the_loop_goes_on_after_a_defect_of_a_sink() -> None:
    class Defect(Fake):
        async def deliver(self, one: Alert) -> None:
            raise ZeroDivisionError

    second = Fake("second")
    router = AlertRouter([Defect("first"), second], retry_s=(0.01,))
    running = asyncio.create_task(router.run())
    router.post(alert(1))
    async with asyncio.timeout(5):
        while not second.taken:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert not running.done()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


@pytest.mark.parametrize(
    ("status", "confirms", "taken"),
    [(202, True, True), (200, True, False), (202, False, False), (500, True, False)],
)
async def test_taken_is_what_the_other_side_confirms(status: int, confirms: bool, taken: bool) -> None:
    local = LocalSink()
    local.status, local.confirms = status, confirms
    async with local.serving() as url:
        sink = WebhookSink(url)
        try:
            await sink.deliver(alert(1))
            done = True
        except SinkError:
            done = False
        await sink.close()
    assert done is taken


async def test_the_file_sink_reads_back_rotates_and_fails_loudly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tradewind.observe.alerts.sinks.MAX_FILE_BYTES", 400)
    sink = FileSink(tmp_path / "alerts.jsonl")
    for number in range(10):
        await sink.deliver(alert(number))
    assert (tmp_path / "alerts.jsonl.1").exists() and sink.path.stat().st_size <= 400
    with pytest.raises(SinkError):
        await FileSink(tmp_path / "none" / "alerts.jsonl").deliver(alert(1))


def test_a_router_without_a_sink_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        AlertRouter([])
