"""Who acts in a paper or simulated installation: key pairs made once in `DATA/keys`, readable by their
owner only.

The engine knows principals by their public keys, and prices must be signed by their source: a running
platform reads the private halves of its local price sources only. Those of the other identities lie beside
them for the day on which every command must carry a signature. Nothing here can sign for an outside venue.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tradewind.core.enums import Role
from tradewind.security.attesting import Signer
from tradewind.security.keyfiles import read_private_key

KEY_DIRECTORY: Final = "keys"
PRIVATE_MODE: Final = 0o600
DIRECTORY_MODE: Final = 0o700
YEAR_NS: Final = 365 * 86_400 * 1_000_000_000
NEVER_NS: Final = 2**63 - 1
KEY_BYTES: Final = 32
MAX_IDENTITIES: Final = 1_000
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,31}")

# One person per power: EMERGENCY excludes RESUMER, SYSTEM excludes every human role (protocol P14.2).
# Role administrators may pass on only what they hold themselves (P14.3), hence TRADER and LIQUIDITY_PROVIDER.
ROLES: Final[dict[str, tuple[Role, ...]]] = {
    "system": (Role.SYSTEM,),
    "mirror_maker": (Role.SYSTEM,),
    "mirror_taker": (Role.SYSTEM,),
    "operator": (Role.OPERATOR,),
    "risk": (Role.RISK,),
    "emergency": (Role.EMERGENCY,),
    "resumer_1": (Role.RESUMER,),
    "resumer_2": (Role.RESUMER,),
    "role_admin_1": (Role.ROLE_ADMIN, Role.TRADER, Role.LIQUIDITY_PROVIDER, Role.DARK_TRADER),
    "role_admin_2": (Role.ROLE_ADMIN, Role.TRADER, Role.LIQUIDITY_PROVIDER, Role.DARK_TRADER),
    "trader": (Role.TRADER,),
    "emergency_2": (Role.EMERGENCY,),
    "governor": (Role.GOVERNOR,),
    "approver_1": (Role.APPROVER,),
    "approver_2": (Role.APPROVER,),
    "approver_3": (Role.APPROVER,),
    "oracle_1": (Role.ORACLE,),
    "oracle_2": (Role.ORACLE,),
    "oracle_3": (Role.ORACLE,),
    "keeper_1": (Role.KEEPER,),
    "keeper_2": (Role.KEEPER,),
    "operator_2": (Role.OPERATOR,),
    "treasurer": (Role.TREASURER,),
    "arbiter": (Role.ARBITER,),
    "arbiter_2": (Role.ARBITER,),
    "arbiter_3": (Role.ARBITER,),
    "arbiter_4": (Role.ARBITER,),
    "arbiter_5": (Role.ARBITER,),
}


class IdentityError(Exception):
    """A key is missing, damaged, readable by others, or has an impossible name. `code` is stable."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Identities:
    """Public keys by name."""

    directory: Path
    public: dict[str, bytes]

    def key(self, name: str) -> bytes:
        """The public key of an identity. Raises `IdentityError`."""
        known = self.public.get(normal_name(name))
        if known is None:
            raise IdentityError(
                "UNKNOWN_IDENTITY", f"no identity {name!r}; known: {', '.join(sorted(self.public))}"
            )
        return known

    def name_of(self, key: bytes) -> str | None:
        """The name behind a public key, None for strangers."""
        return next((name for name, known in self.public.items() if known == key), None)

    def grants(self, now_ns: int) -> list[tuple[bytes, int, int]]:
        """Genesis grants (principal, role number, expiry ns): a year, as for every grant (P14.3).

        SYSTEM has no end: it is the sequencer itself, nobody may grant it anew, and a shard whose sequencer
        lost its role on an anniversary could not even finish a continuation.
        """
        return [
            (self.public[name], int(role), NEVER_NS if role is Role.SYSTEM else now_ns + YEAR_NS)
            for name, roles in ROLES.items()
            for role in roles
        ]

    def check_against(self, granted: Iterable[tuple[bytes, int]]) -> None:
        """Whether these are the keys with which the log began: (principal, role number) of its genesis.

        Raises:
            IdentityError: KEY_MISMATCH, when the keys were replaced or belong to another installation.
        """
        known = set(granted)
        strangers = [
            name
            for name, roles in ROLES.items()
            if not any((self.public[name], int(one)) in known for one in roles)
        ]
        if strangers:
            raise IdentityError(
                "KEY_MISMATCH",
                f"{self.directory} holds other keys than the log was started with "
                f"({', '.join(strangers)}); restore the folder that belongs to this journal",
            )

    def private_path(self, name: str) -> Path:
        """The file with the private half of an identity. Raises `IdentityError` for an impossible name."""
        return self.directory / f"{normal_name(name)}.key"

    def signer(self, name: str) -> Signer:
        """The key with which a local source signs. Raises `KeyFileError`, `IdentityError`."""
        return Signer(read_private_key(self.private_path(name)))

    def create(self, name: str) -> bytes:
        """Makes a new key pair on disk and returns the public key. Raises `IdentityError` when the name is
        taken.
        """
        plain = normal_name(name)
        if plain in self.public:
            raise IdentityError("ALREADY_EXISTS", f"identity {plain} exists already")
        if len(self.public) >= MAX_IDENTITIES:
            raise IdentityError("CAPACITY_EXCEEDED", f"{MAX_IDENTITIES} identities exist already")
        self.public[plain] = _make_pair(self.directory, plain)
        return self.public[plain]


