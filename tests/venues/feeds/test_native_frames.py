"""The native readers read a usual frame exactly as the careful path does, and leave every other one to it."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from feed_helpers import NOW, instrument
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind.core.native import BinanceDepthReader, KrakenBookReader, Levels
from tradewind.venues.binance.decoder import BinanceDecoder
from tradewind.venues.feeds.decoding import Decoder
from tradewind.venues.kraken.decoder import KrakenDecoder
from tradewind.venues.market_data import BookDelta, DecodeError, Scale

SCALES = [("0.01", "0.00001"), ("0.5", "0.001"), ("1E+2", "1E-18"), ("0.00000001", "1"), ("0.025", "10")]
NASTY = ["", ".", "1.", ".5", "-1", "+1", "1e5", "1E-3", "NaN", "1,5", "1 ", "0x1", "١", "1.2.3", "9" * 17,
         "9" * 18, "9" * 19, "9" * 39, "0." + "0" * 17 + "1", "0." + "0" * 18 + "1", "0", "0.00", "00.5",
         "01", "0.005", "92233720368547758.07", "92233720368547758.08", "1.123456789"]  # fmt: skip
PLAIN = st.builds(
    lambda whole, fraction: f"{whole}.{fraction}" if fraction else str(whole),
    st.integers(0, 10**7),
    st.text("0123456789", max_size=8),
)
NUMBER = st.one_of(PLAIN, PLAIN, PLAIN, st.sampled_from(NASTY))
PAIRS = st.lists(st.tuples(NUMBER, NUMBER), max_size=4)
IDS = st.one_of(
    st.integers(1, 100), st.sampled_from(["-1", "01", "1.0", "1e3", "null", '"5"', 10**18, 10**19, 0])
)
TIMES = st.one_of(
    st.datetimes().map(lambda one: one.strftime("%Y-%m-%dT%H:%M:%S.%fZ")),
    st.sampled_from([
        "2023-10-06T17:35:55.440295Z", "2023-10-06T17:35:55Z", "2023-10-06T17:35:55.44Z",
        "2023-02-29T00:00:00.000000Z",
        "2024-02-29T23:59:60.000000Z", "2023-10-06T17:35:55.440295+", "1969-12-31T00:00:00.000000Z",
        "", "now",
        "2300-01-01T00:00:00.000000Z", "2023-10-06 17:35:55.440295Z", "2023-1-006T17:35:55.440295Z",
    ]),
)  # fmt: skip


class Never:
    """A reader that reads nothing: all is left to the careful path."""

    def read(self, _frame: bytes) -> None:
        return None


def outcome(decoder: Decoder, frame: bytes) -> Any:
    try:
        return decoder.decode(frame, NOW), dict(decoder.counters.ignored)
    except DecodeError as error:
        return str(error), error.channel, error.symbol


def binance(scale: tuple[str, str], careful: bool) -> BinanceDecoder:
    one = instrument(tick=Decimal(scale[0]), lot=Decimal(scale[1]))
    decoder = BinanceDecoder([one])
    if careful:
        decoder._depths = {b"btcusdt@depth@100ms": (Never(), "BTC/USDT")}  # type: ignore[dict-item]
    return decoder


def kraken(scale: tuple[str, str], careful: bool) -> KrakenDecoder:
    one = instrument(tick=Decimal(scale[0]), lot=Decimal(scale[1]), venue_symbol="BTC/USDT")
    decoder = KrakenDecoder([one])
    if careful:
        decoder._updates = Never()  # type: ignore[assignment]
    return decoder


def same(make: Any, scale: tuple[str, str], frame: bytes) -> Any:
    """What both paths say; they say it twice, because the first frame of a stream makes its route."""
    native, careful = make(scale, careful=False), make(scale, careful=True)
    for _ in range(2):
        found = outcome(native, frame)
        assert found == outcome(careful, frame)
    return found


@st.composite
def binance_frames(draw: st.DrawFn) -> bytes:
    def side() -> str:
        return json.dumps(draw(PAIRS), separators=(",", ":"), ensure_ascii=False)

    fields = [
        '"e":"depthUpdate"', f'"E":{draw(IDS)}', '"s":"BTCUSDT"', f'"U":{draw(IDS)}', f'"u":{draw(IDS)}',
        f'"b":{side()}', f'"a":{side()}',
    ]  # fmt: skip
    extra = st.sampled_from(
        [f'"pu":{draw(IDS)}', '"T":5', '"x":"y"', '"x":true', '"x":null', '"x":[1]', '"x":{}', '"x":-1.5e3',
         '"x":"\\n"', '"x":"é"', '"s":"OTHER"', '"b":[]']
    )  # fmt: skip
    fields += draw(st.lists(extra, max_size=2))
    if draw(st.integers(0, 4)) == 0:
        fields = draw(st.permutations(fields))
    if draw(st.integers(0, 9)) == 0:
        fields.pop(draw(st.integers(0, len(fields) - 1)))
    return ('{"stream":"btcusdt@depth@100ms","data":{' + ",".join(fields) + "}}").encode()


@st.composite
def kraken_frames(draw: st.DrawFn) -> bytes:
    def side() -> str:
        rows = [f'{{"price":{price},"qty":{quantity}}}' for price, quantity in draw(PAIRS)]
        return ",".join(rows)

    time = draw(st.one_of(st.just(""), TIMES.map(lambda text: f',"timestamp":{json.dumps(text)}')))
    symbol = draw(st.sampled_from(["BTC/USDT", "BTC/USDT", "BTC/USDT", "ETH/USDT"]))
    row = f'{{"symbol":"{symbol}","bids":[{side()}],"asks":[{side()}],"checksum":{draw(IDS)}{time}}}'
    rows = row if draw(st.integers(0, 9)) else f"{row},{row}"
    kind = draw(st.sampled_from(["update", "update", "update", "snapshot", "other"]))
    return f'{{"channel":"book","type":"{kind}","data":[{rows}]}}'.encode()


@st.composite
def damaged(draw: st.DrawFn, frames: st.SearchStrategy[bytes]) -> bytes:
    frame = bytearray(draw(frames))
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.integers(0, len(frame)))
        what = draw(st.sampled_from(["cut", "drop", "insert", "change"]))
        if what == "cut":
            del frame[place:]
        elif what == "drop":
            del frame[place : place + 1]
        elif what == "insert":
            frame[place:place] = draw(
                st.sampled_from([b" ", b",", b'"', b"0", b"\\", b"\xff", b"\0", b"}", b"["])
            )
        elif place < len(frame):
            frame[place] = draw(st.integers(0, 255))
    return bytes(frame)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(SCALES), damaged(binance_frames()))
def test_any_depth_frame_is_read_or_refused_as_the_careful_path_does(
    scale: tuple[str, str], frame: bytes
) -> None:
    same(binance, scale, frame)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(SCALES), damaged(kraken_frames()))
def test_any_book_frame_is_read_or_refused_as_the_careful_path_does(
    scale: tuple[str, str], frame: bytes
) -> None:
    same(kraken, scale, frame)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_no_bytes_are_too_strange_for_a_native_reader(noise: bytes) -> None:
    steps = Scale(Decimal("0.01"), Decimal("0.001"))
    price, lots = steps.ticks.native_step(), steps.lots.native_step()
    depth, book = BinanceDepthReader(price, lots), KrakenBookReader([("BTC/USDT", price, lots)])
    begin_depth = b'{"stream":"btcusdt@depth","data":{"s":"BTCUSDT","E":1,"b":['
    begin_book = b'{"channel":"book","type":"update","data":[{"symbol":"BTC/USDT","bids":[{"price":'
    for reader, begin in ((depth, begin_depth), (book, begin_book)):
        for frame in (noise, begin + noise, begin[: len(noise)] + noise):
            assert reader.read(frame) is None


def test_usual_frames_are_read_natively() -> None:
    """Else the comparison above would compare the careful path with itself."""
    spot = (
        b'{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":1723075200014,"s":"BTCUSDT","U":7,"u":9,'
        b'"b":[["61685.99000000","0.00100000"]],"a":[["61686.00000000","0.00000000"],["61700.00000000","1.5"]]}}'
    )
    futures = spot.replace(b'"s":', b'"T":1723075200010,"s":').replace(b'"u":9,', b'"u":9,"pu":6,')
    for frame, previous in ((spot, None), (futures, 6)):
        [[delta], _] = same(binance, SCALES[0], frame)
        assert isinstance(delta, BookDelta)
        assert delta.bids == ((6_168_599, 100),)
        assert delta.asks == ((6_168_600, 0), (6_170_000, 150_000))
        assert (delta.first_id, delta.last_id, delta.previous_id) == (7, 9, previous)
        assert delta.venue_ts_ns == 1_723_075_200_014_000_000
        decoder = binance(SCALES[0], careful=False)
        assert [type(one.bids) for _ in range(2) for one in decoder.decode(frame, NOW)][-1] is Levels
    book = (
        b'{"channel":"book","type":"update","data":[{"symbol":"BTC/USDT","bids":[],"asks":[{"price":353.64,"qty":'
        b'0.00000},{"price":353.7,"qty":2}],"checksum":4294967295,"timestamp":"2023-10-06T17:35:55.440295Z"}]}'
    )
    [[delta], _] = same(kraken, SCALES[0], book)
    assert type(kraken(SCALES[0], careful=False).decode(book, NOW)[0].asks) is Levels
    assert delta.asks == ((35_364, 0), (35_370, 200_000))
    assert (delta.checksum, delta.venue_ts_ns) == (2**32 - 1, 1_696_613_755_440_295_000)


def test_a_step_that_is_none_is_refused_by_the_readers() -> None:
    with pytest.raises(ValueError, match="positive"):
        BinanceDepthReader((0, 0, 0), (1, 0, 0))
    with pytest.raises(ValueError, match="positive"):
        KrakenBookReader([("A/B", (1, 0, 1), (0, -2, 0))])
