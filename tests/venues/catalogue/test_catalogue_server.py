"""The local catalogue and its client: pages, prices, refusals, retries within the budget."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tradewind.venues.catalogue.client import PAGE_MARKETS, CatalogueClient, PageUnavailable
from tradewind.venues.catalogue.messages import BadItem, decode_market
from tradewind.venues.catalogue.server import Behaviour, CatalogueServer, Fault, condition_of, token_of
from tradewind.venues.transport.http import PublicHttpSession
from tradewind.venues.transport.request_window import SECOND_NS, RequestWindow


class Sleeper:
    """Time that passes only when somebody sleeps."""

    def __init__(self) -> None:
        self.now_ns = 0
        self.slept_s: list[float] = []

    def clock_ns(self) -> int:
        return self.now_ns

    async def sleep(self, seconds: float) -> None:
        self.slept_s.append(seconds)
        self.now_ns += int(seconds * SECOND_NS)


@pytest.fixture
async def server() -> AsyncIterator[CatalogueServer]:
    async with CatalogueServer(250, seed=7) as one:
        yield one


def client_of(server: CatalogueServer) -> tuple[CatalogueClient, Sleeper]:
    sleeper = Sleeper()
    window = RequestWindow(clock_ns=sleeper.clock_ns)
    return CatalogueClient(server.url, worker="w", window=window, sleep=sleeper.sleep), sleeper


async def test_pages_cover_every_market_once_and_end_short(server: CatalogueServer) -> None:
    client, _ = client_of(server)
    pages = [await client.page(offset) for offset in (0, 100, 200, 300)]
    await client.close()
    assert [len(page) for page in pages] == [PAGE_MARKETS, PAGE_MARKETS, 50, 0]
    markets = [decode_market(entry) for page in pages for entry in page]
    assert {market.condition for market in markets} == {condition_of(7, number) for number in range(250)}


async def test_prices_move_and_the_books_agree_with_the_catalogue(server: CatalogueServer) -> None:
    assert server.move() == 250
    session = PublicHttpSession(server.url, frozenset({"/price", "/book"}))
    shown = decode_market(json.dumps(server.entry(server.markets[3])).encode())

    async def get(path: str, **params: str) -> Any:
        return json.loads(await session.get(path, params))

    token = token_of(7, 3, 0)
    bid = (await get("/price", token_id=token, side="BUY"))["price"]
    ask = (await get("/price", token_id=token, side="SELL"))["price"]
    book = await get("/book", token_id=token)
    await session.close()
    assert (round(float(bid) * 1e6), round(float(ask) * 1e6)) == (shown.bids[0], shown.asks[0])
    assert (book["bids"][0]["price"], book["asks"][0]["price"]) == (bid, ask)


@pytest.mark.parametrize("query", ["limit=0", "limit=501", "offset=-1", "limit=x"])
async def test_a_page_outside_of_its_bounds_is_refused_and_not_asked_for_again(
    server: CatalogueServer, query: str
) -> None:
    session = PublicHttpSession(server.url, frozenset({"/markets"}))
    with pytest.raises(Exception, match="422"):
        await session.get("/markets", dict([query.split("=")]))
    await session.close()


async def test_refusals_and_rubbish_are_tried_again_at_most_three_times(server: CatalogueServer) -> None:
    client, sleeper = client_of(server)
    server.behaviour.script = deque(
        [Fault(status=503), Fault(body=b"<html>"), Fault(status=429, retry_after_s=25)]
    )
    assert len(await client.page(0)) == PAGE_MARKETS
    assert [int(wait_s) // 5 * 5 for wait_s in sleeper.slept_s[:3]] == [10, 20, 40]
    server.behaviour.script = deque([Fault(status=500)] * 9)
    with pytest.raises(PageUnavailable) as lost:
        await client.page(0)
    await client.close()
    assert lost.value.code == "HTTP_500"
    assert len(server.seen_s) == 8
    assert client.retries == 6


async def test_retry_after_holds_everybody_back(server: CatalogueServer) -> None:
    client, sleeper = client_of(server)
    server.behaviour.script = deque([Fault(status=429, retry_after_s=120)])
    await client.page(0)
    assert sleeper.now_ns >= 120 * SECOND_NS
    assert client.window.enter() == 0
    client.window.hold(7.0)
    assert client.window.enter() == 7 * SECOND_NS
    await client.close()


async def test_a_refusal_for_good_is_not_tried_again(server: CatalogueServer) -> None:
    client, sleeper = client_of(server)
    server.behaviour.script = deque([Fault(status=403)])
    with pytest.raises(PageUnavailable):
        await client.page(0)
    await client.close()
    assert (len(server.seen_s), sleeper.slept_s) == (1, [])


async def test_malformed_entries_duplicates_and_changed_order_are_shown_as_asked() -> None:
    behaviour = Behaviour(malformed_ppm=200_000, duplicate_ppm=100_000, shuffled=True)
    async with CatalogueServer(200, seed=3, behaviour=behaviour) as server:
        client, _ = client_of(server)
        entries = await client.page(0)
        again = await client.page(0)
        await client.close()
    bad = 0
    for entry in entries:
        try:
            decode_market(entry)
        except BadItem:
            bad += 1
    assert len(entries) > PAGE_MARKETS
    assert bad > 0
    assert entries != again
    assert sorted(entries) == sorted(again)


async def test_the_venue_itself_counts_and_answers_429_above_its_limit() -> None:
    async with CatalogueServer(100, behaviour=Behaviour(limit=2, retry_after_s=10)) as server:
        session = PublicHttpSession(server.url, frozenset({"/markets"}))
        await session.get("/markets")
        await session.get("/markets")
        with pytest.raises(Exception, match="429"):
            await session.get("/markets")
        await session.close()


def test_a_catalogue_has_sound_bounds() -> None:
    for markets in (0, 65_537):
        with pytest.raises(ValueError, match="markets must be"):
            CatalogueServer(markets)
