"""The kept text of the best levels is always that of the levels as they are."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tradewind.venues.feeds.levels import BookSide
from tradewind.venues.market_data import Side

LEVELS = st.lists(st.tuples(st.integers(1, 30), st.integers(0, 5)), max_size=6)


@given(
    st.sampled_from(list(Side)),
    st.integers(1, 20),
    st.integers(1, 12),
    st.lists(
        st.tuples(st.sampled_from(["apply", "replace", "truncate", "clear", "nothing"]), LEVELS), max_size=20
    ),
)
def test_the_kept_text_equals_a_fresh_one(side: Side, most: int, count: int, steps: list) -> None:
    book = BookSide(side, most)
    for what, levels in steps:
        if what == "apply":
            book.apply(levels)
        elif what == "replace":
            book.replace(dict(levels).items())
        elif what == "truncate":
            book.truncate()
        elif what == "clear":
            book.clear()
        for units in ((1, 1), (10, 3)):
            expected = "".join(f"{price * units[0]}{lots * units[1]}" for price, lots in book.top(count))
            assert book.top_text(count, *units) == expected
        assert book.top_text(count, 1, 1) == "".join(f"{price}{lots}" for price, lots in book.top(count))
        assert book.top_text(count, 1, 1) == "".join(f"{price}{lots}" for price, lots in book.top(count))
