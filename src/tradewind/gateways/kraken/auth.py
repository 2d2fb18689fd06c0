"""Who sends a private request: key, lockout, signature, nonce, right, in that order."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from typing import Final, Protocol

from tradewind.gateways.keys import ApiKey, Right
from tradewind.gateways.kraken import errors
from tradewind.gateways.kraken.errors import KrakenError
from tradewind.gateways.kraken.nonces import NonceError, NonceStore

RIGHTS: Final[dict[str, frozenset[Right]]] = {
    "Balance": frozenset({Right.READ}),
    "BalanceEx": frozenset({Right.READ}),
    "TradeBalance": frozenset({Right.READ}),
    "OpenOrders": frozenset({Right.READ}),
    "ClosedOrders": frozenset({Right.READ}),
    "QueryOrders": frozenset({Right.READ}),
    "QueryTrades": frozenset({Right.READ}),
    "TradesHistory": frozenset({Right.READ}),
    "Ledgers": frozenset({Right.READ}),
    "TradeVolume": frozenset({Right.READ}),
    "OpenPositions": frozenset({Right.READ}),
    "GetWebSocketsToken": frozenset(Right),
    "AddOrder": frozenset({Right.TRADE}),
    "AddOrderBatch": frozenset({Right.TRADE}),
    "AmendOrder": frozenset({Right.TRADE}),
    "EditOrder": frozenset({Right.TRADE}),
    "CancelOrder": frozenset({Right.TRADE, Right.CANCEL}),
    "CancelOrderBatch": frozenset({Right.TRADE, Right.CANCEL}),
    "CancelAll": frozenset({Right.TRADE, Right.CANCEL}),
    "CancelAllOrdersAfter": frozenset({Right.TRADE, Right.CANCEL}),
}
"""The private methods there are, and the rights of which a key needs one."""


class Keys(Protocol):
    """The part of the exchange's key store that a gateway needs."""

    def find(self, key: str) -> ApiKey | None:
        """The key, or None."""

    def count_failure(self, key: str, now_ns: int) -> bool:
        """A bad signature; the third within 60 s locks the key for 60 s."""

    def locked(self, key: str, now_ns: int) -> bool:
        """Whether the key is locked out."""


def signature(secret: bytes, path: str, nonce: str, body: bytes) -> str:
    """API-Sign: HMAC-SHA512 over the path and SHA-256 of nonce and body, in base64. `secret` is decoded."""
    digest = hashlib.sha256(nonce.encode() + body).digest()
    return base64.b64encode(hmac.new(secret, path.encode() + digest, hashlib.sha512).digest()).decode()


def signature_matches(secret: bytes, path: str, nonce: str, body: bytes, given: str) -> bool:
    """Whether a signature is right, compared in constant time."""
    try:
        raw = base64.b64decode(given, validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    return hmac.compare_digest(base64.b64decode(signature(secret, path, nonce, body)), raw)


class Authenticator:
    """Checks private requests against the keys of the exchange."""

    def __init__(self, keys: Keys, nonces: NonceStore) -> None:
        self._keys = keys
        self._nonces = nonces

    async def check(
        self, method: str, path: str, *, key_name: str, given: str, nonce: str, body: bytes, now_ns: int
    ) -> ApiKey:
        """The key of a request that may go on. Raises `KrakenError`.

        The nonce is used up as soon as the signature is right, whatever comes after: an answer that never
        arrived cannot be asked for again with the same bytes.
        """
        key = self._keys.find(key_name) if key_name else None
        if key is None or key.algorithm != "hmac":
            raise KrakenError(errors.INVALID_KEY)
        if self._keys.locked(key.key, now_ns):
            raise KrakenError(errors.LOCKOUT)
        if not signature_matches(key.secret, path, nonce, body, given):
            self._keys.count_failure(key.key, now_ns)
            raise KrakenError(errors.INVALID_SIGNATURE)
        plain = nonce.isascii() and nonce.isdigit() and len(nonce) <= 20
        try:
            await self._nonces.accept(key.key, int(nonce) if plain else None)
        except NonceError:
            raise KrakenError(errors.INVALID_NONCE) from None
        except OSError:
            raise KrakenError(errors.UNAVAILABLE) from None
        require(key, RIGHTS[method])
        return key


def require(key: ApiKey, wanted: frozenset[Right]) -> None:
    """Raises `KrakenError` unless the key has one of these rights."""
    if not key.rights & wanted:
        raise KrakenError(errors.PERMISSION)
