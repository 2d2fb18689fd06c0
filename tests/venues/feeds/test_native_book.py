"""The native side of a book does what the reference in plain Python does; its levels are what a tuple is."""

from __future__ import annotations

import copy
import pickle
from typing import Any
from zlib import crc32

import msgspec
import pytest
from feed_helpers import delta
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_side import ReferenceSide

from tradewind.core.native import BookSide, BookSides, Levels
from tradewind.venues.market_data import MAX_LEVEL_LOTS, MAX_PRICE_TICKS, Side

PRICES = st.one_of(
    st.integers(1, 30), st.sampled_from([1, MAX_PRICE_TICKS, MAX_PRICE_TICKS - 1, -5, -(2**63)])
)
LOTS = st.one_of(st.integers(0, 5), st.sampled_from([2**63, 2**64, 10**30, MAX_LEVEL_LOTS]))
LEVELS = st.lists(st.tuples(PRICES, LOTS), max_size=8)
SMALL_LEVELS = st.lists(st.tuples(st.integers(1, 40), st.integers(0, 10**20)), max_size=30)
HANDED_OVER = st.sampled_from([tuple, list, Levels, iter])
STEPS = st.tuples(st.sampled_from(["apply", "replace", "truncate", "clear", "nothing"]), LEVELS, HANDED_OVER)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(list(Side)), st.integers(1, 12), st.lists(STEPS, max_size=20))
def test_a_native_side_equals_the_reference_in_everything(side: Side, bound: int, steps: list[Any]) -> None:
    native, reference = BookSide(side, bound), ReferenceSide(side, bound)
    for what, levels, how in steps:
        if what == "apply":
            assert list(native.apply(how(levels))) == reference.apply(levels)
        elif what == "replace":
            native.replace(how(levels))
            reference.replace(levels)
        elif what == "truncate":
            assert list(native.truncate()) == reference.truncate()
        elif what == "clear":
            native.clear()
            reference.clear()
        expected = reference.top()
        assert native.top() == expected
        assert native.top(3) == expected[:3]
        assert native.top(0) == ()
        assert len(native) == len(expected)
        assert native.best == (expected[0] if expected else None)
        assert native.best_ticks == (expected[0][0] if expected else None)
        assert (native.horizon_ticks, native.complete_levels()) == (
            reference.horizon,
            reference.complete_levels(),
        )
        assert all((price in native) == (price in reference.lots) for price in range(1, 31))


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(SMALL_LEVELS, SMALL_LEVELS, HANDED_OVER), max_size=12),
    st.integers(1, 12),
    st.integers(1, 12),
    st.sampled_from([(1, 1), (10, 3)]),
)
def test_both_sides_together_tell_what_changed_and_have_the_checksum_of_their_text(
    updates: list[Any], bound: int, count: int, units: tuple[int, int]
) -> None:
    sides = BookSides(bound)
    bids, asks = ReferenceSide(Side.BUY, bound), ReferenceSide(Side.SELL, bound)
    for new_bids, new_asks, how in updates:
        told = sides.update(how(new_bids), how(new_asks))
        changed = (bids.apply(new_bids), asks.apply(new_asks))
        changed = (changed[0] + bids.truncate(), changed[1] + asks.truncate())
        if told is None:
            assert changed == (new_bids, new_asks)
        else:
            assert (list(told[0]), list(told[1])) == changed
            assert changed != (new_bids, new_asks)
        assert (sides.bids.top(), sides.asks.top()) == (bids.top(), asks.top())
        best = tuple(side.top()[0][0] if side.lots else None for side in (bids, asks))
        assert sides.best_ticks() == best
        for asked in ((count, *units), (10, 1, 1), (10, 1, 1)):
            text = asks.text(*asked) + bids.text(*asked)
            assert sides.checksum(*asked) == crc32(text.encode())


@settings(max_examples=200, deadline=None)
@given(LEVELS)
def test_levels_are_in_every_respect_the_tuple_of_their_pairs(pairs: list[tuple[int, int]]) -> None:
    levels, plain = Levels(pairs), tuple(pairs)
    assert levels == plain and plain == levels and levels == Levels(plain)
    assert levels != pairs and levels != (*plain, (1, 1))
    assert (len(levels), tuple(levels), hash(levels), repr(levels)) == (
        len(plain),
        plain,
        hash(plain),
        repr(plain),
    )
    assert [levels[place] for place in range(-len(plain), len(plain))] == [*plain, *plain]
    assert levels[1:] == plain[1:] and levels[::-1] == plain[::-1]
    assert bool(levels) == bool(plain)
    assert pickle.loads(pickle.dumps(levels)) == plain == copy.deepcopy(levels)
    for place in (len(plain), -len(plain) - 1):
        with pytest.raises(IndexError):
            levels[place]


def test_an_update_with_native_levels_is_one_with_a_tuple() -> None:
    pairs = ((100, 5), (99, 0))
    native, plain = delta(1, 2, bids=Levels(pairs)), delta(1, 2, bids=pairs)
    assert native == plain
    assert hash(native) == hash(plain)
    assert list(native.changes()) == list(plain.changes())
    assert msgspec.structs.replace(native, bids=()) == delta(1, 2)


@pytest.mark.parametrize(
    ("levels", "error"),
    [
        (5, TypeError), ([5], TypeError), ([(1.0, 2)], TypeError), ([(1, 2.0)], TypeError),
        ([(1, "2")], TypeError), ([("1", 2)], TypeError), ([(1, 2, 3)], ValueError), ([(1, None)], TypeError),
        ([(2**63, 1)], OverflowError), ([(1, 2**127)], OverflowError),
    ],
)  # fmt: skip
def test_what_is_no_pair_of_whole_numbers_changes_nothing(levels: Any, error: type[Exception]) -> None:
    sides = BookSides(10)
    sides.update([(100, 1)], [(101, 1)])
    for call in (
        lambda: Levels(levels),
        lambda: sides.update(levels, []),
        lambda: sides.update([(100, 9)], levels),
        lambda: sides.bids.apply(levels),
        lambda: sides.asks.replace(levels),
    ):
        with pytest.raises(error):
            call()
    assert (sides.bids.top(), sides.asks.top()) == (((100, 1),), ((101, 1),))


@pytest.mark.parametrize("arguments", [(2, 5), (0, 0)])
def test_a_side_needs_a_direction_and_room(arguments: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="max_levels"):
        BookSide(*arguments)


def test_levels_that_hold_each_other_are_no_way_into_the_book_twice() -> None:
    """An iterable that calls back into the book finds it free: it is read before anything is borrowed."""
    sides = BookSides(10)

    def calling_back() -> Any:
        sides.update([(99, 1)], [])
        yield (100, 1)

    sides.update(calling_back(), [])
    assert sides.bids.top() == ((100, 1), (99, 1))
