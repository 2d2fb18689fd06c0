"""Deterministic client order ids (T7.3)."""

from __future__ import annotations

import hashlib

PREFIX = "tw"
ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
"""Crockford base32, lower case."""
ID_BITS = 80
ID_CHARACTERS = len(PREFIX) + ID_BITS // 5
_PAIRS = [first + second for first in ALPHABET for second in ALPHABET]
_SHIFTS = range(ID_BITS - 10, -1, -10)


def client_order_id(
    *, environment: str, account: str, strategy: str, intent_seq: int, leg: int = 0, attempt: int = 0
) -> str:
    """`tw` and the first 80 bits of BLAKE2b-128 over the order's identity, as 18 characters `[0-9a-z]`.

    Raises `ValueError` when a part contains the separator or a number does not fit its width.
    """
    for part in (environment, account, strategy):
        if "|" in part or not part:
            raise ValueError(f"identity part {part!r} is empty or contains '|'")
    if not (0 <= intent_seq < 1 << 64 and 0 <= leg < 1 << 16 and 0 <= attempt < 1 << 16):
        raise ValueError(f"intent {intent_seq}, leg {leg} or attempt {attempt} does not fit u64, u16, u16")
    text = "|".join((environment, account, strategy)).encode() + b"|"
    numbers = (
        intent_seq.to_bytes(8, "little")
        + b"|"
        + leg.to_bytes(2, "little")
        + b"|"
        + attempt.to_bytes(2, "little")
    )
    digest = hashlib.blake2b(text + numbers, digest_size=16).digest()
    bits = int.from_bytes(digest[: ID_BITS // 8], "big")
    return PREFIX + "".join([_PAIRS[(bits >> shift) & 1_023] for shift in _SHIFTS])
