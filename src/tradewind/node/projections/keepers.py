"""Keepers and slashes as the log shows them. Stakes in micro-units of the staking asset, scores in ppm."""

from __future__ import annotations

import msgspec

from tradewind.core.event_types import (
    KeeperDutyMissed,
    KeeperIdle,
    KeeperRegistered,
    KeeperReinstated,
    KeeperRemoved,
    KeeperReviewed,
    KeeperRewarded,
    KeeperScored,
    KeeperStakeChanged,
    KeeperSuspended,
    SlashAppealed,
    SlashConfirmed,
    SlashLapsed,
    SlashOpened,
    SlashReversed,
    SlashSigned,
)
from tradewind.core.events import Event

STATES = ("removed", "active", "suspended")
"""Names of a keeper's states, as the engine numbers them."""
ACTIVE, SUSPENDED = 1, 2
FRESH_SCORE_PPM = 900_000


class Keeper(msgspec.Struct):
    """One keeper: capabilities as bits, its stake and how well it did."""

    account: int
    capabilities: int
    bonded: int = 0
    unbonding: int = 0
    ready_ns: int = 0
    score_ppm: int = FRESH_SCORE_PPM
    state: int = ACTIVE
    actions: int = 0
    missed: int = 0
    rewards: int = 0
    last_ns: int = 0
    idle: bool = False

    @property
    def suspended(self) -> bool:
        """Whether its score forbids it to act."""
        return self.state == SUSPENDED


class Slash(msgspec.Struct):
    """A slash as its last event left it."""

    slash: int
    account: int
    amount: int
    ppm: int
    fault: int
    deadline_ns: int
    state: str


class KeepersView:
    """Registered keepers by account, slashes by number."""

    def __init__(self) -> None:
        self.by_account: dict[int, Keeper] = {}
        self.slashes: dict[int, Slash] = {}

    def on_event(self, event: Event) -> None:
        if isinstance(event, _SCORES):
            self._scored(event)
        elif isinstance(event, KeeperRegistered):
            keeper = Keeper(event.account, event.capabilities, bonded=event.bonded, state=event.state)
            self.by_account[event.account] = keeper
        elif isinstance(event, KeeperRemoved):
            self.by_account.pop(event.account, None)
        elif isinstance(event, KeeperStakeChanged):
            self._staked(event)
        elif isinstance(event, KeeperDutyMissed):
            if event.account in self.by_account:
                self.by_account[event.account].missed += 1
        elif isinstance(event, KeeperRewarded):
            if event.account in self.by_account:
                self.by_account[event.account].rewards += event.amount
        elif isinstance(event, _SLASHES):
            state = type(event).__name__.removeprefix("Keeper").removeprefix("Slash").lower()
            self.slashes[event.slash] = Slash(
                event.slash, event.account, event.amount, event.ppm, event.fault, event.deadline_ns, state
            )

    def _scored(
        self, event: KeeperScored | KeeperSuspended | KeeperReinstated | KeeperReviewed | KeeperIdle
    ) -> None:
        keeper = self.by_account.get(event.account)
        if keeper is None:
            return
        keeper.score_ppm, keeper.state, keeper.actions = event.score_ppm, event.state, event.actions
        keeper.idle = isinstance(event, KeeperIdle)
        if isinstance(event, KeeperScored):
            keeper.last_ns = event.time_ns

    def _staked(self, event: KeeperStakeChanged) -> None:
        keeper = self.by_account.get(event.account)
        if keeper is not None:
            keeper.bonded, keeper.unbonding, keeper.ready_ns = event.bonded, event.unbonding, event.ready_ns


_SCORES = (KeeperScored, KeeperSuspended, KeeperReinstated, KeeperReviewed, KeeperIdle)
_SLASHES = (SlashSigned, SlashLapsed, SlashOpened, SlashAppealed, SlashReversed, SlashConfirmed)
