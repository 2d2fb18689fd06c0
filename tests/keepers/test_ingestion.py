"""The ingestion worker: diffs, counted faults, budget and outages, on a platform that remembers."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Sequence
from typing import Any

import pytest

from tradewind.core.records import codec
from tradewind.keepers.ingestion import BATCH_EVERY_S, BATCH_MARKETS, IngestionWorker
from tradewind.keepers.port import Action, Identity, Outcome, PortUnavailable, VenueLink, VenueLinks
from tradewind.keepers.worker import WorkerEnded
from tradewind.readiness.probes.ingestion import most_in_any_window
from tradewind.readiness.probes.virtual_time import VirtualLoop, run_virtually
from tradewind.venues.catalogue.client import CatalogueClient
from tradewind.venues.catalogue.server import Behaviour, CatalogueServer, Fault, condition_of
from tradewind.venues.transport.request_window import RequestWindow

SOURCE = Identity(name="oracle_1", principal=bytes([7]) * 32)


class Recorder:
    """A platform that takes every command, and remembers them."""

    def __init__(self, markets: int, seed: int = 1) -> None:
        self.time_ns = 10**18
        self.links = [
            VenueLink(market=number, condition=condition_of(seed, number), outcomes=2)
            for number in range(markets)
        ]
        self.sent: list[Action] = []
        self.refusal = ""
        self.skips: dict[int, int] = {}
        """Market → number of the code that its items are skipped for."""

    def now_ns(self) -> int:
        self.time_ns += 1_000
        return self.time_ns

    async def venue_links(self, identity: Identity) -> VenueLinks:
        return VenueLinks(now_ns=self.now_ns(), links=tuple(self.links))

    async def send_all(self, identity: Identity, actions: Sequence[Action]) -> list[Outcome]:
        for action in actions:
            codec(action.command).pack(**action.fields)
        self.sent += actions
        return [self._answer(action) for action in actions]

    def _answer(self, action: Action) -> Outcome:
        if self.refusal:
            return Outcome(accepted=False, code=self.refusal)
        if action.command == "RefreshVenue":
            marked = sum(byte.bit_count() for byte in action.fields["markets"])  # type: ignore[union-attr]
            return Outcome(accepted=True, value=marked)
        return Outcome(accepted=True, value=self.skips.get(action.fields.get("market", -1), 0))  # type: ignore[arg-type]

    async def wait(self, timeout_s: float) -> None:
        await asyncio.sleep(timeout_s)

    def count(self) -> Counter[str]:
        counted = Counter(action.command for action in self.sent)
        self.sent.clear()
        return counted


def worker_of(server: CatalogueServer, port: Any, window: RequestWindow | None = None) -> IngestionWorker:
    client = CatalogueClient(server.url, worker="test", window=window or RequestWindow())
    return IngestionWorker(SOURCE, port, client)


async def one_batch(worker: IngestionWorker) -> None:
    await worker.step()
    await worker.drain()


async def test_the_second_round_sends_only_what_changed_and_marks_the_rest_as_fresh() -> None:
    async with CatalogueServer(500) as server:
        port = Recorder(500)
        worker = worker_of(server, port)
        await one_batch(worker)
        header, *items = port.sent
        assert (header.command, header.fields["count"]) == ("PublishVenueBatch", 500)
        assert port.count() == {"PublishVenueBatch": 1, "VenueItem": 500}
        assert len({action.key for action in (header, *items)}) == 501
        worker._offset = 0
        await one_batch(worker)
        assert port.count() == {"PublishVenueBatch": 1, "RefreshVenue": 2}
        moved = server.move(200_000)
        worker._offset = 0
        await one_batch(worker)
        counted = port.count()
        assert (counted["VenueItem"], counted["RefreshVenue"]) == (moved, 2)
        await worker.close()
    assert worker.batches == {"good": 3}


async def test_a_market_that_the_engine_skipped_is_sent_in_full_again() -> None:
    async with CatalogueServer(10) as server:
        port = Recorder(10)
        port.skips = {3: 3_008}
        worker = worker_of(server, port)
        await one_batch(worker)
        port.sent.clear()
        worker._offset = 0
        await one_batch(worker)
        assert [action.fields["market"] for action in port.sent if action.command == "VenueItem"] == [3]
        await worker.close()


async def test_bad_entries_are_counted_by_code_and_the_good_ones_go_on() -> None:
    behaviour = Behaviour(malformed_ppm=100_000, duplicate_ppm=50_000, shuffled=True)
    async with CatalogueServer(1_000, behaviour=behaviour) as server:
        port = Recorder(1_000)
        worker = worker_of(server, port)
        await one_batch(worker)
        await worker.close()
    assert worker.bad["MALFORMED_FRAME"] > 0
    assert worker.bad["CROSSED_SOURCE"] > 0
    # Two prices of 0.2 can be read; that they do not add up is for the engine to see.
    header = port.sent[0]
    assert 850 < header.fields["count"] < 950
    assert header.fields["unreadable"] == worker.bad.total()
    items = [action.fields["market"] for action in port.sent if action.command == "VenueItem"]
    assert len(items) == len(set(items)) == header.fields["count"]
    assert worker.batches == {"good": 1, "alert": 1}
    assert "entries are bad" in worker.stats.note


async def test_more_than_a_fifth_of_bad_entries_fail_the_batch() -> None:
    async with CatalogueServer(300, behaviour=Behaviour(malformed_ppm=500_000)) as server:
        worker = worker_of(server, Recorder(300))
        await one_batch(worker)
        await worker.close()
    assert worker.batches["failed"] == 1
    assert worker.batches["good"] == 0


async def test_markets_that_nobody_linked_are_no_fault_and_nothing_is_sent_without_a_link() -> None:
    async with CatalogueServer(200) as server:
        port = Recorder(50)
        worker = worker_of(server, port)
        await one_batch(worker)
        assert port.sent[0].fields["count"] == 50
        assert worker.batches == {"good": 1}
        port.links, worker._links, worker._offset = [], {}, 0
        port.sent.clear()
        assert await worker.step() > 0
        await worker.drain()
        assert port.sent == []
        assert "linked" in worker.stats.note
        await worker.close()


async def test_the_round_begins_anew_behind_the_last_page() -> None:
    async with CatalogueServer(1_500) as server:
        worker = worker_of(server, Recorder(1_500), RequestWindow(limit=1_000))
        for _ in range(2):
            await one_batch(worker)
        assert worker._ends_at == 1_500
        await one_batch(worker)
        assert worker._offset == 0 or worker._offset == BATCH_MARKETS
        await worker.close()


@pytest.mark.parametrize("code", ["PERMISSION_DENIED", "ROLE_EXPIRED"])
async def test_a_source_that_may_not_publish_any_more_ends(code: str) -> None:
    async with CatalogueServer(10) as server:
        port = Recorder(10)
        port.refusal = code
        worker = worker_of(server, port)
        await one_batch(worker)
        with pytest.raises(WorkerEnded) as ended:
            await worker.step()
        await worker.close()
    assert ended.value.code == code


async def test_a_platform_that_is_away_fails_the_round_and_not_the_worker() -> None:
    class Away(Recorder):
        async def send_all(self, identity: Identity, actions: Sequence[Action]) -> list[Outcome]:
            raise PortUnavailable("gone")

    async with CatalogueServer(10) as server:
        worker = worker_of(server, Away(10))
        await one_batch(worker)
        assert await worker.step() >= 0
        assert worker.stats.faults == 1
        await worker.close()


async def test_a_lost_page_counts_as_bad_entries_and_the_budget_holds_at_the_venue() -> None:
    async with CatalogueServer(1_000) as server:
        server.behaviour.script = deque([Fault(status=403)] * 3)
        worker = worker_of(server, Recorder(1_000))
        await one_batch(worker)
        await worker.close()
        assert most_in_any_window(server.seen_s) <= 50
    assert worker.bad["HTTP_403"] == 3
    assert worker.batches["failed"] == 1


def test_without_a_good_batch_the_worker_says_so_after_three_and_after_five_minutes() -> None:
    class Down(CatalogueClient):
        async def page(self, offset: int) -> list[bytes]:
            raise AssertionError("not asked")

    async def outage(loop: VirtualLoop) -> list[str]:
        client = Down("http://nowhere", worker="w", window=RequestWindow(clock_ns=loop.time_ns))
        worker = IngestionWorker(SOURCE, Recorder(0), client)
        notes = []
        for _ in range(int(320 / BATCH_EVERY_S)):
            worker._tell_outage_at(loop.time())
            notes.append(worker.stats.note)
            await asyncio.sleep(BATCH_EVERY_S)
        await worker.close()
        return notes

    notes = run_virtually(outage)
    quiet = int(180 / BATCH_EVERY_S)
    assert notes[:quiet] == [""] * quiet
    assert notes[quiet + 1].startswith("no good batch for 18")
    assert notes[-1].endswith("its markets are halted")
