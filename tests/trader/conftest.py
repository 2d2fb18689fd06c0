"""The trader's tests play in the paper world of the venue's tests, and at local venues."""

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "venues" / "paper"))

from desk_bench import VENUES, desk_at, venue_at

from tradewind.readiness.probes.desk_world import DeskWorld, LocalVenue


@pytest.fixture
async def local(tmp_path: Path) -> AsyncIterator[LocalVenue]:
    """Kraken, where one venue shows the rule."""
    async with venue_at(tmp_path) as one:
        yield one


@pytest.fixture
async def world(local: LocalVenue, tmp_path: Path) -> AsyncIterator[DeskWorld]:
    """A desk at Kraken that trades."""
    async with desk_at(local, tmp_path) as one:
        assert one.desk.blocked == ""
        yield one


@pytest.fixture(params=VENUES)
async def each_local(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[LocalVenue]:
    """Every venue."""
    async with venue_at(tmp_path, request.param) as one:
        yield one


@pytest.fixture
async def each_world(each_local: LocalVenue, tmp_path: Path) -> AsyncIterator[DeskWorld]:
    """A desk at every venue that trades."""
    async with desk_at(each_local, tmp_path) as one:
        assert one.desk.blocked == ""
        yield one
