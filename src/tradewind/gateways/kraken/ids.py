"""Kraken's ids: a letter, then 5-5-6 characters. They are the exchange's own numbers, reversibly disguised.

An id carries 80 bits: 64 of a number and 16 that prove its kind, so an invented or mistyped id is seen at
once and an order id is never taken for a trade id. Nothing is stored.
"""

from __future__ import annotations

from typing import Final
from zlib import crc32

ALPHABET: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
ORDER, TRADE, LEDGER, AMENDMENT = "O", "T", "L", "TA"
"""Kinds. An amendment begins with T as well, as at the venue, but proves another kind."""

CHARACTERS: Final = 16
DASHES: Final = (6, 12)
LENGTH: Final = 1 + CHARACTERS + len(DASHES)
MASK: Final = (1 << 64) - 1
MULTIPLIERS: Final = (0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
INVERSES: Final = tuple(pow(one, -1, 1 << 64) for one in MULTIPLIERS)
VALUES: Final = {character: value for value, character in enumerate(ALPHABET)}


def _mix(number: int) -> int:
    """A bijection of 64-bit numbers that spreads neighbours apart."""
    for multiplier in MULTIPLIERS:
        number ^= number >> 32
        number = number * multiplier & MASK
    return number ^ number >> 32


def _unmix(number: int) -> int:
    for inverse in reversed(INVERSES):
        number ^= number >> 32
        number = number * inverse & MASK
    return number ^ number >> 32


def _proof(kind: str, number: int) -> int:
    return crc32(f"{kind}{number}".encode()) & 0xFFFF


def encode(kind: str, number: int) -> str:
    """The id of a number in [0, 2^64). Raises `ValueError` outside of it."""
    if not 0 <= number <= MASK:
        raise ValueError(f"{number} is not a 64-bit number")
    bits = _mix(number) << 16 | _proof(kind, number)
    text = "".join(ALPHABET[bits >> 5 * place & 31] for place in range(CHARACTERS - 1, -1, -1))
    return f"{kind[0]}{text[:5]}-{text[5:10]}-{text[10:]}"


def decode(kind: str, text: str) -> int | None:
    """The number of an id of this kind; None for anything else."""
    if len(text) != LENGTH or text[0] != kind[0] or any(text[place] != "-" for place in DASHES):
        return None
    bits = 0
    for character in text[1:].replace("-", ""):
        value = VALUES.get(character)
        if value is None:
            return None
        bits = bits << 5 | value
    if bits >> 80:
        return None
    number = _unmix(bits >> 16)
    return number if bits & 0xFFFF == _proof(kind, number) else None


def order_id(number: int) -> str:
    """O5-5-6 of an order of the exchange."""
    return encode(ORDER, number)


def order_number(text: str) -> int | None:
    """The order of an O5-5-6 id."""
    return decode(ORDER, text)


def trade_id(fill_number: int) -> str:
    """T5-5-6 of a fill: Kraken's `exec_id` and the key of a trade."""
    return encode(TRADE, fill_number)


def trade_number(text: str) -> int | None:
    """The fill of a T5-5-6 id."""
    return decode(TRADE, text)


def ledger_id(fill_number: int, quote: bool) -> str:
    """L5-5-6 of one of the two entries of a fill."""
    return encode(LEDGER, fill_number * 2 + int(quote))


def ledger_number(text: str) -> tuple[int, bool] | None:
    """The fill of a ledger entry, and whether it is the one of the quote asset."""
    number = decode(LEDGER, text)
    return None if number is None else (number // 2, bool(number % 2))


def amendment_id(order_number_: int, at_ns: int) -> str:
    """T5-5-6 of a change of an order. Only a name: the venue has no call that takes it."""
    return encode(AMENDMENT, (order_number_ * 0x9E3779B97F4A7C15 ^ at_ns) & MASK)
