"""What Polymarket wallets sign: orders of its exchange contracts and the proof that a wallet is one's own.

EIP-712: a digest is keccak-256 of 0x1901, the domain's hash and the struct's hash; every field is one word of
32 bytes, text is hashed first.
"""

from __future__ import annotations

import functools
from typing import Final

import msgspec

from tradewind.venues.polymarket.wallet import address_bytes, keccak

POLYGON: Final = 137
AMOY: Final = 80_002
EXCHANGES: Final[dict[bool, str]] = {
    False: "0xE111180000d2663C0091e4f400237545B87B996B",
    True: "0xe2222d279d744050d28e00520010520000310F59",
}
"""Exchange contract of orders of version 2, by whether the market is a neg-risk one; on both chains."""
ORDER_NAME: Final = "Polymarket CTF Exchange"
ORDER_VERSION: Final = "2"
ORDER_TYPE: Final = (
    b"Order(uint256 salt,address maker,address signer,uint256 tokenId,uint256 makerAmount,"
    b"uint256 takerAmount,uint8 side,uint8 signatureType,uint256 timestamp,bytes32 metadata,bytes32 builder)"
)
AUTH_TYPE: Final = b"ClobAuth(address address,string timestamp,uint256 nonce,string message)"
AUTH_NAME: Final = "ClobAuthDomain"
AUTH_VERSION: Final = "1"
AUTH_TEXT: Final = "This message attests that I control the given wallet"
WORD: Final = 1 << 256
ZERO_WORD: Final = "0x" + "00" * 32
ZERO_ADDRESS: Final = "0x" + "00" * 20


class OrderMessage(msgspec.Struct, frozen=True, kw_only=True):
    """The signed fields of an order. Amounts have 6 decimals; `side` is 0 for BUY, 1 for SELL."""

    salt: int
    maker: str
    signer: str
    token_id: int
    maker_amount: int
    taker_amount: int
    side: int
    signature_type: int
    timestamp: int
    """Milliseconds."""
    metadata: str = ZERO_WORD
    builder: str = ZERO_WORD


def word(value: int) -> bytes:
    """A number as one word. Raises `ValueError` for one that does not fit."""
    if not 0 <= value < WORD:
        raise ValueError("a number does not fit in 256 bits")
    return value.to_bytes(32)


def word_of_hex(text: str) -> bytes:
    """32 bytes from 0x and 64 digits. Raises `ValueError`."""
    raw = bytes.fromhex(text[2:]) if text[:2] == "0x" and len(text) == 66 else b""
    if len(raw) != 32:
        raise ValueError("not 32 bytes")
    return raw


def _address(text: str) -> bytes:
    return address_bytes(text).rjust(32, b"\0")


@functools.lru_cache(maxsize=64)
def domain(name: str, version: str, chain_id: int, contract: str = "") -> bytes:
    """The hash of a domain; without a contract its type has none."""
    fields = b"EIP712Domain(string name,string version,uint256 chainId"
    fields += b",address verifyingContract)" if contract else b")"
    parts = [keccak(fields), keccak(name.encode()), keccak(version.encode()), word(chain_id)]
    return keccak(b"".join([*parts, *([_address(contract)] if contract else [])]))


def _digest(domain_hash: bytes, struct_hash: bytes) -> bytes:
    return keccak(b"\x19\x01" + domain_hash + struct_hash)


def order_digest(order: OrderMessage, chain_id: int, contract: str, version: str = ORDER_VERSION) -> bytes:
    """What is signed, and the order's hash by which the venue names it.

    Raises:
        ValueError, BadSignature: a field that is none. SigningUnavailable.
    """
    words = [
        keccak(ORDER_TYPE),
        word(order.salt),
        _address(order.maker),
        _address(order.signer),
        word(order.token_id),
        word(order.maker_amount),
        word(order.taker_amount),
        word(order.side),
        word(order.signature_type),
        word(order.timestamp),
        word_of_hex(order.metadata),
        word_of_hex(order.builder),
    ]
    return _digest(domain(ORDER_NAME, version, chain_id, contract), keccak(b"".join(words)))


def auth_digest(address: str, timestamp: str, nonce: int, chain_id: int) -> bytes:
    """What proves that a wallet is one's own. Raises as `order_digest`."""
    words = [
        keccak(AUTH_TYPE),
        _address(address),
        keccak(timestamp.encode()),
        word(nonce),
        keccak(AUTH_TEXT.encode()),
    ]
    return _digest(domain(AUTH_NAME, AUTH_VERSION, chain_id), keccak(b"".join(words)))
