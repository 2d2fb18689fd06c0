"""Polymarket's error texts, and which of them answers each refusal of the exchange."""

from __future__ import annotations

from typing import Final

from tradewind.gateways.model import Refusal, Refused

INVALID_KEY: Final = "Unauthorized/Invalid api key"
INVALID_L1: Final = "Invalid L1 Request headers"
KEY_EXISTS: Final = "Could not create api key"
NO_KEY: Final = "Could not derive api key!"
INVALID_TOKEN: Final = "Invalid token id"  # noqa: S105 - a text
INVALID_SIDE: Final = "Invalid side"
INVALID_PAYLOAD: Final = "Invalid payload"
INVALID_ORDER: Final = "Invalid order payload"
INVALID_ORDER_ID: Final = "Invalid orderID"
INVALID_MARKET: Final = "Invalid market"
NOT_OWNER: Final = "the order owner has to be the owner of the API KEY"
NOT_SIGNER: Final = "the order signer address has to be the address of the API KEY"
NO_BOOK: Final = "No orderbook exists for the requested token id"
INVALID_SIGNATURE: Final = "invalid signature"
INVALID_AMOUNTS: Final = "invalid amounts, the sizes of limit orders are multiples of 0.01 shares"
SMALL_BUY: Final = "invalid amount for a marketable BUY order, min size: $1"
NO_ORDER: Final = "order not found"
NO_MARKET: Final = "market not found"
NO_BALANCE: Final = "not enough balance / allowance"
TOO_MANY: Final = "Payload exceeds the limit"
EXPIRATION: Final = "invalid expiration"
POST_ONLY_TYPE: Final = "invalid post-only order: only GTC and GTD order types are allowed"
POST_ONLY_CROSSES: Final = "invalid post-only order: order crosses book"
VERSION_MISMATCH: Final = "order_version_mismatch"
FOK_KILLED: Final = "order couldn't be fully filled. FOK orders are fully filled or killed."
FAK_KILLED: Final = (
    "no orders found to match with FAK order. FAK orders are partially filled or killed if no match is found."
)
NOT_READY: Final = "the market is not yet ready to process new orders"
RESTART: Final = "service not ready"
RATE_LIMIT: Final = "Too Many Requests"
DISABLED: Final = "Trading is currently disabled. Check polymarket.com for updates"
CANCEL_ONLY: Final = "Trading is currently cancel-only. New orders are not accepted, but cancels are allowed."
POST_ONLY_MODE: Final = "post-only mode: only post-only orders and cancels are allowed"
READ_ONLY: Final = "api key is not allowed to do this"
CANNOT_CANCEL: Final = "order can't be found - already canceled or matched"
CANCEL_ENDED: Final = "the order is already canceled or matched"
INTERNAL: Final = "internal server error"
NOT_FOUND: Final = "not found"
SIGNING: Final = "order signatures cannot be verified here: the signing packages are not installed"


class PolymarketError(Exception):
    """A status and a text: all that a client gets."""

    def __init__(self, status: int, text: str, retry_after_s: int = 1) -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.retry_after_s = retry_after_s


TEXTS: Final[dict[Refusal, tuple[int, str]]] = {
    Refusal.INSUFFICIENT_FUNDS: (400, NO_BALANCE),
    Refusal.DUPLICATE_CLIENT_ID: (400, "order {id} is invalid. Duplicated."),
    Refusal.BELOW_MIN_QUANTITY: (400, "order {id} is invalid. Size lower than the minimum: {message}"),
    Refusal.BELOW_MIN_NOTIONAL: (400, "order {id} is invalid. Size lower than the minimum: {message}"),
    Refusal.WOULD_TAKE: (400, POST_ONLY_CROSSES),
    Refusal.NOT_FILLABLE: (400, FOK_KILLED),
    Refusal.NO_LIQUIDITY: (400, FAK_KILLED),
    Refusal.BAD_PRICE: (400, "order {id} is invalid. Price breaks minimum tick size rule: {message}"),
    Refusal.OFF_TICK: (400, "order {id} is invalid. Price breaks minimum tick size rule: {message}"),
    Refusal.OUTSIDE_BAND: (400, "order {id} is invalid. Price is too far from the market: {message}"),
    Refusal.DEADLINE_PASSED: (400, EXPIRATION),
    Refusal.UNSUPPORTED: (400, EXPIRATION),
    Refusal.UNKNOWN_SYMBOL: (400, INVALID_TOKEN),
    Refusal.CANCEL_ONLY: (503, CANCEL_ONLY),
    Refusal.POST_ONLY_MODE: (503, POST_ONLY_MODE),
    Refusal.MARKET_CLOSED: (400, NOT_READY),
    Refusal.TOO_MANY_ORDERS: (400, "too many open orders"),
    Refusal.SELF_TRADE: (400, "order {id} crosses an order of the same account"),
    Refusal.BUSY: (425, RESTART),
    Refusal.STOPPED: (503, DISABLED),
}


def of_refusal(refused: Refused, reference: str) -> PolymarketError:
    """The venue's error for a refusal of an order."""
    status, text = TEXTS.get(refused.refusal, (400, INVALID_ORDER))
    return PolymarketError(status, text.format(id=reference, message=refused.message))
