"""Changes of books, numbered: what is published behind a batch of events."""

from __future__ import annotations

from collections.abc import Container, Iterator

from tradewind.node.projections.book import BookView
from tradewind.venues.market_data import Level


def changed_books(
    books: BookView, update_ids: dict[int, int], told: Container[int]
) -> Iterator[tuple[int, tuple[Level, ...], tuple[Level, ...], int]]:
    """(market, bids, asks, number) of the books that changed since the last call, by handle.

    Numbers of a market grow by one with each change, and only where it is told; `update_ids` keeps them.
    """
    for handle in sorted(books.touched):
        bids, asks = books.books[handle].take_changes()
        if handle in told and (bids or asks):
            number = update_ids[handle] = update_ids.get(handle, 0) + 1
            yield handle, tuple(bids), tuple(asks), number
    books.touched.clear()
