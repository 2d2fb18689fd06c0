"""Messages made from shapes, changed messages, and what must hold of every reading."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import msgspec
from hypothesis import strategies as st
from msgspec import inspect as types

from tradewind.venues.binance.shapes import SHAPES as BINANCE
from tradewind.venues.kraken.shapes import SHAPES as KRAKEN
from tradewind.venues.market_data import DecodeError
from tradewind.venues.polymarket.shapes import SHAPES as POLYMARKET
from tradewind.venues.shapes import Reading, Shape, document_of, read

CATALOGUES = (KRAKEN, BINANCE, POLYMARKET)
SHAPES: dict[str, Shape] = {one.name: one for catalogue in CATALOGUES for one in catalogue}

NUMBERS = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**12), max_value=10**12, places=8)
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=12)
ODD = [
    None, True, -1, 0, 2**70, Decimal("0.1"), Decimal("-0.5"), Decimal("1E+300"), "", "odd", "-1", "NaN",
    "sNaN", "Infinity", "-Infinity", "1e5", "1_000", " 1", "0x10", "٣", "\x00", [], {}, [[]], [1, 2, 3],
    {"a": 1}, ["1", "2"], [None, None],
]  # fmt: skip


def written(document: Any) -> bytes:
    """JSON, decimals as numbers."""
    return msgspec.json.Encoder(decimal_format="number").encode(document)


# ---- messages of a shape -----------------------------------------------------------------------------------


def messages(shape: Shape) -> st.SearchStrategy[Any]:
    """Documents of this shape: every field that must be there, some of the others, known words only."""
    return _values(types.type_info(shape.type), shape, "", 0)


def _values(kind: Any, shape: Shape, path: str, depth: int) -> st.SearchStrategy[Any]:
    if isinstance(kind, types.StructType):
        return _structs(kind, shape, path, depth)
    if isinstance(kind, types.UnionType):
        return st.one_of([_values(one, shape, path, depth) for one in kind.types])
    if isinstance(kind, types.ListType):
        return st.lists(_values(kind.item_type, shape, f"{path}[]", depth + 1), max_size=2)
    if isinstance(kind, types.DictType):
        inner = _values(kind.value_type, shape, f"{path}{{}}", depth + 1)
        return st.dictionaries(st.text("ABC", min_size=1, max_size=3), inner, max_size=2)
    if isinstance(kind, types.TupleType):
        return st.tuples(*(_values(one, shape, f"{path}[]", depth + 1) for one in kind.item_types)).map(list)
    if isinstance(kind, types.DecimalType):
        return st.one_of(NUMBERS.map(lambda one: format(one, "f")), NUMBERS, st.integers(-(10**9), 10**9))
    if isinstance(kind, types.IntType):
        return st.integers(-(2**63), 2**64 - 1)
    if isinstance(kind, types.BoolType):
        return st.booleans()
    if isinstance(kind, types.NoneType):
        return st.none()
    assert isinstance(kind, types.StrType), kind
    return st.sampled_from(sorted(shape.words[path])) if path in shape.words else TEXT


def _structs(kind: Any, shape: Shape, path: str, depth: int) -> st.SearchStrategy[Any]:
    inner = {
        field.encode_name: _values(
            field.type,
            shape,
            f"{path}[]" if kind.array_like else f"{path}.{field.encode_name}" if path else field.encode_name,
            depth + 1,
        )
        for field in kind.fields
        if field.required or depth < 4
    }
    if kind.array_like:
        return st.tuples(*inner.values()).map(list)
    required = {field.encode_name for field in kind.fields if field.required}
    few = [name for name in inner if name not in required]
    chosen = st.sets(st.sampled_from(few), max_size=5) if few else st.just(set())
    return chosen.flatmap(
        lambda names: st.fixed_dictionaries({k: v for k, v in inner.items() if k in required | names})
    )


def required_places(shape: Shape, document: Any) -> list[tuple[Any, ...]]:
    """Places of a document that its shape cannot do without."""
    found: list[tuple[Any, ...]] = []

    def walk(kind: Any, value: Any, path: tuple[Any, ...]) -> None:
        if isinstance(kind, types.UnionType):
            kinds = [one for one in kind.types if not isinstance(one, types.NoneType)]
            if value is not None and len(kinds) == 1:
                walk(kinds[0], value, path)
        elif isinstance(kind, types.StructType):
            for number, field in enumerate(kind.fields):
                key: Any = number if kind.array_like else field.encode_name
                there = number < len(value) if kind.array_like else key in value
                if there:
                    if field.required:
                        found.append((*path, key))
                    walk(field.type, value[key], (*path, key))
        elif isinstance(kind, types.ListType):
            for number, one in enumerate(value):
                walk(kind.item_type, one, (*path, number))
        elif isinstance(kind, types.DictType):
            for key, one in value.items():
                walk(kind.value_type, one, (*path, key))
        elif isinstance(kind, types.TupleType):
            for number, one in enumerate(kind.item_types):
                found.append((*path, number))
                walk(one, value[number], (*path, number))

    walk(types.type_info(shape.type), document, ())
    return found


# ---- changes -----------------------------------------------------------------------------------------------


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths of everything inside a document, itself included."""
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        yield from places(one, (*path, key))


