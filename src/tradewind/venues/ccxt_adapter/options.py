"""Bounds and addresses of one connector through ccxt."""

from __future__ import annotations

from typing import Any

import msgspec


class CcxtOptions(msgspec.Struct, frozen=True, kw_only=True):
    """`exchange` is ccxt's id of the venue. Empty addresses are the venue's own hosts."""

    exchange: str
    rest_url: str = ""
    socket_url: str = ""
    symbols: tuple[str, ...] = ()
    """Canonical symbols that the account trades; some venues list executions by symbol only."""
    answer_timeout_s: float = 5.0
    """Of one request; a call of ccxt may take several."""
    call_timeout_s: float = 30.0
    horizon_s: float | None = None
    """How long behind its submit an order may still appear. None: what is known of the venue; where nothing
    is known, absence is never proven."""
    absence_margin_s: float = 1.0
    clock_skew_s: float = 0.5
    poll_every_s: float = 2.0
    """How often orders, executions and balances are compared when no stream says that something happened."""
    round_gap_s: float = 0.25
    """Pause between two readings of the account, however often a stream speaks."""
    live_for_s: float = 10.0
    """How old the latest complete reading of the account may be before private events are not live."""
    market_every_s: float = 1.0
    book_depth: int = 50
    units_per_s: float | None = None
    """Request units a second. None: the rate that ccxt states for the venue."""
    retry_after_missing_s: int = 60
    """How long to be quiet behind a refusal for rate that names no time."""
    settings: dict[str, Any] = {}
    """More of ccxt's own `options`."""
