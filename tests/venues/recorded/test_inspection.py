"""`tradewind data inspect`: everything in a capture or a message is read, and what is new is named."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
import shape_examples

from tradewind.cli.data import inspect as command
from tradewind.cli.exit_codes import ExitCode
from tradewind.cli.failure import CommandFailure
from tradewind.venues.inspection import inspect
from tradewind.venues.market_data import FeedUnavailable

BOOK = " ".join(shape_examples.ALL["kraken stream book"].split())
AT_NS = 1_767_323_045_000_000_000


def capture(folder: Path, *frames: str) -> Path:
    path = folder / "kraken-btcusd-0001.gz"
    with gzip.open(path, "wt") as file:
        for number, frame in enumerate(frames):
            file.write(f"{AT_NS + number} {frame}\n")
    return path


def test_a_capture_in_which_everything_is_known_is_clean(tmp_path: Path) -> None:
    found = inspect([capture(tmp_path, BOOK, '{"channel":"heartbeat"}', BOOK)])
    assert found.messages == {"kraken stream book": 2, "kraken stream heartbeat": 1}
    assert found.is_clean


def test_what_is_new_in_a_capture_is_named(tmp_path: Path) -> None:
    frames = [BOOK.replace('"symbol"', '"venue":"x","symbol"'), BOOK.replace("update", "patch"), BOOK[:-9],
              '{"channel":"oracle","data":[]}', BOOK.replace('"price"', '"cost"')]  # fmt: skip
    found = inspect([capture(tmp_path, *frames)])
    assert found.unread == {"kraken stream book: data[].venue": 1}
    assert found.strange == {"kraken stream book: type=patch": 1}
    assert found.unnamed == {'{"channel":"oracle","data":[]}': 1}
    assert sum(found.unlike.values()) == 2
    assert not found.is_clean


def test_a_single_message_is_read_as_what_it_is_said_to_be(tmp_path: Path) -> None:
    path = tmp_path / "ticker.json"
    path.write_text(shape_examples.ALL["kraken rest Ticker"])
    assert inspect([path], shape="kraken rest Ticker").is_clean
    assert not inspect([path], "kraken").is_clean, "an answer does not say which call it answers"
    with pytest.raises(FeedUnavailable, match="name the venue"):
        inspect([path])
    with pytest.raises(FeedUnavailable):
        inspect([tmp_path / "none.json"], "kraken")
    with pytest.raises(FeedUnavailable):
        inspect([tmp_path / "none.gz"])
    with pytest.raises(KeyError):
        inspect([path], shape="kraken rest Weather")


def test_the_command_tells_and_its_exit_status_says_whether_all_is_known(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "message.json"
    path.write_text(BOOK)
    assert command(path, venue="kraken", json=True) is ExitCode.OK
    assert json.loads(capsys.readouterr().out)["messages"] == {"kraken stream book": 1}
    path.write_text(BOOK.replace("update", "patch"))
    assert command(path, venue="kraken") is ExitCode.RED
    assert "type=patch" in " ".join(capsys.readouterr().out.split())
    for words in ({"shape": "kraken rest tick"}, {}):
        with pytest.raises(CommandFailure):
            command(path, **words)
    with pytest.raises(CommandFailure):
        command()
