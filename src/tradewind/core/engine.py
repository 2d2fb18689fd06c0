"""The engine in memory, for tests, back-tests and simulation: no journal, no clock."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from tradewind import _core
from tradewind.core.enums import Role
from tradewind.core.events import Result, decode_results

RULES_VERSION = 2


class Grant(msgspec.Struct, frozen=True):
    """A role that exists from the start: public key (32 bytes), role, expiry in ns since the Unix epoch."""

    principal: bytes
    role: int
    expiry_ns: int


class GenesisConfig(msgspec.Struct, frozen=True):
    """What exists before the first command."""

    time_ns: int
    grants: Sequence[Grant]
    shard: int = 0
    rules_version: int = RULES_VERSION

    def encode(self) -> bytes:
        """The bytes from which journal and engine start.

        Raises:
            InvalidGenesis: no SYSTEM principal, conflicting roles, a key that is not 32 bytes.
        """
        grants = [(grant.principal, int(grant.role), grant.expiry_ns) for grant in self.grants]
        return _core.encode_genesis(self.shard, self.rules_version, self.time_ns, grants)

    @classmethod
    def decode(cls, genesis: bytes) -> GenesisConfig:
        """
        Raises:
            InvalidGenesis: the bytes are no genesis configuration.
        """
        shard, rules_version, time_ns, grants = _core.decode_genesis(genesis)
        return cls(
            time_ns, [Grant(bytes(key), role, expiry) for key, role, expiry in grants], shard, rules_version
        )

    def principals(self, role: Role) -> list[bytes]:
        """Public keys that hold a role."""
        return [grant.principal for grant in self.grants if grant.role == role]


class Engine:
    """A thin front of the Rust engine.

    >>> engine = Engine(genesis)                                    # doctest: +SKIP
    >>> [result] = engine.submit([place_order(...)], now_ns=1)      # doctest: +SKIP
    """

    def __init__(self, genesis: GenesisConfig, *, reference_book: bool = False, audit: bool = True) -> None:
        """
        Raises:
            InvalidGenesis: see `GenesisConfig.encode`.
        """
        self.core = _core.Engine(genesis.encode(), reference_book=reference_book, audit=audit)

    def apply(self, commands: Iterable[bytes], now_ns: int) -> _core.Batch:
        """Applies commands as one batch.

        Raises:
            MalformedFrame: the bytes are no whole commands; nothing is applied.
            InvariantBroken: the auditor or the engine found a broken invariant; the engine is dead.
        """
        return self.core.apply(b"".join(commands), now_ns)

    def submit(self, commands: Iterable[bytes], now_ns: int) -> list[Result]:
        """Applies commands and returns their results in order. Raises as `apply`."""
        return decode_results(self.apply(commands, now_ns).input_results())
