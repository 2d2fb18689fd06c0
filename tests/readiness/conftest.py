"""Fixtures of the readiness tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from readiness_world import World

from tradewind.readiness.catalogue import Catalogue, load_catalogue
from tradewind.readiness.identity import current_identity


@pytest.fixture(scope="session")
def catalogue() -> Catalogue:
    return load_catalogue()


@pytest.fixture
def world(tmp_path: Path, catalogue: Catalogue) -> World:
    return World(tmp_path, catalogue, current_identity("paper", tmp_path))
