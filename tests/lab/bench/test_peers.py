"""Peers: the flow they get, how one that is missing, broken or slow shows, and the ratio."""

from __future__ import annotations

import json
import sys
from collections import deque
from pathlib import Path

import pytest

from tradewind.lab.bench import peers
from tradewind.lab.bench.adapters import drive
from tradewind.lab.bench.context import Context
from tradewind.lab.bench.flow import write_flow


class PlainBook:
    """Price-time priority in a few lines."""

    def __init__(self) -> None:
        self.queues: tuple[dict[int, deque[int]], dict[int, deque[int]]] = ({}, {})
        self.resting: dict[int, tuple[int, int, int]] = {}
        self.traded_lots = 0

    def add(self, order: int, side: int, price: int, lots: int) -> None:
        self.queues[side].setdefault(price, deque()).append(order)
        self.resting[order] = (side, price, lots)

    def take(self, order: int, side: int, price: int, lots: int) -> None:
        queues = self.queues[1 - side]
        while lots and queues:
            best = min(queues) if side == 0 else max(queues)
            maker = queues[best][0]
            maker_lots = self.resting[maker][2]
            filled = min(lots, maker_lots)
            lots -= filled
            self.traded_lots += filled
            self.resting[maker] = (1 - side, best, maker_lots - filled)
            if filled == maker_lots:
                self._remove(maker)

    def cancel(self, order: int) -> bool:
        if order not in self.resting:
            return False
        self._remove(order)
        return True

    def _remove(self, order: int) -> None:
        side, price, _ = self.resting.pop(order)
        queue = self.queues[side][price]
        queue.remove(order)
        if not queue:
            del self.queues[side][price]


def test_a_plain_book_that_gets_the_flow_fills_what_the_engine_fills(tmp_path: Path) -> None:
    path = tmp_path / "flow.bin"
    ours = write_flow(path, 3_000, 300)
    resting, flow = drive.load(str(path))
    theirs = drive.drive(PlainBook(), resting, flow, limit_s=60.0)
    assert theirs["commands"] == 3_000
    assert ours.traded_lots > 10_000
    # Takes that would meet their own owner's orders are prevented by the engine only: a few in thousands.
    assert abs(theirs["traded_lots"] - ours.traded_lots) < ours.traded_lots / 100
    assert abs(theirs["refused"] - ours.refused) < 30


def test_a_peer_that_is_too_slow_is_stopped_and_counts_for_what_it_did(tmp_path: Path) -> None:
    path = tmp_path / "flow.bin"
    write_flow(path, 500, 50)
    resting, flow = drive.load(str(path))
    found = drive.drive(PlainBook(), resting, flow, limit_s=0.0)
    assert found["commands"] == 0


def test_bytes_that_are_no_flow_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "flow.bin"
    write_flow(path, 100, 10)
    content = path.read_bytes()
    for broken in (b"X" + content[1:], content[: -drive.OPERATION.size]):
        path.write_bytes(broken)
        with pytest.raises(ValueError, match="is no flow"):
            drive.load(str(path))


def install_fake(context: Context, name: str, script: str) -> None:
    """An environment whose interpreter is a shell script."""
    folder = context.cache / name
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "bin" / "python").chmod(0o755)
    (folder / peers.READY).write_text("{}")


def test_peers_that_are_not_installed_are_skipped_with_the_command_that_installs_them(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers.importlib.util, "find_spec", lambda _: None)
    found = peers.run(context)
    assert found["tradewind"]["commands"] == context.effort.peer_commands
    skipped = {name: part["skipped"] for name, part in found.items() if "skipped" in part}
    assert skipped.keys() == {
        "lightmatchingengine",
        "order-book",
        "order-matching",
        "hftbacktest",
        "nautilus_trader",
    }
    assert all("tradewind bench peers --install" in reason for reason in skipped.values())


def test_a_peer_that_breaks_is_a_failure_and_the_others_are_measured(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers, "PEERS", peers.PEERS[:3])
    figures = {"commands": 1_000, "refused": 1, "traded_lots": 5, "elapsed_ns": 10**9}
    install_fake(context, "lightmatchingengine", "echo Traceback >&2; exit 3")
    install_fake(context, "order-book", f"echo loading; echo '{json.dumps(figures)}'")
    install_fake(context, "order-matching", "echo nothing useful")
    found = peers.run(context)
    assert "ended with status 3: Traceback" in found["lightmatchingengine"]["failed"]
    assert "no figures" in found["order-matching"]["failed"]
    measured = found["order-book"]
    assert measured["commands_per_second"] == 1_000.0
    assert measured["ratio"] == round(found["tradewind"]["commands_per_second"] / 1_000, 2)
    assert measured["complete"] is True


def test_an_installation_that_fails_leaves_nothing_that_looks_installed(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    def create(environment: Path, *, with_pip: bool) -> None:
        install_fake(context, environment.name, "exit 1")
        (environment / peers.READY).unlink()

    monkeypatch.setattr(peers.venv, "create", create)
    peer = peers.PEERS[0]
    environment = context.cache / peer.name
    with pytest.raises(peers.MeasureFailed):
        peers._install(peer, environment, environment / "bin" / "python", 10.0)
    assert not environment.exists()


@pytest.mark.parametrize("peer", peers.PEERS, ids=lambda peer: peer.name)
def test_every_peer_has_an_adapter_that_says_what_it_does_and_does_not(peer: peers.Peer) -> None:
    adapter = peers.DRIVER.parent / f"peer_{peer.module}.py"
    content = adapter.read_text()
    assert "class Book" in content or "def measure(" in content
    assert "tradewind" not in content, "it runs where this package is not installed"
    assert peer.does and peer.does_not


def test_the_driver_runs_an_adapter_in_another_interpreter(tmp_path: Path) -> None:
    from tradewind.lab.bench import children

    write_flow(tmp_path / "flow.bin", 200, 20)
    for name in ("drive.py",):
        (tmp_path / name).write_text((peers.DRIVER.parent / name).read_text())
    (tmp_path / "peer_nothing.py").write_text(
        "class Book:\n    traded_lots = 0\n    def add(self, *_): pass\n"
        "    def take(self, *_): pass\n    def cancel(self, order): return False\n"
    )
    done = children.run(
        [sys.executable, tmp_path / "drive.py", "peer_nothing", tmp_path / "flow.bin", "10"], limit_s=60.0
    )
    found = json.loads(done.stdout)
    assert found["commands"] == 200
    assert found["refused"] > 0
