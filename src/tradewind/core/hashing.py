"""The hash of the journal and of derived ids, and the names behind command numbers."""

from __future__ import annotations

from tradewind import _core


def blake3(data: bytes) -> bytes:
    """BLAKE3-256."""
    return _core.blake3(data)


def account_id(owner_key: bytes) -> bytes:
    """Id of the account that belongs to a public key of 32 bytes (protocol P1.3.1)."""
    return _core.derive_account_id(owner_key)


def command_names() -> dict[tuple[int, int], tuple[str, str]]:
    """(kind, op) → name of the command and of its payload record."""
    return {(kind, op): (name, payload) for name, (kind, op, payload) in _core.command_kinds().items()}


def native_tables() -> dict[str, object]:
    """What the compiled module knows: codes of events, number of errors. It must match the generated Python
    types.
    """
    events = {name: code for name, (code, _) in _core.event_kinds().items()}
    return {"events": events, "errors": len(_core.error_catalogue())}
