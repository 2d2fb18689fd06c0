"""An engine that refuses risk for now (the disk is down to its reserve): cancels go through, nothing else
pretends to, and mirroring goes on by itself when there is room again.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from paper_world import SYMBOL, World

from tradewind.core.events import Result
from tradewind.node.space import only_reduces
from tradewind.venues.market_data import Side
from tradewind.venues.paper.port import PortRestricted, PortStopped
from tradewind.venues.protocol import Acked, NewOrder, OrderRef, Rejected, VenueState

BIDS, ASKS = [(5_000_000, 100), (4_999_900, 50)], [(5_000_100, 80), (5_000_200, 60)]
ID = "tw0000000000000001"


class Narrow:
    """Refuses what the node refuses while space is short; counts the refusals."""

    def __init__(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        self.full = False
        self.refused = 0
        self._submit = world.port.submit
        monkeypatch.setattr(world.port, "submit", self.submit)

    async def submit(self, commands: Sequence[bytes], notes: Sequence[object] = ()) -> list[Result]:
        if self.full and not only_reduces(b"".join(commands)):
            self.refused += 1
            raise PortRestricted("CAPACITY_EXCEEDED: no space")
        return await self._submit(commands, notes)  # type: ignore[arg-type]


async def place(world: World, client_id: str, price_ticks: int) -> object:
    answers: list[object] = []
    order = NewOrder(client_id=client_id, symbol=SYMBOL, side=Side.BUY, price_ticks=price_ticks, lots=5)
    world.venue.send(order, 1, answers.append)
    await world.venue.advance(world.now_ns)
    return answers[0]


async def cancel(world: World, client_id: str) -> object:
    answers: list[object] = []
    world.venue.send_cancel(OrderRef(client_id=client_id, symbol=SYMBOL), 1, answers.append)
    await world.venue.advance(world.now_ns)
    return answers[0]


async def test_market_data_on_a_full_disk_makes_the_market_cancel_only_and_the_cancel_works(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = await World.create()
    await world.book(BIDS, ASKS)
    assert isinstance(await place(world, ID, 4_999_800), Acked)
    narrow = Narrow(world, monkeypatch)
    narrow.full = True
    await world.levels(bids=[(5_000_000, 140)])
    status = await world.venue.status()
    assert (status.state, status.symbols[SYMBOL]) == (VenueState.ONLINE, VenueState.CANCEL_ONLY)
    assert "no space" in status.reason
    refused = await place(world, "tw0000000000000002", 4_999_800)
    assert isinstance(refused, Rejected) and refused.code == "StaleMarket" and "no space" in refused.raw
    assert isinstance(await cancel(world, ID), Acked)
    assert await world.venue.open_orders(None) == []


async def test_mirroring_goes_on_from_the_present_book_when_there_is_room_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = await World.create()
    await world.book(BIDS, ASKS)
    narrow = Narrow(world, monkeypatch)
    narrow.full = True
    await world.levels(bids=[(5_000_000, 140)])
    await world.levels(bids=[(5_000_000, 30), (4_999_900, 0)], asks=[(5_000_100, 90)])
    await world.wait_ms(500)
    assert narrow.refused == 1, "it looks again once a second, not with every message"
    await world.wait_ms(600)
    assert narrow.refused == 2
    narrow.full = False
    await world.wait_ms(1_100)
    assert world.engine_levels(Side.BUY) == [(5_000_000, 30)]
    assert world.engine_levels(Side.SELL) == [(5_000_100, 90), (5_000_200, 60)]
    status = await world.venue.status()
    assert (status.symbols[SYMBOL], status.reason) == (VenueState.ONLINE, "")
    assert isinstance(await place(world, ID, 4_999_800), Acked)


async def test_an_order_that_meets_the_full_disk_first_is_rejected_and_never_rests(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = await World.create()
    await world.book(BIDS, ASKS)
    Narrow(world, monkeypatch).full = True
    refused = await place(world, ID, 4_999_800)
    assert isinstance(refused, Rejected) and refused.code == "EngineRestricted"
    assert await world.venue.open_orders(None) == []


async def test_an_engine_that_has_stopped_for_good_ends_the_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    world = await World.create()
    await world.book(BIDS, ASKS)

    async def stopped(*_: object) -> list[Result]:
        raise PortStopped("ENGINE_STOPPED: broken")

    monkeypatch.setattr(world.port, "submit", stopped)
    with pytest.raises(PortStopped):
        await world.levels(bids=[(5_000_000, 140)])
    assert (await world.venue.status()).state is VenueState.MAINTENANCE
