"""API keys of a gateway: who may do what, with which secret."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Right(StrEnum):
    """What a key permits. CANCEL is part of TRADE; a key with CANCEL alone cannot place."""

    READ = "read"
    TRADE = "trade"
    CANCEL = "cancel"


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """One key. `secret` is raw bytes for HMAC, or the 32 bytes of an Ed25519 public key."""

    key: str
    account: str
    secret: bytes
    algorithm: str = "hmac"
    """hmac or ed25519"""
    rights: frozenset[Right] = frozenset({Right.READ, Right.TRADE, Right.CANCEL})
    passphrase: str = ""
    """Polymarket only."""

    def __repr__(self) -> str:
        return f"ApiKey({self.key[:6]}…, account={self.account!r})"
