"""Fixtures of the node tests: a service on a temporary directory, without background noise."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "core"))

from exchange_world import World, genesis
from node_world import QUIET, ManualClock, Starter

from tradewind.node.limits import NodeLimits
from tradewind.node.service import NodeService


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def start(tmp_path: Path, clock: ManualClock) -> AsyncIterator[Starter]:
    """Starts services on one data directory; closes what is still open."""
    services: list[NodeService] = []

    async def starter(limits: NodeLimits = QUIET, data_dir: Path | None = None) -> NodeService:
        service = await NodeService.start(
            data_dir or tmp_path / "data",
            genesis=genesis(),
            limits=limits,
            clock=clock,
            segment_bytes=1 << 20,
            reserve_bytes=0,
        )
        services.append(service)
        return service

    yield starter
    for service in services:
        await service.close()


@pytest.fixture
def world() -> World:
    return World()
