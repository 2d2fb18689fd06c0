"""How people name the outcomes of a market, and the moment at which it settles."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from tradewind.api.directory import NamedMarket
from tradewind.api.problems import ApiFailure, failure_of
from tradewind.core.errors import reject

BINARY: Final = ("yes", "no")
SECOND_NS: Final = 1_000_000_000


def outcome_number(market: NamedMarket, name: str | int) -> int:
    """The number of an outcome from its number, or from yes and no of a binary market.

    Raises:
        ApiFailure: INVALID_OUTCOME for what is neither.
    """
    count = market.market.outcome_count
    text = str(name).lower()
    if count == len(BINARY) and text in BINARY:
        return BINARY.index(text)
    if text.isdecimal() and int(text) < count:
        return int(text)
    given = int(text) if text.isdecimal() and len(text) < 10 else -1
    raise failure_of(reject("INVALID_OUTCOME", bound=count, given=given))


def outcome_name(market: NamedMarket, outcome: int) -> str:
    """`yes` and `no` of a binary market, else the number."""
    return BINARY[outcome] if market.market.outcome_count == len(BINARY) else str(outcome)


def settle_time_ns(text: str) -> int:
    """Nanoseconds since the epoch from a moment such as 2027-01-31T12:00:00Z.

    Raises:
        ApiFailure: MALFORMED_REQUEST for what is no moment, or has no time zone.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        message = f"settle {text!r} is no moment such as 2027-01-31T12:00:00Z"
        raise ApiFailure(400, "MALFORMED_REQUEST", message) from error
    if moment.tzinfo is None:
        raise ApiFailure(400, "MALFORMED_REQUEST", f"settle {text!r} has no time zone; append Z for UTC")
    span = moment.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return (span.days * 86_400 + span.seconds) * SECOND_NS + span.microseconds * 1_000


def outcome_fields(market: NamedMarket, outcome: str | int | None) -> dict[str, int]:
    """The outcome of an order; other markets have only outcome 0.

    Raises:
        ApiFailure: INVALID_OUTCOME; MALFORMED_REQUEST when an order in an outcome market names none.
    """
    if market.market.has_outcomes and outcome is None:
        known = ", ".join(outcome_name(market, one) for one in range(market.market.outcome_count))
        raise ApiFailure(400, "MALFORMED_REQUEST", f"state the `outcome`: {known}")
    return {"outcome": 0 if outcome is None else outcome_number(market, outcome)}
