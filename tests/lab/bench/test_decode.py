"""The suite `decode` measures books that are right, and says what its messages are."""

from __future__ import annotations

from pathlib import Path

import pytest

from tradewind.lab.bench import QUICK, Options, decode, peers, run
from tradewind.lab.bench.context import MeasureFailed
from tradewind.lab.bench.decode import CAPTURE_FOLDER_VARIABLE, captures_folder, flow_of, generated, measure

MESSAGES = 60


@pytest.mark.parametrize("venue", ["kraken", "binance"])
def test_generated_messages_make_a_live_book_and_are_labelled(venue: str) -> None:
    flow = generated(venue, MESSAGES)
    figures = measure(venue, flow, 1)
    assert figures["messages"] == MESSAGES
    assert figures["source"].startswith("generated")
    assert figures["messages_per_second"] > 0
    assert figures["queue_delay_p99_us"] >= 0
    assert figures["levels_per_message"] == (2 if venue == "kraken" else 36)
    assert generated(venue, MESSAGES) == flow, "the same seed gives the same messages"


def test_a_book_that_breaks_is_a_failure_and_no_figure() -> None:
    flow = generated("kraken", MESSAGES)
    flow.frames[30] = flow.frames[30].replace(b'"checksum":', b'"checksum":1')
    with pytest.raises(MeasureFailed, match="checksum"):
        measure("kraken", flow, 1)


@pytest.mark.parametrize("venue", ["kraken", "binance"])
def test_recorded_messages_are_taken_where_they_lie(venue: str) -> None:
    captures = captures_folder()
    if captures is None:
        pytest.skip("no recorded data beside the repository")
    figures = measure(venue, flow_of(venue, captures, MESSAGES), 1)
    assert figures["source"].startswith("recorded")
    assert figures["messages"] == {"kraken": 846, "binance": 3_449}[venue]


@pytest.fixture
def without_recordings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Options:
    monkeypatch.setenv(CAPTURE_FOLDER_VARIABLE, str(tmp_path))
    return Options(effort=QUICK, scratch=tmp_path, cache=tmp_path)


def test_the_suite_without_recordings_and_peer_says_so(
    monkeypatch: pytest.MonkeyPatch, without_recordings: Options
) -> None:
    monkeypatch.setattr(peers.importlib.util, "find_spec", lambda name: None)
    found = run(["decode"], without_recordings)["suites"]["decode"]
    for venue in ("kraken", "binance"):
        assert found[venue]["source"].startswith("generated")
        assert "skipped" in found[venue]["ccxt"]
    assert "stream" not in found["binance"]


def test_the_peer_has_the_same_best_prices_on_the_same_frames(without_recordings: Options) -> None:
    pytest.importorskip("ccxt")
    found = run(["decode"], without_recordings)["suites"]["decode"]
    for venue in ("kraken", "binance"):
        peer = found[venue]["ccxt"]
        assert (peer["complete"], peer["same_top"]) == (True, True), peer


def test_the_adapter_of_the_peer_stands_alone() -> None:
    """It runs where only the standard library and the peer are."""
    text = decode.ADAPTER.read_text(encoding="utf-8")
    assert "tradewind" not in text
