"""Every shape of every venue, by messages made from it: nothing is lost, nothing strange becomes risk."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import msgspec
import pytest
import shape_examples
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from shape_rules import (
    CATALOGUES,
    ODD,
    SHAPES,
    at,
    changed,
    check_kept,
    document_text,
    messages,
    places,
    read_or_refused,
    required_places,
    written,
)

from tradewind.venues.binance.shapes import name_of as binance_name
from tradewind.venues.kraken.shapes import name_of as kraken_name
from tradewind.venues.market_data import DecodeError
from tradewind.venues.polymarket.shapes import name_of as polymarket_name
from tradewind.venues.shapes import MAX_BODY_BYTES, Shape, document_of, read

WRAPPED = (" combined", " event")
"""How Binance's frames are wrapped."""
CALM = settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)
EXAMPLES = sorted(shape_examples.ALL)
WITHOUT_NAMES = ("binance rest klines", "kraken v1 trade")
"""Rows without a named field."""
FRAME = re.compile(r"(kraken(-futures)? (stream|answer|request|v1)|polymarket stream|binance (?!rest)) *")


def test_every_shape_has_an_example_written_by_hand() -> None:
    bare = {name for name in SHAPES if not name.endswith(WRAPPED)}
    assert bare == set(shape_examples.ALL)
    assert sum(len(one.shapes) for one in CATALOGUES) == len(SHAPES), "names are unique over all venues"


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_read_without_loss(name: str) -> None:
    body = shape_examples.ALL[name].encode()
    reading = read(SHAPES[name], body)
    assert (reading.unread, reading.strange, reading.no_new_risk) == ((), (), False)
    check_kept(reading, document_of(body))


@pytest.mark.parametrize("name", [name for name in EXAMPLES if FRAME.match(name)])
def test_a_frame_is_recognised(name: str) -> None:
    document = document_text(shape_examples.ALL[name])
    venue = name.partition(" ")[0]
    found = {"binance": binance_name, "polymarket": polymarket_name}.get(venue, kraken_name)(document)
    assert found == name


@pytest.mark.parametrize("name", [name for name in sorted(SHAPES) if name.endswith(WRAPPED)])
def test_a_wrapped_frame_is_read_like_the_bare_one(name: str) -> None:
    bare = name.rsplit(" ", 1)[0]
    inner = document_text(shape_examples.ALL[bare])
    document = {"stream": "x@y", "data": inner}
    if name.endswith(" event"):
        document = {"subscriptionId": 0, "event": inner}
    assert binance_name(document) == name
    reading = read(SHAPES[name], written(document))
    check_kept(reading, document_of(written(document)))
    assert reading.unread == reading.strange == ()


@pytest.mark.parametrize(
    "document",
    [
        None,
        3,
        "x",
        [],
        [1],
        {},
        {"e": 3},
        {"channel": "new"},
        {"type": []},
        [[]],
        {"event_type": "new"},
        [1, 2, 3, 4],
        {"data": {}},
        {"method": 1},
    ],
)
def test_what_is_no_frame_that_we_know_has_no_name(document: Any) -> None:
    assert kraken_name(document) is None
    assert binance_name(document) is None
    assert polymarket_name(document) in (None, "polymarket stream order")


@pytest.mark.parametrize("name", EXAMPLES)
@CALM
@given(data=st.data())
def test_a_message_of_a_shape_is_read_and_written_again_the_same(name: str, data: st.DataObject) -> None:
    shape = SHAPES[name]
    body = written(data.draw(messages(shape)))
    reading = read(shape, body)
    assert (reading.unread, reading.strange) == ((), ())
    check_kept(reading, document_of(body))
    again = read(shape, written(reading.restated))
    assert again.value == reading.value


