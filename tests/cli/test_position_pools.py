"""Leveraged outcome positions choose between the book and the pool on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tradewind.cli.client import Client

from .conftest import in_process

OPEN = ("position", "open", "alice", "OUTCOME-0", "10", "--outcome", "yes", "--leverage", "5")
CLOSE = ("position", "close", "alice", "OUTCOME-0")


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any]]:
    """What verbs send; every command is accepted and leaves nothing."""
    requests: list[tuple[str, Any]] = []

    def post(self: Client, path: str, body: Any) -> dict[str, Any]:
        requests.append((path, body))
        return {"effect": {"position": None, "left": "0"}}

    monkeypatch.setattr(Client, "__init__", lambda self, data: None)
    monkeypatch.setattr(Client, "post", post)
    return requests


def test_a_position_trades_in_the_book_unless_the_pool_is_named(
    sent: list[tuple[str, Any]], tmp_path: Path
) -> None:
    data = ("--data", str(tmp_path), "--json")
    pool = ("--from", "pool", "--max-impact-bp", "200")
    for verb in (
        (*OPEN, "--max-price", "0.53"),
        (*OPEN, "--max-price", "0.53", *pool),
        (*CLOSE, "--outcome", "yes"),
        (*CLOSE, "--outcome", "yes", "--limit", "0.48", *pool),
    ):
        ran = in_process(*verb, *data)
        assert ran.code == 0, ran
    chosen = [(path, body["source"], body["max_impact_bp"]) for path, body in sent]
    assert chosen == [
        ("/leveraged/open", "book", 0),
        ("/leveraged/open", "pool", 200),
        ("/leveraged/close", "book", 0),
        ("/leveraged/close", "pool", 200),
    ]


def test_only_positions_in_outcomes_close_into_a_pool(sent: list[tuple[str, Any]], tmp_path: Path) -> None:
    ran = in_process(*CLOSE, "--from", "pool", "--data", str(tmp_path), "--json")
    assert (ran.code, ran.json["error"]["code"]) == (2, "INVALID_COMMAND")
    assert sent == []
    assert in_process(*CLOSE, "--data", str(tmp_path), "--json").code == 0
    assert [path for path, _ in sent] == ["/positions/close"]
