"""Orders as clients send them: read strictly, checked against key and wallet, the signature verified."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

import msgspec

from tradewind.gateways.outcome_model import OutcomeRequest, Token
from tradewind.gateways.polymarket import errors
from tradewind.gateways.polymarket.auth import Caller
from tradewind.gateways.polymarket.desk import Desk
from tradewind.gateways.polymarket.errors import PolymarketError
from tradewind.gateways.polymarket.numbers import MICRO, NS_PER_S, lot_micro, plain, ratio_ticks
from tradewind.gateways.polymarket.wallets import same_address
from tradewind.venues.market_data import Side
from tradewind.venues.polymarket.typed_data import EXCHANGES, WORD, OrderMessage, order_digest
from tradewind.venues.polymarket.wallet import BadSignature, SigningUnavailable, address_bytes, recover

MAX_DIGITS: Final = 78
MIN_GTD_NS: Final = 60 * NS_PER_S
SIZE_STEP_MICRO: Final = 10_000
"""Limit orders are for multiples of 0.01 shares."""
MIN_BUY_MICRO: Final = MICRO
TOLERANCE: Final = Decimal("0.01")
"""How far, in ticks, the price of a market order may lie from one: its amounts are rounded."""
FIELDS: Final = ("maker", "signer", "tokenId", "makerAmount", "takerAmount", "side", "signatureType")
SIDES: Final = {"BUY": 0, "SELL": 1}
EOA: Final = 0
WALLET_TYPES: Final = (1, 2)


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """An order that is signed by its owner and fits its market."""

    reference: str
    token: Token
    side: Side
    order_type: str
    post_only: bool
    price_ticks: int
    shares_micro: int
    quote_micro: int
    expires_ns: int
    maker: str
    owner: str


def read_order(desk: Desk, caller: Caller, payload: Any) -> Wanted:
    """An order of a request. Raises `PolymarketError`."""
    if not isinstance(payload, dict) or not isinstance(payload.get("order"), dict):
        raise PolymarketError(400, errors.INVALID_ORDER)
    order = payload["order"]
    order_type, post_only = payload.get("orderType"), payload.get("postOnly", False)
    if order_type not in ("GTC", "GTD", "FOK", "FAK") or not isinstance(post_only, bool):
        raise PolymarketError(400, errors.INVALID_ORDER)
    if payload.get("deferExec", False) is not False:
        raise PolymarketError(400, errors.INVALID_ORDER)
    if "timestamp" not in order and all(name in order for name in FIELDS):
        raise PolymarketError(400, errors.VERSION_MISMATCH)
    if payload.get("owner") != caller.key.key:
        raise PolymarketError(400, errors.NOT_OWNER)
    message, expiration_s, signature = _message(order)
    _check_parties(caller, message)
    token = desk.outcomes.tokens.get(str(message.token_id))
    if token is None:
        raise PolymarketError(400, errors.INVALID_TOKEN)
    digest = _verified(desk, caller, token, message, signature)
    reference = "0x" + digest.hex()
    if post_only and order_type not in ("GTC", "GTD"):
        raise PolymarketError(400, errors.POST_ONLY_TYPE)
    expires_ns = _expiry(order_type, expiration_s, desk.now_ns())
    side = Side(message.side)
    quote, shares = message.maker_amount, message.taker_amount
    if side is Side.SELL:
        quote, shares = shares, quote
    if quote <= 0 or shares <= 0:
        raise PolymarketError(400, errors.INVALID_ORDER)
    lasts = order_type in ("GTC", "GTD")
    return Wanted(
        reference=reference,
        token=token,
        side=side,
        order_type=order_type,
        post_only=post_only,
        price_ticks=_price(token, quote, shares, reference, exact=lasts),
        shares_micro=shares,
        quote_micro=quote,
        expires_ns=expires_ns,
        maker=message.maker,
        owner=caller.key.key,
    )


def _message(order: dict[str, Any]) -> tuple[OrderMessage, int, bytes]:
    try:
        side = SIDES[order["side"]]
        signature = bytes.fromhex(_text(order, "signature").removeprefix("0x"))
        message = OrderMessage(
            salt=_number(order["salt"]),
            maker=_text(order, "maker"),
            signer=_text(order, "signer"),
            token_id=_number(order["tokenId"]),
            maker_amount=_number(order["makerAmount"]),
            taker_amount=_number(order["takerAmount"]),
            side=side,
            signature_type=_number(order["signatureType"]),
            timestamp=_number(order["timestamp"]),
            metadata=_text(order, "metadata"),
            builder=_text(order, "builder"),
        )
        return message, _number(order.get("expiration", "0")), signature
    except (KeyError, TypeError, ValueError):
        raise PolymarketError(400, errors.INVALID_ORDER) from None


def _text(order: dict[str, Any], name: str) -> str:
    value = order[name]
    if not isinstance(value, str) or len(value) > 200:
        raise ValueError(name)
    return value


def _number(value: Any) -> int:
    if isinstance(value, bool):
        raise TypeError("a truth is no number")
    if isinstance(value, str):
        if not value.isascii() or not value.isdigit() or len(value) > MAX_DIGITS:
            raise ValueError("not a number")
        value = int(value)
    if not isinstance(value, int) or not 0 <= value < WORD:
        raise ValueError("not a number")
    return value


def _check_parties(caller: Caller, message: OrderMessage) -> None:
    if not same_address(message.signer, caller.wallet.address):
        raise PolymarketError(400, errors.NOT_SIGNER)
    if message.signature_type == EOA:
        right = same_address(message.maker, message.signer)
    elif message.signature_type in WALLET_TYPES:
        right = bool(caller.wallet.funder) and same_address(message.maker, caller.wallet.funder)
    else:
        right = False
    if not right:
        raise PolymarketError(400, errors.INVALID_ORDER)


def _verified(desk: Desk, caller: Caller, token: Token, message: OrderMessage, signature: bytes) -> bytes:
    """The order's hash. A bad signature counts against the key."""
    contract = EXCHANGES[token.market.rules.neg_risk]
    try:
        digest = order_digest(message, desk.options.chain_id, contract)
        right = recover(digest, signature) == address_bytes(message.signer)
    except SigningUnavailable:
        raise PolymarketError(503, errors.SIGNING) from None
    except BadSignature:
        right = False
    except ValueError:
        raise PolymarketError(400, errors.INVALID_ORDER) from None
    if not right:
        desk.exchange.keys.count_failure(caller.key.key, desk.now_ns())
        raise PolymarketError(400, errors.INVALID_SIGNATURE)
    return digest


