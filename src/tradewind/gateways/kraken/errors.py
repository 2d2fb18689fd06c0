"""Kraken's error texts, and which of them answers each refusal of the exchange."""

from __future__ import annotations

from typing import Final

from tradewind.gateways.model import Refusal, Refused

INVALID_KEY: Final = "EAPI:Invalid key"
INVALID_SIGNATURE: Final = "EAPI:Invalid signature"
INVALID_NONCE: Final = "EAPI:Invalid nonce"
RATE_LIMIT: Final = "EAPI:Rate limit exceeded"
ENGINE_RATE_LIMIT: Final = "EOrder:Rate limit exceeded"
LOCKOUT: Final = "EGeneral:Temporary lockout"
PERMISSION: Final = "EGeneral:Permission denied"
UNKNOWN_METHOD: Final = "EGeneral:Unknown method"
ARGUMENTS: Final = "EGeneral:Invalid arguments"
INTERNAL: Final = "EGeneral:Internal error"
UNKNOWN_PAIR: Final = "EQuery:Unknown asset pair"
UNKNOWN_ASSET: Final = "EQuery:Unknown asset"
UNKNOWN_TRADE: Final = "EQuery:Unknown trade"
UNKNOWN_ORDER: Final = "EOrder:Unknown order"
INVALID_ORDER: Final = "EOrder:Invalid order"
INVALID_PRICE: Final = "EOrder:Invalid price"
INVALID_SESSION: Final = "ESession:Invalid session"
DEADLINE: Final = "EService:Deadline elapsed"
UNAVAILABLE: Final = "EService:Unavailable"
BUSY: Final = "EService:Busy"
CANCEL_ONLY: Final = "EService:Market in cancel_only mode"
POST_ONLY: Final = "EService:Market in post_only mode"
LIMIT_ONLY: Final = "EService:Market in limit_only mode"
INSUFFICIENT_FUNDS: Final = "EOrder:Insufficient funds"
MARGIN_NOT_ALLOWED: Final = "EOrder:Cannot open position"

TEXTS: Final[dict[Refusal, str]] = {
    Refusal.UNKNOWN_SYMBOL: UNKNOWN_PAIR,
    Refusal.BAD_PRICE: INVALID_PRICE,
    Refusal.BAD_QUANTITY: f"{ARGUMENTS}:volume",
    Refusal.OFF_TICK: "EOrder:Tick size check failed",
    Refusal.OFF_LOT: f"{ARGUMENTS}:volume",
    Refusal.BELOW_MIN_QUANTITY: f"{ARGUMENTS}:volume minimum not met",
    # The venue names no largest order: of what it does not take, the account could not pay for it.
    Refusal.ABOVE_MAX_QUANTITY: INSUFFICIENT_FUNDS,
    Refusal.BELOW_MIN_NOTIONAL: "EOrder:Cost minimum not met",
    Refusal.ABOVE_MAX_NOTIONAL: INSUFFICIENT_FUNDS,
    Refusal.OUTSIDE_BAND: INVALID_PRICE,
    Refusal.TOO_MANY_ORDERS: "EOrder:Orders limit exceeded",
    Refusal.POSITION_LIMIT: "EOrder:Positions limit exceeded",
    Refusal.INSUFFICIENT_FUNDS: INSUFFICIENT_FUNDS,
    Refusal.WOULD_TAKE: "EOrder:Post only order",
    Refusal.WOULD_TRIGGER: f"{INVALID_PRICE}:the order would trigger at once",
    Refusal.NOT_FILLABLE: f"{INVALID_ORDER}:fill or kill could not be filled",
    Refusal.NO_LIQUIDITY: f"{INVALID_ORDER}:nothing to trade with",
    Refusal.DUPLICATE_CLIENT_ID: f"{INVALID_ORDER}:cl_ord_id is in use",
    Refusal.UNKNOWN_ORDER: UNKNOWN_ORDER,
    Refusal.ORDER_CLOSED: UNKNOWN_ORDER,
    Refusal.AMEND_BELOW_FILLED: INVALID_ORDER,
    Refusal.DEADLINE_PASSED: DEADLINE,
    Refusal.UNSUPPORTED: ARGUMENTS,
    Refusal.REDUCE_ONLY: "EOrder:Reduce only:Non-reducing order",
    Refusal.MARKET_CLOSED: UNAVAILABLE,
    Refusal.CANCEL_ONLY: CANCEL_ONLY,
    Refusal.POST_ONLY_MODE: POST_ONLY,
    Refusal.SELF_TRADE: f"{INVALID_ORDER}:self trade",
    Refusal.BUSY: BUSY,
    Refusal.STOPPED: UNAVAILABLE,
    Refusal.OTHER: INVALID_ORDER,
}


class KrakenError(Exception):
    """One of Kraken's errors. Its text is all a client gets: no text of ours is added to it."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


def invalid(field: str = "") -> KrakenError:
    """`EGeneral:Invalid arguments`, with the name of the field when it is known."""
    return KrakenError(f"{ARGUMENTS}:{field}" if field else ARGUMENTS)


def refusal_text(refused: Refused) -> str:
    """Kraken's text for a refusal of the exchange."""
    return TEXTS.get(refused.refusal, INVALID_ORDER)


def of_refusal(refused: Refused) -> KrakenError:
    """The same as an error to raise."""
    return KrakenError(refusal_text(refused))
