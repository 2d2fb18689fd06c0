"""The kill order is a file that outlives everybody, and a start obeys it before anything trades."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tradewind.api.identities import open_identities
from tradewind.api.offline import obey
from tradewind.core.engine import GenesisConfig, Grant
from tradewind.node.limits import NodeLimits
from tradewind.node.service import NodeService
from tradewind.observe.controls import Outcome
from tradewind.trader.killing import order

HEAVY = ("msgspec", "aiohttp", "asyncio", "structlog", "tradewind._core", "nicegui", "cyclopts", "rich")


def test_an_order_is_read_back_as_it_was_written_and_the_first_reason_counts(tmp_path: Path) -> None:
    assert order.pending(tmp_path) is None
    first = order.write(tmp_path, actor="anna", reason="the price is wrong")
    assert order.pending(tmp_path) == first
    assert order.write(tmp_path, actor="ben", reason="me too") == first
    order.take_away(tmp_path)
    order.take_away(tmp_path)
    assert order.pending(tmp_path) is None


def test_a_file_that_cannot_be_read_is_an_order_all_the_same(tmp_path: Path) -> None:
    for damage in (b"", b"{", b"[]", b'{"actor": 1}', b'{"actor":"a","reason":"b","at_ns":"x"}', b"\xff"):
        (tmp_path / order.FILE).write_bytes(damage)
        found = order.pending(tmp_path)
        assert found is not None and found.reason == order.UNREADABLE, damage
    assert order.write(tmp_path, actor="anna", reason="now readable").actor == "anna"


def test_an_overlong_text_is_cut_and_still_an_order(tmp_path: Path) -> None:
    order.write(tmp_path, actor="a" * 50_000, reason="ü" * 50_000)
    found = order.pending(tmp_path)
    assert found is not None and len(found.actor) == len(found.reason) == order.MAX_TEXT


async def started(data: Path) -> NodeService:
    identities = open_identities(data)
    now_ns = 1_700_000_000_000_000_000
    genesis = GenesisConfig(now_ns, [Grant(*grant) for grant in identities.grants(now_ns)])
    return await NodeService.start(
        data,
        genesis=genesis,
        limits=NodeLimits(space_reserved_bytes=0),
        segment_bytes=8 << 20,
        reserve_bytes=1 << 20,
    )


async def test_a_start_obeys_the_order_once_and_takes_it_away_only_after_reading_back(tmp_path: Path) -> None:
    async with await started(tmp_path) as node:
        assert await obey(tmp_path, node, open_identities(tmp_path)) is None
        order.write(tmp_path, actor="anna", reason="before the start")
        result = await obey(tmp_path, node, open_identities(tmp_path))
        assert result is not None and result.outcome is Outcome.VERIFIED and result.state_after == "halted"
        assert order.pending(tmp_path) is None
        order.write(tmp_path, actor="anna", reason="again")
        again = await obey(tmp_path, node, open_identities(tmp_path))
        assert again is not None and again.outcome is Outcome.NO_EFFECT, "the halt stands in the log"


def test_the_kill_process_imports_next_to_nothing() -> None:
    script = f"import sys, tradewind.cli.kill_process; print([n for n in {HEAVY!r} if n in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