def _expiry(order_type: str, expiration_s: int, now_ns: int) -> int:
    if order_type != "GTD":
        if expiration_s:
            raise PolymarketError(400, errors.EXPIRATION)
        return 0
    expires_ns = expiration_s * NS_PER_S
    if expires_ns < now_ns + MIN_GTD_NS or expires_ns >= 1 << 62:
        raise PolymarketError(400, errors.EXPIRATION)
    return expires_ns


def _price(token: Token, quote: int, shares: int, reference: str, *, exact: bool) -> int:
    tick = token.market.rules.tick
    ticks, on_tick, price = ratio_ticks(quote, shares, tick)
    inside = 0 < ticks < token.market.payout_ticks
    if not inside or not (on_tick or (not exact and abs(price - ticks * tick) <= tick * TOLERANCE)):
        shown = plain(price.quantize(Decimal("0.000001")))
        text = f"order {reference} is invalid. Price ({shown}) breaks minimum tick size rule: {plain(tick)}"
        raise PolymarketError(400, text)
    if exact and shares % SIZE_STEP_MICRO:
        raise PolymarketError(400, errors.INVALID_AMOUNTS)
    return ticks


def request_of(desk: Desk, wanted: Wanted) -> OutcomeRequest:
    """The order for the exchange, in lots. Raises `PolymarketError`.

    A market purchase spends an amount: where the book has enough of it, its size is what the amount buys
    there, else the size that was signed. It is never more than the signed amount at the signed price.
    """
    token, market = wanted.token, wanted.token.market
    unit = lot_micro(market)
    lots = wanted.shares_micro // unit
    if wanted.order_type in ("FOK", "FAK") and wanted.side is Side.BUY:
        if wanted.quote_micro < MIN_BUY_MICRO:
            raise PolymarketError(400, errors.SMALL_BUY)
        bought, spent = _bought(desk, wanted)
        if spent:
            lots = bought
        elif wanted.order_type == "FOK":
            raise PolymarketError(400, errors.FOK_KILLED)
    if lots <= 0:
        raise PolymarketError(400, errors.INVALID_AMOUNTS)
    least = market.rules.min_shares
    if wanted.order_type in ("GTC", "GTD") and wanted.shares_micro < least * MICRO:
        size = plain(Decimal(wanted.shares_micro) / MICRO)
        text = f"order {wanted.reference} is invalid. Size ({size}) lower than the minimum: {plain(least)}"
        raise PolymarketError(400, text)
    return OutcomeRequest(
        token_id=token.token_id,
        side=wanted.side,
        price_ticks=wanted.price_ticks,
        lots=lots,
        order_type=wanted.order_type,
        post_only=wanted.post_only,
        expires_ns=wanted.expires_ns,
        reference=wanted.reference,
        maker=wanted.maker,
        owner=wanted.owner,
    )


def _bought(desk: Desk, wanted: Wanted) -> tuple[int, bool]:
    """Lots that the amount buys on the book within the limit, and whether it is spent."""
    market = wanted.token.market
    unit, tick_micro = lot_micro(market), int(market.rules.tick * MICRO)
    lots, left = 0, wanted.quote_micro
    for price, available in desk.outcomes.book(wanted.token).asks:
        if price > wanted.price_ticks:
            break
        cost = price * tick_micro * unit // MICRO
        taken = min(available, left // cost)
        lots, left = lots + taken, left - taken * cost
        if taken < available:
            return lots, True
    return lots, left == 0
