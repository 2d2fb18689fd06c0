"""One look shows venue, keys, nonces, clocks and limits; what cannot be learnt is unknown, never well."""

from __future__ import annotations

import socket
import sys
import time
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "trader"))

from watchdog_world import ACCOUNT, World, venue

from tradewind.gateways.keys import Right
from tradewind.venues.binance.assemble import open_binance
from tradewind.venues.binance.connector import BinanceOptions
from tradewind.venues.binance.encode import BinanceKey
from tradewind.venues.binance.live import SPOT
from tradewind.venues.diagnosis import Diagnosis, Part, diagnose
from tradewind.venues.kraken.assemble import Credentials, open_kraken
from tradewind.venues.kraken.connector import KrakenOptions
from tradewind.venues.kraken.live import KrakenEndpoints
from tradewind.venues.protocol import Incomplete, VenueState
from tradewind.venues.transport.keys import KeyFolder, fingerprint


def part(found: Diagnosis, start: str) -> Part:
    return next(one for one in found.parts if one.name.startswith(start))


def opened(world: World, data: Path, pair: tuple[str, str]) -> Any:
    import msgspec

    keys = KeyFolder(data)
    if world.name == "kraken":
        options = KrakenOptions(endpoints=KrakenEndpoints(rest_url=world.gateway.url))
        return open_kraken(Credentials(*pair), keys, account=ACCOUNT, tier="pro", options=options)
    where = msgspec.structs.replace(SPOT, rest_url=world.gateway.url)
    return open_binance(BinanceKey(*pair), keys, account=ACCOUNT, options=BinanceOptions(endpoints=where))


async def used(world: World, data: Path) -> str:
    """A key that has asked for balances once; its fingerprint."""
    pair = world.key(tuple(Right))
    async with opened(world, data, pair) as connector:
        await connector.instruments()
        assert not isinstance(await connector.balances(), Incomplete)
    return fingerprint(world.name, pair[0])


@pytest.mark.parametrize("name", ["kraken", "binance"])
async def test_a_healthy_venue_with_a_healthy_key_is_known_in_every_part(name: str, tmp_path: Path) -> None:
    async with venue(name, tmp_path / "exchange") as world:
        key = await used(world, tmp_path)
        found = await diagnose(name, tmp_path, world.gateway.url)
        assert (found.wrong, found.unknown) == ([], [])
        assert part(found, f"key {key}").value["health"] == "ok"
        assert part(found, f"limits {key}").value["counters"]
        if name == "kraken":
            high_water = part(found, f"nonce {key}").value["high_water"]
            assert abs(high_water / 1e6 - time.time()) < 60


async def test_a_venue_that_is_gone_is_unknown_and_our_side_is_shown_all_the_same(tmp_path: Path) -> None:
    async with venue("kraken", tmp_path / "exchange") as world:
        key = await used(world, tmp_path)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        found = await diagnose("kraken", tmp_path, url)
    assert found.unknown == ["venue status", "clock skew"]
    assert part(found, f"nonce {key}").value["high_water"]


async def test_a_venue_that_says_nothing_is_waited_for_no_longer_than_its_part(tmp_path: Path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        found = await diagnose("kraken", tmp_path, url, part_s=0.3)
    assert set(found.unknown) == {"venue status", "clock skew", "keys"}


async def test_maintenance_is_wrong_and_not_unknown(tmp_path: Path) -> None:
    async with venue("kraken", tmp_path / "exchange") as world:
        world.exchange.set_mode(VenueState.MAINTENANCE)
        found = await diagnose("kraken", tmp_path, world.gateway.url)
        assert "venue status" in found.wrong


@pytest.mark.parametrize("damage", ["nonce", "limits", "key", "quarantine"])
async def test_a_damaged_or_missing_file_is_shown(damage: str, tmp_path: Path) -> None:
    async with venue("kraken", tmp_path / "exchange") as world:
        key = await used(world, tmp_path)
        file = tmp_path / "state" / "keys" / f"{key}.{damage}"
        file.write_bytes(b"nothing that can be read")
        found = await diagnose("kraken", tmp_path, world.gateway.url)
        name = {"quarantine": "key"}.get(damage, damage)
        shown = part(found, f"{name} {key}")
        assert shown.wrong or shown.value is None
        if damage == "nonce":
            file.unlink()
            shown = part(await diagnose("kraken", tmp_path, world.gateway.url), f"nonce {key}")
            assert shown.wrong


async def test_an_unknown_venue_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        await diagnose("nowhere", tmp_path)
