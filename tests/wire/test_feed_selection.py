"""Which feed is chosen, and that nothing is ever substituted silently."""

from __future__ import annotations

from pathlib import Path

import pytest

from tradewind.venues.binance.live import SPOT, BinanceEndpoints
from tradewind.venues.feeds.live import LiveOptions
from tradewind.venues.feeds.select import FeedRequest, find_recordings, select_feed
from tradewind.venues.kraken.live import KrakenEndpoints
from tradewind.venues.market_data import FeedUnavailable

from .replay_server import ReplayServer
from .scripts import synthetic_binance

NOWHERE = "http://127.0.0.1:9"


def request(rest_url: str, **more: object) -> FeedRequest:
    binance = BinanceEndpoints(market=SPOT.market, websocket_url=rest_url.replace("http", "ws"),
                               rest_url=rest_url, rest_prefix="/api/v3", depth_limit=100,
                               depth_stream="depth@100ms")  # fmt: skip
    return FeedRequest(symbols=("TESTUSDT",), binance=binance, kraken=KrakenEndpoints(rest_url=rest_url),
                       reach_timeout_s=0.5, **more)  # fmt: skip


def recording(folder: Path) -> Path:
    path = folder / "one.txt"
    path.write_text(
        '1700000000000000000 {"stream":"testusdt@depth@100ms","data":{"e":"depthUpdate","E":1,'
        '"s":"TESTUSDT","U":1,"u":2,"b":[["1.00","1.0"]],"a":[["1.01","1.0"]]}}\n'
    )
    return path


async def test_auto_takes_the_live_venue_when_it_answers(fast: LiveOptions) -> None:
    async with ReplayServer(synthetic_binance(1, 5)) as server:
        chosen = await select_feed("auto", request(server.http_url, options=fast))
        assert chosen.feed.label == "live:binance"
        assert chosen.passed_over == ()
        await chosen.feed.close()


@pytest.mark.parametrize("venue", ["binance", "kraken", "nowhere"])
async def test_auto_falls_back_to_recordings_and_says_why(tmp_path: Path, venue: str) -> None:
    path = recording(tmp_path)
    chosen = await select_feed("auto", request(NOWHERE, venue=venue, recordings=(path,)))
    assert chosen.feed.label == "recorded:one.txt"
    assert len(chosen.passed_over) == 1
    assert chosen.passed_over[0].startswith(f"live {venue}")


async def test_auto_ends_with_a_market_labelled_generated(tmp_path: Path) -> None:
    chosen = await select_feed("auto", request(NOWHERE, recordings=(tmp_path / "absent.gz",)))
    assert chosen.feed.label == "generated"
    assert [reason.split(" ")[0] for reason in chosen.passed_over] == ["live", "replay:"]


async def test_an_explicit_mode_never_substitutes_another_source(tmp_path: Path) -> None:
    path = recording(tmp_path)
    with pytest.raises(FeedUnavailable, match="live binance is not available"):
        await select_feed("live", request(NOWHERE, recordings=(path,)))
    with pytest.raises(FeedUnavailable, match="no recordings given"):
        await select_feed("replay", request(NOWHERE))
    with pytest.raises(ValueError, match="sometimes"):
        await select_feed("sometimes")


def test_a_directory_yields_its_first_capture_and_never_a_rest_log(tmp_path: Path) -> None:
    for name in ("b.ws.txt.gz", "a.http.txt.gz", "b.http.txt.gz", "c.gz", "notes.md"):
        (tmp_path / name).touch()
    assert find_recordings([tmp_path]) == [tmp_path / "b.ws.txt.gz"]
