"""The kill process at outside venues: own key, no core, and nothing counts that was not read back."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from watchdog_world import SYMBOLS, World, venue

from tradewind.gateways.faults import Fault, Plan, Rule
from tradewind.gateways.keys import Right
from tradewind.trader.killing.venue import VenueKill, VenueKilled
from tradewind.trader.watchdog.paths import Resting, Rights, open_path
from tradewind.venues.transport.keys import KeyPurpose, WrongPurpose
from tradewind.venues.transport.lease import KeyBusy


async def killed(world: World, data: Path, deadline_s: float = 10.0, **options: Any) -> VenueKilled:
    key, secret = options.pop("pair", None) or world.key()
    async with open_path(
        world.name, key, secret, data=data, url=world.gateway.url, purpose=KeyPurpose.KILL
    ) as path:
        return await VenueKill(path, **options).run(deadline_s)


@pytest.mark.parametrize("name", sorted(SYMBOLS))
async def test_it_cancels_everything_and_ends_with_what_the_venue_shows(name: str, tmp_path: Path) -> None:
    async with venue(name, tmp_path / "exchange") as world:
        await world.rest(7)
        result = await killed(world, tmp_path)
        assert result.verified and not result.left and world.working() == []
        assert result.first_cancel_s is not None and result.verified_s is not None
        again = await killed(world, tmp_path)
        assert again.verified and again.seen == 0, "a second run changes nothing and says so"


@pytest.mark.parametrize("name", sorted(SYMBOLS))
async def test_protective_orders_stay_where_the_account_relies_on_them(name: str, tmp_path: Path) -> None:
    async with venue(name, tmp_path / "exchange") as world:
        keep = set((await world.rest(5))[:2])
        result = await killed(world, tmp_path, keep=lambda one: one.client_id in keep, sweeps=False)
        assert result.verified and set(result.kept) == keep == set(world.working())


async def test_a_venue_that_refuses_cancels_is_never_called_done(tmp_path: Path) -> None:
    async with venue("kraken", tmp_path / "exchange") as world:
        names = await world.rest(3)
        rules = tuple(
            Rule(surface="rest", name=one, action=Fault.STATUS, status=503, when="before")
            for one in ("*CancelAll*", "*CancelOrder*")
        )
        world.exchange.faults.replace(Plan(rules=rules))
        result = await killed(world, tmp_path, deadline_s=1.0)
        assert not result.verified and sorted(result.left) == sorted(names) and result.problem
        world.exchange.faults.replace(Plan())
        assert (await killed(world, tmp_path)).verified, "a kill that was broken off goes on"


async def test_a_venue_that_is_away_is_not_empty(tmp_path: Path) -> None:
    async with venue("kraken", tmp_path / "exchange") as world:
        pair = world.key()
        await world.gateway.close()
        result = await killed(world, tmp_path, deadline_s=0.5, pair=pair)
        assert not result.verified and result.seen is None and result.problem


async def test_a_key_is_for_one_path_alone(tmp_path: Path) -> None:
    async with venue("kraken", tmp_path / "exchange") as world:
        await world.rest(1)
        pair = world.key()
        async with open_path("kraken", *pair, data=tmp_path, url=world.gateway.url):
            with pytest.raises((KeyBusy, WrongPurpose)):
                await killed(world, tmp_path, pair=pair)
        assert world.working(), "what could not run has not cancelled"


@pytest.mark.parametrize(
    ("rights", "trades"), [((Right.READ, Right.CANCEL), False), ((Right.READ, Right.TRADE), True)]
)
async def test_what_a_key_may_do_is_asked_of_the_venue(
    rights: tuple[Right, ...], trades: bool, tmp_path: Path
) -> None:
    async with venue("kraken", tmp_path / "exchange") as world:
        async with open_path("kraken", *world.key(rights), data=tmp_path, url=world.gateway.url) as path:
            found = await path.rights()
        assert (found.cancels, found.trades) == (True, trades)


class Wavering:
    """A venue whose list is empty once, and then shows what was on its way."""

    name = "wavering"

    def __init__(self, *readings: list[Resting] | str) -> None:
        self.readings, self.cancels = list(readings), 0

    async def resting(self) -> list[Resting] | str:
        return self.readings.pop(0) if len(self.readings) > 1 else self.readings[0]

    async def cancel_all(self, symbols: Sequence[str]) -> str:
        self.cancels += 1
        return ""

    async def cancel(self, orders: Sequence[Resting]) -> str:
        self.cancels += 1
        return ""

    async def rights(self) -> Rights:
        return Rights(trades=False, cancels=True)


async def test_one_empty_reading_is_not_enough() -> None:
    late = [Resting(venue_id="1", client_id="late", symbol="")]
    path = Wavering([], late, [], [])
    result = await VenueKill(path).run(5.0)
    assert result.verified and path.cancels >= 2, "what arrived between two readings was cancelled too"


async def test_an_unreadable_list_does_not_keep_the_sweep_from_leaving() -> None:
    path = Wavering("timeout")
    result = await VenueKill(path).run(0.4)
    assert not result.verified and path.cancels >= 2 and result.problem == "timeout"
