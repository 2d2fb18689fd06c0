"""Private Ed25519 keys in files that only their owner can read. No key is ever given by argument."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

KEY_BYTES: Final = 32
MAX_FILE_BYTES: Final = 256
OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


class KeyFileError(Exception):
    """A key file cannot be used. `code`: KEY_NOT_FOUND, KEY_EXPOSED or KEY_DAMAGED."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def read_private_key(path: Path) -> Ed25519PrivateKey:
    """The private key that `path` holds as 64 hexadecimal digits.

    Raises:
        KeyFileError: the file is missing, readable by others, or no key. What it holds is never repeated.
    """
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & OTHERS:
            raise KeyFileError("KEY_EXPOSED", f"{path} has mode {mode:04o}; others may read it: chmod 600 it")
        with path.open("rb") as file:
            text = file.read(MAX_FILE_BYTES)
    except FileNotFoundError:
        raise KeyFileError("KEY_NOT_FOUND", f"{path} does not exist") from None
    except OSError as error:
        raise KeyFileError("KEY_DAMAGED", f"{path} is not readable: {error.strerror}") from None
    try:
        secret = bytes.fromhex(text.decode("ascii").strip())
    except ValueError:
        secret = b""
    if len(secret) != KEY_BYTES:
        raise KeyFileError("KEY_DAMAGED", f"{path} does not hold {KEY_BYTES} bytes in hexadecimal digits")
    return Ed25519PrivateKey.from_private_bytes(secret)
