"""What a venue adds to its messages is seen by name, bounded, and never stops a connection."""

from __future__ import annotations

import json
from typing import Any

import shape_examples
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from tradewind.venues.binance.shapes import SHAPES as BINANCE
from tradewind.venues.binance.shapes import name_of as binance_name
from tradewind.venues.frame_watch import ALARM_EVERY_S, EVERY_FRAMES, FIRST_FRAMES, MAX_NAMES, FrameWatch
from tradewind.venues.kraken.shapes import SHAPES as KRAKEN
from tradewind.venues.kraken.shapes import name_of as kraken_name

BOOK = shape_examples.ALL["kraken stream book"].encode()


def kraken() -> FrameWatch:
    return FrameWatch(KRAKEN, kraken_name)


def with_field(name: str, value: Any = 1) -> bytes:
    document = json.loads(BOOK)
    document["data"][0][name] = value
    return json.dumps(document).encode()


def test_a_new_field_and_a_new_word_are_named() -> None:
    watch = kraken()
    watch.see(BOOK)
    assert watch.names == []
    watch.see(with_field("liquidity"))
    watch.see(BOOK.replace(b'"update"', b'"patch"'))
    watch.see(BOOK.replace(b'"price"', b'"cost"'))
    assert watch.unread == {"kraken stream book: data[].liquidity": 1}
    assert watch.strange == {"kraken stream book: type=patch": 1}
    assert watch.unlike == {"kraken stream book": 1}
    assert len(watch.names) == 3


def test_first_all_frames_are_looked_at_and_then_a_few() -> None:
    watch = kraken()
    for _ in range(FIRST_FRAMES):
        watch.see(BOOK)
    assert watch.looked_at == FIRST_FRAMES
    for _ in range(4 * EVERY_FRAMES):
        watch.see(BOOK)
    assert watch.looked_at == FIRST_FRAMES + 4


@given(frame=st.one_of(st.binary(max_size=60), st.text(max_size=60).map(str.encode)))
def test_no_frame_makes_it_raise(frame: bytes) -> None:
    for watch in (kraken(), FrameWatch(BINANCE, binance_name)):
        watch.see(frame)
        assert watch.frames == 1


def test_names_are_bounded_and_told_once_an_hour() -> None:
    now_s = 0.0
    watch = FrameWatch(KRAKEN, kraken_name, lambda: now_s)
    with capture_logs() as told:
        for _ in range(5):
            watch.look("kraken stream book", with_field("liquidity"))
        assert len(told) == 1
        now_s = ALARM_EVERY_S
        watch.look("kraken stream book", with_field("liquidity"))
        assert len(told) == 2
        for number in range(2 * MAX_NAMES):
            watch.look("kraken stream book", with_field(f"new{number}"))
    assert len(watch.unread) == MAX_NAMES + 1
    assert watch.unread["(other)"] == MAX_NAMES + 1


def test_the_log_has_names_and_no_contents() -> None:
    with capture_logs() as told:
        kraken().see(with_field("token", "very-secret"))
    assert "token" in str(told) and "very-secret" not in str(told)