def normal_name(name: str) -> str:
    """Lower case with underscores. Raises `IdentityError` for anything that could leave the key directory."""
    plain = name.strip().lower().replace("-", "_")
    if not _NAME.fullmatch(plain):
        raise IdentityError("BAD_NAME", f"{name!r} is not a name of letters, digits and dashes")
    return plain


def open_identities(data: Path) -> Identities:
    """The identities of a data directory; the standard ones are made when they are missing.

    Raises `IdentityError` when a key is damaged or others may read it.
    """
    directory = data / KEY_DIRECTORY
    directory.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
    public = {path.stem: _read_public(path) for path in sorted(directory.glob("*.pub"))[:MAX_IDENTITIES]}
    for name in ROLES:
        if name not in public:
            if (directory / f"{name}.key").exists():
                raise IdentityError("KEY_DAMAGED", f"{directory / name}.key has no public half beside it")
            public[name] = _make_pair(directory, name)
    for name in public:
        _check_private(directory / f"{name}.key")
    return Identities(directory, public)


def _make_pair(directory: Path, name: str) -> bytes:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    private = Ed25519PrivateKey.generate()
    public = private.public_key().public_bytes_raw()
    write_private(directory / f"{name}.key", private.private_bytes_raw().hex())
    # The public half comes last: a crash in between leaves a private half that the next start reports.
    write_private(directory / f"{name}.pub", public.hex())
    return public


def write_private(path: Path, text: str) -> None:
    """A new file that only its owner can read, durable before this returns. Raises `FileExistsError`."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_MODE)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())


def _read_public(path: Path) -> bytes:
    try:
        key = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except (OSError, ValueError) as error:
        raise IdentityError("KEY_DAMAGED", f"{path} is not a public key: {error}") from error
    if len(key) != KEY_BYTES:
        raise IdentityError("KEY_DAMAGED", f"{path} holds {len(key)} bytes, a public key has {KEY_BYTES}")
    return key


def _check_private(path: Path) -> None:
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        raise IdentityError("KEY_DAMAGED", f"{path} is missing beside its public half") from None
    if mode & 0o077:
        raise IdentityError(
            "KEY_EXPOSED", f"{path} has mode {mode:04o}; others may read it: chmod 600 it and rotate"
        )
