"""secp256k1 and keccak-256, from optional packages: `pip install 'tradewind[polymarket]'`.

Only this module imports them, and only when something is signed, recovered or hashed.
"""

from __future__ import annotations

import functools
import importlib
from typing import Any, Final

import msgspec

EXTRA: Final = "tradewind[polymarket]"
HALF_ORDER: Final = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0
"""Signatures with a larger s are the second form of another one; the chain refuses them."""
SIGNATURE_BYTES: Final = 65
ADDRESS_BYTES: Final = 20


class SigningUnavailable(Exception):
    """The packages that sign and verify are not installed."""

    code = "SIGNING_UNAVAILABLE"

    def __init__(self) -> None:
        super().__init__(f"signatures of Polymarket need the packages of {EXTRA}; they are not installed")


class BadSignature(Exception):
    """A signature that nobody can have made, or a key or address that is none. Never repeats what it was."""

    code = "BAD_SIGNATURE"


def available() -> bool:
    """Whether the packages of the extra are installed."""
    try:
        _modules()
    except SigningUnavailable:
        return False
    return True


def require() -> None:
    """Raises `SigningUnavailable` unless the packages of the extra are installed."""
    _modules()


@functools.cache
def _modules() -> tuple[Any, Any]:
    try:
        return importlib.import_module("coincurve"), importlib.import_module("Crypto.Hash.keccak")
    except ImportError:
        raise SigningUnavailable from None


def keccak(data: bytes) -> bytes:
    """keccak-256, 32 bytes. Raises `SigningUnavailable`."""
    return bytes(_modules()[1].new(digest_bits=256, data=data).digest())


def checksum_address(raw: bytes) -> str:
    """The mixed-case text of an address (EIP-55)."""
    text = raw.hex()
    digest = keccak(text.encode()).hex()
    pairs = zip(text, digest[: len(text)], strict=True)
    return "0x" + "".join(letter.upper() if int(nibble, 16) >= 8 else letter for letter, nibble in pairs)


def address_bytes(text: str) -> bytes:
    """The 20 bytes of an address in any case. Raises `BadSignature`."""
    try:
        raw = bytes.fromhex(text[2:]) if text[:2] == "0x" else b""
    except ValueError:
        raw = b""
    if len(raw) != ADDRESS_BYTES or len(text) != 2 + 2 * ADDRESS_BYTES:
        raise BadSignature("not an address")
    return raw


def recover(digest: bytes, signature: bytes) -> bytes:
    """The address that signed a digest of 32 bytes. Raises `BadSignature`, `SigningUnavailable`."""
    curve, _ = _modules()
    if len(signature) != SIGNATURE_BYTES or len(digest) != 32:
        raise BadSignature("a signature has 65 bytes")
    parity = signature[64] - 27 if signature[64] >= 27 else signature[64]
    if parity not in (0, 1) or int.from_bytes(signature[32:64]) > HALF_ORDER:
        raise BadSignature("not a signature in its only form")
    try:
        public = curve.PublicKey.from_signature_and_message(
            signature[:64] + bytes([parity]), digest, hasher=None
        )
    except Exception:  # noqa: BLE001 - the package names no type of its own; the message may repeat the bytes
        raise BadSignature("nobody can have signed this") from None
    return _address_of(public)


def _address_of(public: Any) -> bytes:
    return keccak(public.format(compressed=False)[1:])[-ADDRESS_BYTES:]


class Wallet(msgspec.Struct, frozen=True):
    """A key that signs. Its text forms never show the key."""

    secret: bytes
    """32 bytes."""

    def __repr__(self) -> str:
        return "Wallet(…)"

    __str__ = __repr__

    @classmethod
    def from_text(cls, text: str) -> Wallet:
        """From 64 hexadecimal digits, with or without 0x. Raises `BadSignature`."""
        try:
            secret = bytes.fromhex(text.strip().removeprefix("0x"))
        except ValueError:
            secret = b""
        if len(secret) != 32:
            raise BadSignature("a key has 32 bytes")
        return cls(secret)

    def address(self) -> str:
        """Its address in mixed case. Raises `BadSignature`, `SigningUnavailable`."""
        return checksum_address(_address_of(self._key().public_key))

    def sign(self, digest: bytes) -> bytes:
        """65 bytes: r, s in its low form, and 27 or 28. Deterministic: the same digest, the same bytes."""
        made = self._key().sign_recoverable(digest, hasher=None)
        return bytes(made[:64]) + bytes([made[64] + 27])

    def _key(self) -> Any:
        try:
            return _modules()[0].PrivateKey(self.secret)
        except ValueError:
            raise BadSignature("not a key") from None
