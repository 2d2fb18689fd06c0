"""A venue key in a file that only its owner can read: lines `API_KEY=…` and `API_SECRET=…`.

It is the form of `client.env`, which a local venue writes; other lines and comments are left alone.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

import msgspec

MAX_BYTES: Final = 64 << 10
OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


class CredentialsError(Exception):
    """The file cannot be used; never with what it holds. `code`: CREDENTIALS_EXPOSED, CREDENTIALS_MISSING."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class KeyPair(msgspec.Struct, frozen=True):
    """Key and secret as the venue hands them out. Never printed."""

    key: str
    secret: str

    def __repr__(self) -> str:
        return "KeyPair(…)"


def read_credentials(path: Path) -> KeyPair:
    """The first key of the file.

    Raises:
        CredentialsError: others may read it, or a line is missing. OSError: it cannot be read.
    """
    with path.open("rb") as file:
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        if mode & OTHERS:
            raise CredentialsError("CREDENTIALS_EXPOSED", f"{path} has mode {mode:04o}: chmod 600 it")
        text = file.read(MAX_BYTES).decode("utf-8", "replace")
    found: dict[str, str] = {}
    for line in text.splitlines():
        name, equals, value = line.strip().partition("=")
        if equals and not name.startswith("#"):
            found.setdefault(name.strip(), value.strip())
    if not (found.get("API_KEY") and found.get("API_SECRET")):
        raise CredentialsError("CREDENTIALS_MISSING", f"{path} has no API_KEY or no API_SECRET")
    return KeyPair(found["API_KEY"], found["API_SECRET"])
