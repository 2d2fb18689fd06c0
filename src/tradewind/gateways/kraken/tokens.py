"""WebSocket tokens: who may use the private channels and methods of a connection."""

from __future__ import annotations

import secrets
from typing import Final

import msgspec

LIFETIME_S: Final = 900
LIFETIME_NS: Final = LIFETIME_S * 1_000_000_000
MAX_TOKENS: Final = 16_384
MAX_TOKENS_PER_KEY: Final = 64
"""The oldest of a key's tokens ends when it asks for one more."""


class Token(msgspec.Struct, frozen=True):
    """A token of one key. It does not prove anything on a connection before it was used there in time."""

    key: str
    until_ns: int


class TokenStore:
    """Tokens in force. They die with the process: a client asks for another one and goes on."""

    def __init__(self) -> None:
        self._tokens: dict[str, Token] = {}

    def issue(self, key: str, now_ns: int) -> str:
        """A new token for a key."""
        self._drop(now_ns)
        own = [text for text, token in self._tokens.items() if token.key == key]
        for text in own[: len(own) - MAX_TOKENS_PER_KEY + 1] if len(own) >= MAX_TOKENS_PER_KEY else ():
            del self._tokens[text]
        if len(self._tokens) >= MAX_TOKENS:
            del self._tokens[next(iter(self._tokens))]
        text = secrets.token_urlsafe(32)
        self._tokens[text] = Token(key, now_ns + LIFETIME_NS)
        return text

    def key_of(self, text: str, now_ns: int) -> str | None:
        """The key of a token that is in force."""
        token = self._tokens.get(text)
        return token.key if token is not None and now_ns < token.until_ns else None

    def _drop(self, now_ns: int) -> None:
        for text in [text for text, token in self._tokens.items() if token.until_ns <= now_ns]:
            del self._tokens[text]
