"""What ccxt does not tell of a venue, for the venues where somebody looked; the figures lie in facts.toml.

A venue that is not here works with less: absence of an order is never proven (unless its horizon is
configured), there is no dead-man's switch, and a list with as many rows as the smallest usual page counts
as cut off.
"""

from __future__ import annotations

import re
from enum import StrEnum
from functools import cache
from typing import Any, Final

import msgspec

from tradewind.venues.facts import facts_of

PACKAGE: Final = "tradewind.venues.ccxt_adapter"


class ByClientId(StrEnum):
    """How an order is asked for by our id."""

    ORDER = "order"
    """fetch_order takes it."""
    LISTS = "lists"
    """The lists of orders can be narrowed to it."""
    NONE = "none"
    """All orders have to be read."""


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """`page_rows`: rows of a page of ended orders or executions when none are asked for. `until`: lists of
    executions can end at a moment. `span_s`: the longest span of one question, 0 for any.
    """

    by_client_id: ByClientId = ByClientId.NONE
    client_ids: bool = False
    client_id: str = r"[0-9A-Za-z_-]{1,36}"
    page_rows: int | None = None
    until: bool = False
    span_s: int = 0
    cancel_after_s: tuple[int, int] | None = None
    deadline: str = ""
    """Parameter of an order that takes the moment until which it may be accepted, RFC 3339."""
    window: str = ""
    """Option of ccxt that bounds how late a request may be accepted, in ms; set to the horizon."""
    horizon_s: float | None = None
    settings: dict[str, Any] = {}

    def takes(self, client_id: str) -> bool:
        """Whether the venue takes an id of ours, and gives it back as it is."""
        return re.fullmatch(self.client_id, client_id) is not None


UNKNOWN_VENUE: Final = Profile()
SMALLEST_PAGE_ROWS: Final = 10
"""A list without a stated length of its pages that has so many rows may have been cut off."""


@cache
def profile_of(exchange: str) -> Profile:
    """What is known of a venue beyond ccxt."""
    known = {
        name.partition(".")[2]: fact.value
        for name, fact in facts_of(PACKAGE).items()
        if name.startswith(f"{exchange}.")
    }
    return msgspec.convert(known, Profile) if known else UNKNOWN_VENUE
