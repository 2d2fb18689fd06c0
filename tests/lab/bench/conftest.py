"""Fixtures of the benchmark's tests: a context of hardly any effort."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from tradewind.lab.bench.context import Context
from tradewind.lab.bench.effort import QUICK, Effort

TINY = dataclasses.replace(
    QUICK,
    live_orders=50,
    deep_live_orders=100,
    engine_commands=2_048,
    deep_commands=1_024,
    latency_commands=512,
    node_batches=1,
    replay_batches=1,
    python_batches=1,
    peer_commands=1_000,
    up_seconds=1,
)


@pytest.fixture(scope="session")
def tiny() -> Effort:
    return TINY


@pytest.fixture
def context(tmp_path: Path, tiny: Effort) -> Context:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    return Context(
        effort=tiny, scratch=scratch, cache=tmp_path / "cache", install_peers=False, tell=lambda _: None
    )