@pytest.mark.parametrize("name", EXAMPLES)
@CALM
@given(data=st.data())
def test_a_message_without_a_field_that_it_needs_is_a_decode_error(name: str, data: st.DataObject) -> None:
    shape = SHAPES[name]
    document = data.draw(messages(shape))
    needed = required_places(shape, document)
    assume(needed)
    path = data.draw(st.sampled_from(needed))
    with pytest.raises(DecodeError):
        read(shape, written(changed(document, path, "drop")))


@pytest.mark.parametrize("name", [name for name in EXAMPLES if name not in WITHOUT_NAMES])
@CALM
@given(data=st.data())
def test_a_field_that_is_not_known_is_reported_and_changes_nothing(name: str, data: st.DataObject) -> None:
    shape = SHAPES[name]
    document = data.draw(messages(shape))
    known = read(shape, written(document))
    inside = [
        path for path in places(document) if isinstance(at(document, path), dict) and not _is_map(shape, path)
    ]
    assume(inside)
    path = data.draw(st.sampled_from(inside))
    body = written(changed(document, (*path, "x"), "add", data.draw(st.sampled_from(ODD))))
    reading = read(shape, body)
    assert [one.rpartition(".")[2] for one in reading.unread] == ["something_new"]
    assert reading.value == known.value
    assert not reading.no_new_risk
    check_kept(reading, document_of(body))


def _is_map(shape: Shape, path: tuple[Any, ...]) -> bool:
    """Whether a place is a map whose keys are data."""
    kind: Any = msgspec.inspect.type_info(shape.type)
    for key in path:
        kind = _below(kind, key)
    return isinstance(_plain(kind), msgspec.inspect.DictType)


def _plain(kind: Any) -> Any:
    if isinstance(kind, msgspec.inspect.UnionType):
        [kind] = [one for one in kind.types if not isinstance(one, msgspec.inspect.NoneType)]
    return kind


def _below(kind: Any, key: Any) -> Any:
    kind = _plain(kind)
    if isinstance(kind, msgspec.inspect.StructType):
        if kind.array_like:
            return kind.fields[key].type
        return next(field.type for field in kind.fields if field.encode_name == key)
    if isinstance(kind, msgspec.inspect.TupleType):
        return kind.item_types[key]
    return kind.value_type if isinstance(kind, msgspec.inspect.DictType) else kind.item_type


WORDS = [(name, path) for name in EXAMPLES for path in sorted(SHAPES[name].words)]


def word_places(document: Any, path: str) -> list[tuple[Any, ...]]:
    """Where the words of a path stand in a document."""
    found = [()] if path.startswith(("[]", "{}")) or path else []
    parts = [part for part in path.replace("[]", ".[]").replace("{}", ".{}").split(".") if part]
    for part in parts:
        longer: list[tuple[Any, ...]] = []
        for one in found:
            value = at(document, one)
            if part == "[]" and isinstance(value, list):
                longer += [(*one, number) for number in range(len(value))]
            elif part == "{}" and isinstance(value, dict):
                longer += [(*one, key) for key in value]
            elif isinstance(value, dict) and part in value:
                longer.append((*one, part))
        found = longer
    return [one for one in found if isinstance(at(document, one), str)]


@pytest.mark.parametrize(("name", "path"), WORDS)
@CALM
@given(data=st.data(), word=st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=12))
def test_a_word_that_is_not_known_is_kept_and_is_no_new_risk(
    name: str, path: str, data: st.DataObject, word: str
) -> None:
    shape = SHAPES[name]
    assume(word not in shape.words[path])
    document = data.draw(messages(shape))
    if not word_places(document, path) and name in shape_examples.ALL:
        document = document_text(shape_examples.ALL[name])
    there = word_places(document, path)
    assume(there)
    place = data.draw(st.sampled_from(there))
    body = written(changed(document, place, "replace", word))
    reading = read(shape, body)
    assert reading.no_new_risk
    assert reading.strange == (f"{path}={word}",)
    assert at(reading.restated, place) == word


