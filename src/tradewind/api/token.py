"""The bearer token of the local API: made at the first start, compared in constant time, never logged."""

from __future__ import annotations

import hmac
import re
import secrets
import stat
from pathlib import Path
from typing import Final

from tradewind.api.identities import IdentityError, write_private

TOKEN_FILE: Final = "api.token"  # noqa: S105 a file name
TOKEN_BYTES: Final = 32
MAX_HEADER_BYTES: Final = 512
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{32,256}")


def open_token(data: Path) -> str:
    """The token of a data directory, made when missing. Raises `IdentityError` when others may read it."""
    path = data / TOKEN_FILE
    if not path.exists():
        write_private(path, secrets.token_urlsafe(TOKEN_BYTES))
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise IdentityError(
            "KEY_EXPOSED", f"{path} has mode {mode:04o}; others may read it: delete it and restart"
        )
    token = path.read_bytes().decode("ascii", "replace").strip()
    if not _TOKEN.fullmatch(token):
        raise IdentityError("KEY_DAMAGED", f"{path} holds no token; delete it and restart")
    return token


def authorised(header: str | None, token: str) -> bool:
    """Whether an `Authorization` header carries the token."""
    if header is None or len(header) > MAX_HEADER_BYTES:
        return False
    scheme, _, given = header.partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), token.encode())
