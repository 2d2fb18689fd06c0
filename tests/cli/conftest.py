"""Drives the command line as a user does: real processes, a real data directory, a free port, a generated
market.
"""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tradewind import cli

START_DEADLINE_S = 30.0
STOP_DEADLINE_S = 30.0
TRADEWIND = [sys.executable, "-c", "from tradewind.cli import main; main()"]


class Ran:
    """A finished command."""

    def __init__(self, process: subprocess.CompletedProcess[str]) -> None:
        self.code, self.out, self.err = process.returncode, process.stdout, process.stderr

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    def __repr__(self) -> str:
        return f"exit {self.code}\n{self.out}\n{self.err}"


def tradewind(*arguments: str, timeout_s: float = 60.0) -> Ran:
    """Runs one command to its end."""
    command = [*TRADEWIND, *arguments]
    return Ran(subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False))


def in_process(*arguments: str) -> Ran:
    """As `tradewind`, without a process of its own: for loops over many small commands."""
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        code = cli.run(list(arguments))
    return Ran(subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue()))


class Running:
    """A running `tradewind up`."""

    def __init__(self, data: Path, *options: str) -> None:
        self.data = data
        self.log = data.parent / f"{data.name}.log"
        command = [*TRADEWIND, "up", "--data", str(data), "--port", "0", "--feed", "generated", *options]
        with self.log.open("a") as output:
            self.process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)

    def run(self, *arguments: str) -> Ran:
        """A verb against this data directory."""
        return tradewind(*arguments, "--data", str(self.data))

    def json(self, *arguments: str) -> Any:
        """The JSON answer of a verb that must succeed."""
        ran = in_process(*arguments, "--data", str(self.data), "--json")
        assert ran.code == 0, ran
        return ran.json

    def until(self, what: str, condition: Callable[[], bool]) -> None:
        """Waits for a condition; fails with the log when the process ends or the deadline passes."""
        deadline = time.monotonic() + START_DEADLINE_S
        while not condition():
            alive = self.process.poll() is None
            assert alive and time.monotonic() < deadline, f"not {what}: {self.log.read_text()}"
            time.sleep(0.05)

    def serving(self) -> Running:
        self.until("serving", (self.data / "run.json").exists)
        return self

    def trading(self) -> Running:
        """Serving, and the book is mirrored and live."""
        self.serving()
        self.until("trading", self._online)
        return self

    def _online(self) -> bool:
        ran = self.run("venue", "status", "--json")
        return ran.code == 0 and set(ran.json["symbols"].values()) == {"online"}

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        """One signal, then the exit status."""
        self.process.send_signal(number)
        return self.process.wait(STOP_DEADLINE_S)

    def kill(self) -> None:
        """kill -9; what the dead process left behind stays."""
        self.process.kill()
        self.process.wait(STOP_DEADLINE_S)
        (self.data / "run.json").unlink(missing_ok=True)


@pytest.fixture(autouse=True)
def tidy(tmp_path: Path) -> Iterator[None]:
    """A journal holds a third of a gigabyte in reserve, and the temporary folder keeps several runs."""
    yield
    shutil.rmtree(tmp_path, ignore_errors=True)


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One platform for the tests that only use it; its trader waits for manual orders."""
    running = Running(tmp_path_factory.mktemp("platform") / "data", "--strategy", "none")
    try:
        yield running.trading()
    finally:
        if running.process.poll() is None:
            running.stop()
        shutil.rmtree(running.data, ignore_errors=True)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    """Starts platforms that end with the test."""
    started: list[Running] = []

    def begin(*options: str, data: Path | None = None) -> Running:
        started.append(Running(data or tmp_path / "data", *options))
        return started[-1]

    yield begin
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait(STOP_DEADLINE_S)