@pytest.mark.parametrize("name", EXAMPLES)
@CALM
@given(data=st.data())
def test_a_changed_message_is_a_reading_or_a_decode_error(name: str, data: st.DataObject) -> None:
    shape, document = SHAPES[name], document_text(shape_examples.ALL[name])
    for _ in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from(list(places(document))))
        how = data.draw(st.sampled_from(["drop", "add", "replace"]))
        document = changed(document, path, how, data.draw(st.sampled_from(ODD)))
    read_or_refused(shape, written(document))


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_cut_message_is_a_decode_error_wherever_it_is_cut(name: str) -> None:
    body = shape_examples.ALL[name].encode()
    for end in range(0, len(body), max(1, len(body) // 40)):
        with pytest.raises(DecodeError):
            read(SHAPES[name], body[:end])


@given(
    body=st.one_of(st.binary(max_size=60), st.text(max_size=60).map(str.encode)),
    name=st.sampled_from(EXAMPLES),
)
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_a_reading_or_a_decode_error(body: bytes, name: str) -> None:
    read_or_refused(SHAPES[name], body)


@pytest.mark.parametrize("text", ["NaN", "sNaN", "Infinity", "-Infinity", "1_000", " 1", "1 ", "+1", "٣",
                                  "0x1", "", "1e1000", "1" * 101])  # fmt: skip
def test_text_that_is_no_number_is_never_a_price(text: str) -> None:
    body = msgspec.json.encode({"symbol": "LTCBTC", "price": text})
    with pytest.raises(DecodeError):
        read(SHAPES["binance rest ticker/price"], body)


@pytest.mark.parametrize(
    "text", [b"NaN", b"Infinity", b"-Infinity", b"1e1000", b"1" * 5_000, b"0." + b"1" * 200]
)
def test_a_number_that_is_none_is_never_a_price(text: bytes) -> None:
    with pytest.raises(DecodeError):
        read(SHAPES["binance rest ticker/price"], b'{"symbol":"LTCBTC","price":' + text + b"}")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("4.00000200",) * 2,
        (".48", "0.48"),
        ("1e-7", "1E-7"),
        ("-0.0",) * 2,
        ("100000000000000000000.00000001",) * 2,
    ],
)
def test_a_number_is_kept_to_its_last_digit(text: str, value: str) -> None:
    reading = read(SHAPES["binance rest ticker/price"], msgspec.json.encode({"symbol": "X", "price": text}))
    assert reading.value.price.as_tuple() == Decimal(value).as_tuple()


@pytest.mark.parametrize(
    "deep", [b"[" * 100_000, b'{"a":' * 100_000, b'{"symbol":"X","price":"1","x":' + b"[" * 50_000]
)
def test_what_is_nested_without_end_is_a_decode_error(deep: bytes) -> None:
    with pytest.raises(DecodeError):
        read(SHAPES["binance rest ticker/price"], deep)


def test_a_message_that_is_too_long_is_refused_unread() -> None:
    with pytest.raises(DecodeError, match="bytes are more than"):
        read(SHAPES["binance rest ticker/price"], b" " * (MAX_BODY_BYTES + 1))


def test_what_a_message_reports_is_bounded() -> None:
    document = {"symbol": "X", "price": "1", **{f"new{number}": 1 for number in range(500)}, "n" * 5_000: 2}
    reading = read(SHAPES["binance rest ticker/price"], msgspec.json.encode(document))
    assert len(reading.unread) == 64
    assert all(len(one) <= 80 for one in reading.unread)


def test_a_token_of_a_request_is_not_printed() -> None:
    for name in ("add_order", "batch_add", "amend_order", "cancel_order"):
        example = shape_examples.ALL[f"kraken request {name}"].encode()
        assert "not-a-token" not in repr(read(SHAPES[f"kraken request {name}"], example).value)
    signed = read(
        SHAPES["polymarket rest signed order"], shape_examples.ALL["polymarket rest signed order"].encode()
    )
    assert "0xab" not in repr(signed.value)
