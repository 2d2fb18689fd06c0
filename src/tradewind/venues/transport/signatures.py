"""Signatures of the venues, as pure functions over bytes (trading T3.11). Connectors sign, gateways check.

Formats: Kraken, Binance and Polymarket API documentation. What is signed is what is sent, byte for byte.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from typing import TYPE_CHECKING

from tradewind.security.capability import require_signing

require_signing(__name__)  # before anything that signs exists in this process

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


class BadSecret(ValueError):
    """The secret is not in the form that its venue gives out. What it is is never repeated."""

    code = "BadSecret"


def decode_secret(text: str, *, url_safe: bool = False) -> bytes:
    """The raw bytes of a secret in base64; padding may be left out.

    Raises:
        BadSecret: it is not base64, or empty.
    """
    padded = text.strip().rstrip("=")
    padded += "=" * (-len(padded) % 4)
    if url_safe:
        padded = padded.replace("-", "+").replace("_", "/")
    try:
        secret = base64.b64decode(padded, validate=True)
    except (binascii.Error, ValueError):
        secret = b""
    if not secret:
        raise BadSecret("the secret is not base64")
    return secret


def kraken(secret: bytes, path: str, nonce: str, body: bytes) -> str:
    """`API-Sign`: HMAC-SHA512 over path and SHA-256 of nonce and body, in base64.

    `nonce` is the text as it stands in the body.
    """
    digest = hashlib.sha256(nonce.encode() + body).digest()
    return base64.b64encode(hmac.digest(secret, path.encode() + digest, "sha512")).decode()


def binance_hmac(secret: bytes, payload: bytes) -> str:
    """HMAC-SHA256 over the percent-encoded parameters (query, then body), in hexadecimal."""
    return hmac.digest(secret, payload, "sha256").hex()


def binance_ed25519(key: Ed25519PrivateKey, payload: bytes) -> str:
    """Ed25519 over the percent-encoded parameters, in base64."""
    return base64.b64encode(key.sign(payload)).decode()


def check_ed25519(public_key: bytes, payload: bytes, signature: str) -> bool:
    """Whether a signature in base64 is of this payload by this key. Anything malformed is not."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(
            base64.b64decode(signature, validate=True), payload
        )
    except (InvalidSignature, ValueError):
        return False
    return True


def polymarket(secret: bytes, timestamp: str, method: str, path: str, body: bytes) -> str:
    """`POLY_SIGNATURE` of level 2: HMAC-SHA256 over timestamp, method, path and body, in url-safe base64."""
    message = timestamp.encode() + method.encode() + path.encode() + body
    return base64.urlsafe_b64encode(hmac.digest(secret, message, "sha256")).decode()


def same(given: str, expected: str) -> bool:
    """Compares in constant time. Text that is not ASCII is different."""
    return given.isascii() and hmac.compare_digest(given.encode(), expected.encode())
