"""BLAKE3 and record identifiers, the two primitives everything here is named by."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from pathlib import Path

from blake3 import blake3

CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
ULID_LENGTH = 26
ULID_RANDOM_BITS = 80
NS_PER_MS = 1_000_000


def hash_bytes(data: bytes) -> str:
    """BLAKE3 of ``data`` as 64 hexadecimal digits."""
    return blake3(data).hexdigest()


def hash_file(path: Path) -> str:
    """BLAKE3 of a file's bytes, read through a memory map. Raises OSError."""
    return blake3().update_mmap(path).hexdigest()


def hash_named(parts: Iterable[tuple[str, str]]) -> str:
    """BLAKE3 over the sorted list of (name, hash); names and hashes cannot run into each other."""
    digest = blake3()
    for name, value in sorted(parts):
        digest.update(f"{len(name)}:{name}={value}\n".encode())
    return digest.hexdigest()


def new_ulid(time_ns: int) -> str:
    """A new identifier which sorts by ``time_ns`` (milliseconds) and is otherwise random.

    >>> len(new_ulid(1_700_000_000_000_000_000))
    26
    """
    number = ((time_ns // NS_PER_MS) << ULID_RANDOM_BITS) | secrets.randbits(ULID_RANDOM_BITS)
    digits = [CROCKFORD[(number >> shift) & 31] for shift in range(125, -1, -5)]
    return "".join(digits)


def is_ulid(text: str) -> bool:
    """True for 26 Crockford base-32 digits; everything else is not a record name."""
    return len(text) == ULID_LENGTH and all(letter in CROCKFORD for letter in text)
