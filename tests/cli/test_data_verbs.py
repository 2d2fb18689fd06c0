"""`tradewind data` as programs: an interrupt ends a recording in order, a kill leaves what can be read."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

RUN = "import sys; from tradewind.cli import main; sys.exit(main())"
DEADLINE_S = 60.0


def command(*words: str | Path, **options: Any) -> subprocess.Popen[str]:
    line = [sys.executable, "-c", RUN, *map(str, words)]
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def until(holds: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline_s = time.monotonic() + DEADLINE_S
    while not holds():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline_s, "it took too long"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Kraken of our own as a process."""
    data = tmp_path_factory.mktemp("venue")
    process = command("venue", "serve", "kraken", "--port", "0", "--data", data, "--json")
    assert process.stdout is not None
    text = ""
    while not text.endswith("}\n"):
        line = process.stdout.readline()
        assert line, process.communicate()
        text += line
    yield json.loads(text)["url"]
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=DEADLINE_S)


def recorder(url: str, folder: Path) -> subprocess.Popen[str]:
    words = ["data", "record", "kraken", "BTC/USD", "--out", folder, "--url", url, "--min-free-mb", "0"]
    return command(*words, "--json")


def readable(folder: Path) -> int:
    """Whole lines in all files, a torn one included."""
    from tradewind.venues.feeds.captures import read_capture

    return sum(1 for path in sorted(folder.glob("*.gz")) if path.stat().st_size for _ in read_capture(path))


def test_an_interrupt_ends_a_recording_in_order_and_the_next_one_goes_on(url: str, tmp_path: Path) -> None:
    for number in range(2):
        process = recorder(url, tmp_path)
        until(
            lambda number=number: len(list(tmp_path.glob("*.gz"))) > number and readable(tmp_path) > 10,
            process,
        )
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=DEADLINE_S)
        assert process.returncode == 0
        assert json.loads(out)["ended"] == "stopped"
    files = sorted(tmp_path.glob("*.gz"))
    assert [path.name for path in files] == ["kraken-btcusd-000000.gz", "kraken-btcusd-000001.gz"]
    for path in files:
        assert gzip.decompress(path.read_bytes()).endswith(b"\n"), "complete"


def test_a_killed_recorder_leaves_a_file_that_is_read_and_never_written_again(
    url: str, tmp_path: Path
) -> None:
    process = recorder(url, tmp_path)
    until(lambda: bool(list(tmp_path.glob("*.gz"))) and readable(tmp_path) > 10, process)
    process.kill()
    process.communicate()
    [torn] = tmp_path.glob("*.gz")
    before = torn.read_bytes()
    assert readable(tmp_path) > 10
    process = recorder(url, tmp_path)
    until(lambda: len(list(tmp_path.glob("*.gz"))) == 2, process)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=DEADLINE_S)
    assert torn.read_bytes() == before


def test_ping_and_wrong_wishes_have_their_exit_status(url: str, tmp_path: Path) -> None:
    process = command("venue", "ping", "kraken", "--url", url, "--json")
    out, _ = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0
    assert json.loads(out)["status"] == "online"
    wishes = [
        ("data", "record", "kraken", "NO/SUCH", "--out", tmp_path, "--url", url),
        ("data", "fetch", "kraken", "BTC/USD", "--kind=trades", "--from=x", "--to=y", "--out", tmp_path),
        ("data", "verify", tmp_path / "nowhere"),
    ]
    for words in wishes:
        process = command(*words, env={**os.environ})
        process.communicate(timeout=DEADLINE_S)
        assert process.returncode == 2, words