def at(document: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        document = document[key]
    return document


def copied(document: Any) -> Any:
    if isinstance(document, dict):
        return {key: copied(one) for key, one in document.items()}
    return [copied(one) for one in document] if isinstance(document, list) else document


def changed(document: Any, path: tuple[Any, ...], how: str, odd: Any = None) -> Any:
    """A copy with one place dropped, added to, or replaced."""
    copy = copied(document)
    if not path:
        return odd if how == "replace" else copy
    parent = at(copy, path[:-1])
    if how == "drop":
        del parent[path[-1]]
    elif how == "add" and isinstance(parent, dict):
        parent["something_new"] = odd
    elif how == "add":
        parent.append(odd)
    else:
        parent[path[-1]] = odd
    return copy


def read_or_refused(shape: Shape, body: bytes) -> Reading | None:
    """A reading of a message that may be anything; nothing but `DecodeError` may come instead."""
    try:
        reading = read(shape, body)
    except DecodeError:
        return None
    check_kept(reading, document_of(body))
    return reading


# ---- what must hold ----------------------------------------------------------------------------------------


def same(one: Any, other: Any) -> bool:
    """Whether two leaves say the same: text letter by letter, but text of a number by its digits."""
    if one == other and type(one) is type(other):
        return True
    if isinstance(one, str) and isinstance(other, str):
        try:
            return Decimal(one).as_tuple() == Decimal(other).as_tuple()
        except ArithmeticError:
            return False
    numbers = (int, Decimal)
    if isinstance(one, bool) or isinstance(other, bool):
        return False
    return isinstance(one, numbers) and isinstance(other, numbers) and one == other


def check_kept(reading: Reading, document: Any) -> None:
    """Everything in the document is in the reading, or named as unread or left out."""
    named = {path.rpartition(".")[2] for path in (*reading.unread, *reading.left_out)}
    rows = {path.rpartition("[")[0] for path in reading.unread if path.endswith("]")}

    def walk(there: Any, kept: Any, path: str) -> None:
        if isinstance(there, dict):
            assert isinstance(kept, dict), path
            for key, one in there.items():
                if key in kept:
                    walk(one, kept[key], f"{path}.{key}")
                else:
                    assert (
                        len(reading.unread) == 64
                        or key[:80] in named
                        or any(name.endswith(key[:40]) for name in named)
                    ), f"{path}.{key} is lost"
            assert kept.keys() <= there.keys()
        elif isinstance(there, list):
            assert isinstance(kept, list), path
            assert len(kept) == len(there) or rows, f"{path}: rows are lost"
            for number, (one, other) in enumerate(zip(there, kept, strict=False)):
                walk(one, other, f"{path}[{number}]")
        else:
            assert same(there, kept), f"{path}: {there!r} became {kept!r}"

    walk(document, reading.restated, "")


def document_text(text: str) -> Any:
    return json.loads(text, parse_float=Decimal)
