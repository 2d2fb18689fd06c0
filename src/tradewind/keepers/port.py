"""What a worker needs of a platform, in the same process or over its API: duties in, commands out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

import msgspec

from tradewind.core.hashing import blake3

KEY_CHARACTERS: Final = 16
MAX_DUTIES: Final = 1_000
"""Liquidations that a worker looks at in one round, the first ones in the engine's order."""

LIQUIDATE, TRIGGER, INGEST, CRANK, GENERAL = 1, 2, 4, 8, 16
ACTION_LIQUIDATE, ACTION_CRANK = 1, 4


class PortUnavailable(Exception):
    """The platform does not answer now; whether the last command had its effect is unknown."""


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Who acts: the local name, its public key, and for keepers the id of its account (else 32 zeros)."""

    name: str
    principal: bytes
    account: bytes = bytes(32)


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """A keeper's record now. `registered` false: it was never registered, or it was removed."""

    registered: bool
    capabilities: int = 0
    suspended: bool = False

    def may(self, capability: int) -> bool:
        """Whether the record carries a capability; GENERAL carries all of them."""
        return bool(self.capabilities & (capability | GENERAL))


class LiquidationDue(msgspec.Struct, frozen=True, kw_only=True):
    """A sub-account that may be liquidated from `open_ns` on."""

    target: str
    """Id of the account, 64 hexadecimal digits."""
    sub: int
    market: int
    ratio_ppm: int
    since_ns: int
    open_ns: int


class FundingDue(msgspec.Struct, frozen=True, kw_only=True):
    """A market whose hour ended at `due_ns`."""

    market: int
    due_ns: int


class Suspects(msgspec.Struct, frozen=True, kw_only=True):
    """Orders whose price or time has come although they still wait: a part of a round over all that wait."""

    checked: int = 0
    next_start: int = 0
    """Where the next part begins; 0 after the last one."""
    orders: tuple[int, ...] = ()


class Duties(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is due for one keeper, liquidations in the engine's order."""

    now_ns: int
    standing: Standing
    liquidations: tuple[LiquidationDue, ...] = ()
    funding: tuple[FundingDue, ...] = ()
    next_funding_ns: int = 0


class SourceDuty(msgspec.Struct, frozen=True, kw_only=True):
    """A feed that has the identity as a source, and what it published last."""

    feed: int
    symbol: str
    interval_ms: int
    probability: bool
    source_time_ns: int
    source_seq: int


class SourceDuties(msgspec.Struct, frozen=True, kw_only=True):
    """The feeds of one source; `settlement` is the symbol of the asset that prices are in, "" without one,
    `deployment` what publications are signed for (64 hexadecimal digits).
    """

    now_ns: int
    settlement: str
    deployment: str
    feeds: tuple[SourceDuty, ...] = ()


class VenueLink(msgspec.Struct, frozen=True, kw_only=True):
    """A market that shows what a venue trades under a condition (32 bytes)."""

    market: int
    condition: bytes
    outcomes: int


class VenueLinks(msgspec.Struct, frozen=True, kw_only=True):
    """The markets that one source publishes quotes for."""

    now_ns: int
    links: tuple[VenueLink, ...] = ()


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """A command: its name, its fields as integers and bytes, and its idempotency key."""

    command: str
    fields: dict[str, int | bytes]
    key: str
    attestation: bytes = b""
    """The source's signature over a publication; empty for everything else."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """The answer. `code` is the name of the refusal, empty when accepted."""

    accepted: bool
    duplicate: bool = False
    code: str = ""
    bound: int = 0
    given: int = 0
    value: int = 0
    """What the command gave."""


class Port(Protocol):
    """A platform as workers see it. Every method may raise `PortUnavailable`."""

    def now_ns(self) -> int:
        """The platform's time, as far as it is known here."""
        ...

    async def duties(self, identity: Identity) -> Duties:
        """What is due for a keeper."""
        ...

    async def suspects(self, start: int) -> Suspects:
        """Waiting orders from place `start` on that should have fired or run by now."""
        ...

    async def sources(self, identity: Identity) -> SourceDuties:
        """The feeds that the identity is a source of."""
        ...

    async def send(self, identity: Identity, action: Action) -> Outcome:
        """Sends a command in the identity's name; the answer comes after durability."""
        ...

    async def venue_links(self, identity: Identity) -> VenueLinks:
        """The markets whose venue quotes the identity publishes."""
        ...

    async def send_all(self, identity: Identity, actions: Sequence[Action]) -> list[Outcome]:
        """Sends commands in the identity's name, one behind the other; the answers come in their order."""
        ...

    async def wait(self, timeout_s: float) -> None:
        """Returns when something may have become due, at the latest after the time."""
        ...


def duty_key(*parts: object) -> str:
    """The idempotency key of one attempt at one duty: whoever repeats the attempt sends the same key."""
    return blake3("|".join(map(str, parts)).encode()).hex()[:KEY_CHARACTERS]
