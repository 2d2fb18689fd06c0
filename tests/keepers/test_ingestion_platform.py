"""From the catalogue over the worker into the log, the views and the journal of a real node."""

from __future__ import annotations

import json

from tradewind.core.enums import MarketKind
from tradewind.core.hashing import account_id
from tradewind.keepers.assemble import LocalWorkers
from tradewind.keepers.ingestion import IngestionWorker
from tradewind.keepers.port import Identity
from tradewind.venues.catalogue.client import CatalogueClient
from tradewind.venues.catalogue.messages import decode_market
from tradewind.venues.catalogue.server import Behaviour, CatalogueServer, condition_of
from tradewind.venues.transport.request_window import RequestWindow

from .keeper_world import SECOND_NS, USD, KeeperWorld

MARKETS = 40


async def outcome_markets(world: KeeperWorld, seed: int) -> dict[int, int]:
    """Outcome markets that show the first of the catalogue's; handle by number of the venue's market."""
    operator = world.identities.key("operator")
    handles = {}
    for number in range(MARKETS):
        created = await world.run(
            "CreateMarket", "operator", account=account_id(operator), nonce=1_000 + number,
            market_kind=int(MarketKind.OUTCOME), outcome_count=2, base=USD, quote=USD, tick_size=1_000,
            lot_size=1_000, settle_time_ns=world.clock.now_ns + 30 * 86_400 * SECOND_NS, band_bp=1_000,
            slippage_bp=100, min_notional=1, max_notional=10**12,
        )  # fmt: skip
        handles[number] = created.value
        await world.run(
            "LinkVenue", "operator", market=created.value, condition=condition_of(seed, number),
            source=world.identities.key("oracle_1"),
        )  # fmt: skip
    return handles


def worker_of(world: KeeperWorld, server: CatalogueServer) -> IngestionWorker:
    identity = Identity(name="oracle_1", principal=world.identities.key("oracle_1"))
    client = CatalogueClient(server.url, worker="test", window=RequestWindow())
    return IngestionWorker(identity, world.port(), client, one_by_one=True)


async def test_what_the_venue_shows_reaches_the_views_and_later_rounds_only_renew_it(
    world: KeeperWorld,
) -> None:
    async with CatalogueServer(MARKETS, seed=5) as server:
        handles = await outcome_markets(world, seed=5)
        worker = worker_of(world, server)
        await worker.step()
        shown = world.views.venues.by_market
        for number, handle in handles.items():
            entry = decode_market(json.dumps(server.entry(server.markets[number])).encode())
            assert (shown[handle].bids, shown[handle].asks) == (entry.bids, entry.asks)
            assert shown[handle].liquidity == entry.liquidity
        before = shown[handles[0]].venue_time_ns
        world.clock.now_ns += 30 * SECOND_NS
        worker._offset = 0
        await worker.step()
        source = world.views.venues.sources[0]
        assert (source.batches, source.quoted, source.refreshed) == (2, MARKETS, MARKETS)
        assert shown[handles[0]].venue_time_ns >= before + 30 * SECOND_NS
        await worker.close()


async def test_what_the_engine_skips_is_counted_and_tried_again(world: KeeperWorld) -> None:
    behaviour = Behaviour(malformed_ppm=300_000)
    async with CatalogueServer(MARKETS, seed=5, behaviour=behaviour) as server:
        await outcome_markets(world, seed=5)
        worker = worker_of(world, server)
        await worker.step()
        source = world.views.venues.sources[0]
        assert source.skipped["INVALID_PROBABILITIES"] > 0
        assert source.unreadable == worker.bad.total() > 0
        assert source.failed == 1
        # The venue is itself again: everything that was not taken comes.
        behaviour.malformed_ppm = 0
        world.clock.now_ns += 60 * SECOND_NS
        worker._offset = 0
        await worker.step()
        assert source.failed == 1
        assert all(one.bids for one in world.views.venues.by_market.values())
        await worker.close()


async def test_an_outage_is_told_in_the_log_and_ends_with_the_next_good_batch(world: KeeperWorld) -> None:
    async with CatalogueServer(MARKETS, seed=5) as server:
        await outcome_markets(world, seed=5)
        worker = worker_of(world, server)
        await worker.step()
        source = world.views.venues.sources[0]
        await world.wait(181)
        assert source.outage == 1
        await world.wait(120)
        assert source.outage == 2
        worker._offset = 0
        await worker.step()
        assert source.outage == 0
        await worker.close()


async def test_a_process_runs_the_worker_of_a_source_that_has_markets_and_an_address(
    world: KeeperWorld,
) -> None:
    local = LocalWorkers(
        world.views,
        world.identities.public,
        world.port,
        keepers=(),
        sources=("oracle_1", "oracle_2"),
        signer=world.identities.signer,
    )
    local.catalogue = "http://127.0.0.1:1"
    assert local.wanted() == {}
    await outcome_markets(world, seed=5)
    wanted = local.wanted()
    assert set(wanted) == {"ingestion:oracle_1"}
    assert isinstance(wanted["ingestion:oracle_1"](), IngestionWorker)
    local.catalogue = ""
    assert local.wanted() == {}
