"""The bearer tokens of the local API: made at the first start, compared in constant time, never logged.

`api.token` may do everything, `api.trade.token` trade and cancel, `api.read.token` read.
"""

from __future__ import annotations

import hmac
import re
import secrets
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tradewind.api.identities import IdentityError, write_private
from tradewind.api.permissions import EVERYTHING, READ_ONLY, TRADING, Permission

TOKEN_FILE: Final = "api.token"  # noqa: S105 a file name
SCOPED_FILES: Final[Mapping[str, frozenset[Permission]]] = {
    TOKEN_FILE: EVERYTHING,
    "api.trade.token": TRADING,
    "api.read.token": READ_ONLY,
}
TOKEN_BYTES: Final = 32
MAX_HEADER_BYTES: Final = 512
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{32,256}")


class Tokens:
    """Tokens and what each may do."""

    def __init__(self, scopes: Mapping[str, frozenset[Permission]]) -> None:
        self._scopes = {token.encode(): granted for token, granted in scopes.items()}

    def granted(self, header: str | None) -> frozenset[Permission] | None:
        """What an `Authorization` header may do; None: it carries no token of ours."""
        if header is None or len(header) > MAX_HEADER_BYTES:
            return None
        scheme, _, given = header.partition(" ")
        if scheme.lower() != "bearer":
            return None
        found: frozenset[Permission] | None = None
        for token, scopes in self._scopes.items():
            # Every token is compared, so that the time tells nothing about which one it was.
            if hmac.compare_digest(given.strip().encode(), token):
                found = scopes
        return found


def open_tokens(data: Path) -> Tokens:
    """The tokens of a data directory, made when missing. Raises `IdentityError` when others may read one."""
    return Tokens({open_token(data, name): scopes for name, scopes in SCOPED_FILES.items()})


def open_token(data: Path, name: str = TOKEN_FILE) -> str:
    """One token of a data directory, made when missing. Raises `IdentityError` when others may read it."""
    path = data / name
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
