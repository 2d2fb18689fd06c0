"""A worker as a process of its own, beside a running platform and over its API."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tradewind.core.hashing import account_id
from tradewind.keepers.assemble import KINDS, refusal_to_publish
from tradewind.keepers.ingestion import IngestionWorker
from tradewind.keepers.lock import WorkerLock
from tradewind.keepers.oracle import FeedQuotes, OracleWorker
from tradewind.keepers.port import Identity
from tradewind.keepers.remote import RemotePort
from tradewind.keepers.supervisor import Slot, row_of
from tradewind.keepers.worker import Worker
from tradewind.observe.view import WorkerRow
from tradewind.security.attesting import Signer
from tradewind.venues.catalogue.client import CatalogueClient
from tradewind.venues.feeds.base import Feed
from tradewind.venues.feeds.select import FeedRequest, select_feed
from tradewind.venues.transport.backoff import Backoff, BackoffPolicy

REPORT_S: Final = 10.0
FIRST_DATA_S: Final = 15.0
FIRST_LOOK_S: Final = 0.05
Report = Callable[[WorkerRow], object]


async def run_keeper(
    data: Path, kind: str, name: str, key: bytes, *, once: bool, report: Report
) -> WorkerRow:
    """Runs one kind of work of a keeper until a signal, or one round.

    Raises:
        WorkerLocked: another process runs it. WorkerEnded: the engine turned the keeper away.
        PortUnavailable: only with `once`, when the platform does not answer.
    """
    maker, _ = KINDS[kind]
    identity = Identity(name=name, principal=key, account=account_id(key))
    worker = maker(identity, RemotePort(data))
    return await _locked(data, worker, once=once, report=report)


async def run_oracle(
    data: Path,
    name: str,
    signer: Signer,
    *,
    env: str,
    mode: str,
    request: FeedRequest,
    once: bool,
    report: Report,
) -> WorkerRow:
    """Publishes as one source, with its own key, from market data of its own until a signal, or one price.

    Raises:
        FeedError: no such market data. Otherwise as `run_keeper`.
    """
    selected = await select_feed(mode, request)
    feed = selected.feed
    refused = refusal_to_publish(env, mode, feed.label)
    worker = OracleWorker(
        Identity(name=name, principal=signer.source),
        RemotePort(data),
        FeedQuotes(feed),
        signer,
        refused=refused,
    )
    reading = asyncio.create_task(_read(feed), name="market-data")
    try:
        if once:
            await _first_data(feed)
        return await _locked(data, worker, once=once, report=report)
    finally:
        await feed.close()
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


async def run_ingestion(
    data: Path, name: str, key: bytes, *, catalogue: str, once: bool, report: Report
) -> WorkerRow:
    """Publishes a venue's catalogue as one source until a signal, or one batch of it.

    Raises:
        As `run_keeper`.
    """
    client = CatalogueClient(catalogue, worker=name)
    identity = Identity(name=name, principal=key)
    worker = IngestionWorker(identity, RemotePort(data), client, one_by_one=once)
    try:
        return await _locked(data, worker, once=once, report=report)
    finally:
        await worker.close()


async def _read(feed: Feed) -> None:
    """Market data has to be read for its books to move."""
    async for _ in feed.events():
        pass


async def _first_data(feed: Feed) -> None:
    """Until every book has been heard of, at most for a while."""
    deadline_s = time.monotonic() + FIRST_DATA_S
    for _ in range(int(FIRST_DATA_S / FIRST_LOOK_S)):
        known = all(feed.age_ns(symbol) is not None for symbol in feed.instruments)
        if known or time.monotonic() > deadline_s:
            return
        await asyncio.sleep(FIRST_LOOK_S)


async def _locked(data: Path, worker: Worker, *, once: bool, report: Report) -> WorkerRow:
    lock = WorkerLock(data, worker.name)
    slot = Slot(lambda: worker, Backoff(BackoffPolicy()), worker=worker, stats=worker.stats)
    try:
        if once:
            await worker.round()
            slot.state = "stopped"
        else:
            slot.state = "running"
            await _until_signal(worker, slot, report)
    finally:
        lock.release()
    return row_of(worker.name, slot, worker.port.now_ns())


async def _until_signal(worker: Worker, slot: Slot, report: Report) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    task = asyncio.create_task(worker.run(), name=worker.name)
    ending = asyncio.create_task(stopped.wait())
    try:
        while not (task.done() or stopped.is_set()):
            await asyncio.wait([task, ending], timeout=REPORT_S, return_when=asyncio.FIRST_COMPLETED)
            if not (task.done() or stopped.is_set()):
                report(row_of(worker.name, slot, worker.port.now_ns()))
    finally:
        ending.cancel()
        if not task.done():
            task.cancel()
        results = await asyncio.gather(task, return_exceptions=True)
    slot.state = "stopped"
    failure = results[0]
    if isinstance(failure, Exception):
        raise failure
