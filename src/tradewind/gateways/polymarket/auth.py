"""Who sends a request: level 1 by the wallet's signature, level 2 by an API key over the exact bytes."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import uuid
from collections.abc import Mapping
from typing import Final

import msgspec

from tradewind.gateways.keys import ApiKey, KeyFileError, KeyStore, Right, equal
from tradewind.gateways.polymarket import errors
from tradewind.gateways.polymarket.errors import PolymarketError
from tradewind.gateways.polymarket.wallets import WalletBook, WalletOf
from tradewind.venues.polymarket.typed_data import auth_digest
from tradewind.venues.polymarket.wallet import BadSignature, SigningUnavailable, address_bytes, recover

WINDOW_S: Final = 30
"""How far the timestamp of a request may be from our clock."""
MAX_KEYS_OF_ACCOUNT: Final = 32
MAX_NONCE: Final = 1 << 64


class Caller(msgspec.Struct, frozen=True):
    """Who was recognised."""

    key: ApiKey
    wallet: WalletOf

    @property
    def account(self) -> str:
        return self.key.account


def l2_signature(secret: bytes, timestamp: str, method: str, path: str, body: bytes) -> str:
    """POLY_SIGNATURE of level 2: HMAC-SHA256 in url-safe base64. `path` without its query."""
    message = timestamp.encode() + method.encode() + path.encode() + body
    return base64.urlsafe_b64encode(hmac.new(secret, message, hashlib.sha256).digest()).decode()


def secret_text(key: ApiKey) -> str:
    """A key's secret as clients are given it."""
    return base64.urlsafe_b64encode(key.secret).decode()


class Authenticator:
    """Checks against the exchange's keys and the book of wallets."""

    def __init__(self, keys: KeyStore, wallets: WalletBook, chain_id: int) -> None:
        self._keys = keys
        self._wallets = wallets
        self._chain_id = chain_id

    # ---- level 1 -------------------------------------------------------------------------------------

    def wallet(self, headers: Mapping[str, str], now_ns: int) -> tuple[WalletOf, int]:
        """The wallet that signed a request of level 1, and its nonce. Raises `PolymarketError`."""
        address = headers.get("POLY_ADDRESS", "")
        timestamp, nonce_text = headers.get("POLY_TIMESTAMP", ""), headers.get("POLY_NONCE", "0")
        refused = PolymarketError(401, errors.INVALID_L1)
        if not _fresh(timestamp, now_ns) or not nonce_text.isascii() or not nonce_text.isdigit():
            raise refused
        nonce = int(nonce_text[:20])
        known = self._wallets.find(address)
        try:
            signature = bytes.fromhex(headers.get("POLY_SIGNATURE", "").removeprefix("0x"))
            digest = auth_digest(address, timestamp, nonce, self._chain_id)
            signer = recover(digest, signature)
            right = hmac.compare_digest(signer, address_bytes(address))
        except SigningUnavailable:
            raise PolymarketError(503, errors.SIGNING) from None
        except (BadSignature, ValueError):
            raise refused from None
        if not right or known is None or nonce >= MAX_NONCE:
            raise refused
        return known, nonce

    def create(self, wallet: WalletOf, nonce: int) -> ApiKey:
        """A key of a wallet and nonce. Raises `PolymarketError` when there is one already."""
        name = key_name(wallet, nonce)
        if self._keys.find(name) is not None:
            raise PolymarketError(400, errors.KEY_EXISTS)
        if len(self._keys.of_account(wallet.account)) >= MAX_KEYS_OF_ACCOUNT:
            raise PolymarketError(400, errors.KEY_EXISTS)
        key = ApiKey(
            key=name,
            account=wallet.account,
            secret=secrets.token_bytes(32),
            passphrase=secrets.token_hex(32),
        )
        try:
            self._keys.add(key)
        except (KeyFileError, OSError):
            raise PolymarketError(500, errors.INTERNAL) from None
        return key

    def derive(self, wallet: WalletOf, nonce: int) -> ApiKey:
        """The key of a wallet and nonce. Raises `PolymarketError` when there is none."""
        key = self._keys.find(key_name(wallet, nonce))
        if key is None:
            raise PolymarketError(400, errors.NO_KEY)
        return key

    # ---- level 2 -------------------------------------------------------------------------------------

    def caller(self, headers: Mapping[str, str], method: str, path: str, body: bytes, now_ns: int) -> Caller:
        """Who signed a request of level 2. Raises `PolymarketError`."""
        refused = PolymarketError(401, errors.INVALID_KEY)
        key = self._key(headers.get("POLY_API_KEY", ""))
        wallet = self._wallets.find(headers.get("POLY_ADDRESS", ""))
        timestamp = headers.get("POLY_TIMESTAMP", "")
        if key is None or not _fresh(timestamp, now_ns) or self._keys.locked(key.key, now_ns):
            raise refused
        wanted = l2_signature(key.secret, timestamp, method, path, body)
        right = equal(headers.get("POLY_SIGNATURE", ""), wanted)
        right &= equal(headers.get("POLY_PASSPHRASE", ""), key.passphrase)
        if not right:
            self._keys.count_failure(key.key, now_ns)
            raise refused
        if wallet is None or wallet.account != key.account:
            raise refused
        return Caller(key, wallet)

    def by_secret(self, name: str, secret: str, passphrase: str, now_ns: int) -> Caller | None:
        """Who opens the user channel: there the secret itself is sent."""
        key = self._key(name)
        if key is None or self._keys.locked(key.key, now_ns):
            return None
        if not (equal(secret, secret_text(key)) & equal(passphrase, key.passphrase)):
            self._keys.count_failure(key.key, now_ns)
            return None
        wallet = self._wallets.of_account(key.account)
        return None if wallet is None else Caller(key, wallet)

    def _key(self, name: str) -> ApiKey | None:
        key = self._keys.find(name) if name else None
        return key if key is not None and key.algorithm == "hmac" and key.passphrase else None


def key_name(wallet: WalletOf, nonce: int) -> str:
    """Name of the API key of a wallet and nonce: the same for ever."""
    raw = address_bytes(wallet.address) + nonce.to_bytes(8)
    digest = hashlib.blake2b(raw, digest_size=16, person=b"polymarket-key").digest()
    return str(uuid.UUID(bytes=digest, version=4))


def require(key: ApiKey, right: Right) -> None:
    """Raises `PolymarketError` unless the key permits this."""
    if not key.allows(right):
        raise PolymarketError(401, errors.READ_ONLY)


def _fresh(timestamp: str, now_ns: int) -> bool:
    if not timestamp.isascii() or not timestamp.isdigit() or len(timestamp) > 12:
        return False
    return abs(int(timestamp) - now_ns // 10**9) <= WINDOW_S
