"""Which wallet acts for which account, and the keys of wallets that a local venue made itself."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from tradewind.gateways.keys import OTHERS, KeyFileError
from tradewind.venues.polymarket import wallet as wallets
from tradewind.venues.polymarket.wallet import BadSignature, Wallet, address_bytes

MAX_WALLETS: Final = 1_000
MAX_FILE_BYTES: Final = 1 << 20


class WalletOf(msgspec.Struct, frozen=True, kw_only=True):
    """A wallet of an account. `funder` is the contract that holds its money (signature types 1 and 2)."""

    address: str
    account: str
    funder: str = ""


class WalletBook:
    """Wallets by address, in any case of their letters."""

    def __init__(self, rows: Iterable[WalletOf]) -> None:
        """
        Raises:
            ValueError: two rows with one address, too many, or an address that is none.
        """
        self._by_address: dict[bytes, WalletOf] = {}
        for row in rows:
            try:
                raw = address_bytes(row.address)
            except BadSignature:
                raise ValueError("a wallet's address is 0x and 40 digits") from None
            if raw in self._by_address or len(self._by_address) >= MAX_WALLETS:
                raise ValueError("a wallet is named once, and there are at most 1000")
            self._by_address[raw] = row

    def find(self, address: str) -> WalletOf | None:
        """The wallet of an address; None for a stranger's or for text that is no address."""
        try:
            return self._by_address.get(address_bytes(address))
        except BadSignature:
            return None

    def of_account(self, account: str) -> WalletOf | None:
        """The first wallet of an account."""
        return next((one for one in self._by_address.values() if one.account == account), None)


def same_address(one: str, other: str) -> bool:
    """Whether two texts are the same address."""
    try:
        return address_bytes(one) == address_bytes(other)
    except BadSignature:
        return False


def made_wallets(path: Path, accounts: Iterable[str]) -> Mapping[str, Wallet]:
    """Wallets of accounts from a file that only its owner can read; those that are missing are made.

    Raises:
        KeyFileError: the file is damaged, or others may read it. SigningUnavailable. OSError.
    """
    wallets.require()
    held: dict[str, str] = _read(path)
    missing = [name for name in accounts if name not in held]
    if missing:
        held = {**held, **{name: secrets.token_hex(32) for name in missing}}
        _write(path, held)
    return {name: Wallet.from_text(text) for name, text in held.items()}


def _read(path: Path) -> dict[str, str]:
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        return {}
    if mode & OTHERS:
        raise KeyFileError("KEYS_EXPOSED", f"{path} has mode {mode:04o}; others may read it: chmod 600 it")
    with path.open("rb") as file:
        content = file.read(MAX_FILE_BYTES)
    try:
        return msgspec.json.decode(content, type=dict[str, str])
    except msgspec.DecodeError:
        raise KeyFileError("KEYS_DAMAGED", f"{path} does not hold wallets") from None


def _write(path: Path, held: Mapping[str, str]) -> None:
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.encode(held))
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
