"""Codes of `Rejected`, the same for every venue; the venue's own text stays in `Rejected.raw`.

A code says what to do about a refusal, so a code is never guessed: text that is not in a venue's table is
`VENUE_REJECTED`, and is counted.
"""

from __future__ import annotations

from enum import StrEnum


class RejectCode(StrEnum):
    """Why a venue, or our own check in front of it, refused."""

    BAD_NUMBER = "BadNumber"
    SYMBOL_CLOSED = "SymbolClosed"
    TYPE_UNSUPPORTED = "TypeUnsupported"
    OFF_TICK = "OffTick"
    OFF_LOT = "OffLot"
    BELOW_MIN_QTY = "BelowMinQty"
    ABOVE_MAX_QTY = "AboveMaxQty"
    BELOW_MIN_NOTIONAL = "BelowMinNotional"
    ABOVE_MAX_NOTIONAL = "AboveMaxNotional"
    OUTSIDE_BAND = "OutsideBand"
    TOO_MANY_ORDERS = "TooManyOrders"
    VENUE_POSITION_CAP = "VenuePositionCap"
    STALE_EPOCH = "StaleEpoch"
    UNKNOWN_SYMBOL = "UnknownSymbol"
    UNKNOWN_ORDER = "UnknownOrder"
    BAD_CLIENT_ID = "BadClientId"
    DUPLICATE_CLIENT_ID = "DuplicateClientId"
    POST_ONLY_WOULD_TAKE = "PostOnlyWouldTake"
    AMEND_WOULD_TAKE = "AmendWouldTake"
    AMEND_BELOW_FILLED = "AmendBelowFilled"
    NOT_FILLABLE = "NotFillable"
    NO_LIQUIDITY = "NoLiquidity"
    INSUFFICIENT_FUNDS = "InsufficientFunds"
    REDUCE_ONLY = "ReduceOnly"
    SELF_TRADE = "SelfTrade"
    INVALID_SWITCH_WINDOW = "InvalidSwitchWindow"
    STALE_MARKET = "StaleMarket"
    DEADLINE_PASSED = "DeadlinePassed"
    NOT_LIVE = "NotLive"
    """Our private stream or order control is not live: no new risk."""
    CANCEL_ONLY = "CancelOnly"
    POST_ONLY_MODE = "PostOnlyMode"
    MAINTENANCE = "Maintenance"
    VENUE_BUSY = "VenueBusy"
    RATE_LIMITED = "RateLimited"
    RATE_LIMITED_LOCAL = "RateLimitedLocal"
    NOT_AUTHORISED = "NotAuthorised"
    INVALID_NONCE = "InvalidNonce"
    KEY_QUARANTINED = "KeyQuarantined"
    INVALID_REQUEST = "InvalidRequest"
    ENGINE_RESTRICTED = "EngineRestricted"
    VENUE_REJECTED = "VenueRejected"
    """Refused for a reason that our table does not know."""
