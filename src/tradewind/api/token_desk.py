"""The desk of the platform's token: stakes, rewards, vesting, seasons. One record in the log per command.

Every method raises `ApiFailure` and changes nothing when it does.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import Any, Final

from tradewind.api.desk import SECOND_NS, Desk
from tradewind.api.desk_base import Done, client_key
from tradewind.api.exchange_desk import inner_command
from tradewind.api.numbers import parse_amount
from tradewind.api.problems import ApiFailure
from tradewind.api.requests import Number, Request
from tradewind.api.route import CommandRoute, Handler
from tradewind.core import commands as build
from tradewind.node.projections.token import POOLS

LOCKS_S: Final = {0: 0, 30: 2_592_000, 90: 7_776_000}
"""Seconds of the locks by their days (P11.5)."""


class StakeToken(Request, kw_only=True):
    """Stakes an amount of the token for 0, 30 or 90 days."""

    account: str
    amount: Number
    lock_days: int = 0


class UnstakeToken(Request, kw_only=True):
    """Takes a stake back whose lock is over; what waits for it is paid out."""

    account: str
    lot: int


class ClaimRewards(Request, kw_only=True):
    """Takes the rewards of one stake, or of all."""

    account: str
    lot: int = 0


class ClaimVested(Request, kw_only=True):
    """Takes what has vested of a schedule."""

    account: str
    schedule: int


class Governed(Request, kw_only=True):
    """A decision that may need approvals: `propose` makes it a proposal of the governor."""

    propose: bool = False


class RevokeVesting(Governed, kw_only=True):
    """Ends a schedule; only through a proposal."""

    schedule: int


class AllocateVesting(Governed, kw_only=True):
    """Gives locked tokens of a pool to an account. `start_s`: Unix seconds, absent = now."""

    account: str
    pool: str
    amount: Number
    start_s: int | None = None


class OpenSeason(Governed, kw_only=True):
    """Opens the next season with a budget."""

    season: int
    budget: Number


class SettleSeason(Request, kw_only=True):
    """Ends a season whose time is over."""

    season: int


class TokenDesk:
    """Builds and submits the commands of the token."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def _send(self, name: str, one: Request, **fields: Any) -> Done:
        return await self._desk._send(
            name, functools.partial(build.build, name), client_key=client_key(one), **fields
        )

    async def _decide(self, name: str, one: Governed, **fields: Any) -> Done:
        """Sends a command of the treasurer, or proposes it."""
        if not one.propose:
            return await self._send(name, one, principal=self._desk._actor(one, "treasurer"), **fields)
        kind, op, payload = inner_command(name, fields)
        return await self._send(
            "ProposeAction",
            one,
            principal=self._desk._actor(one, "governor"),
            action_kind=kind,
            action_op=op,
            config_version=self._desk.views.governance.config_version,
            payload=payload,
        )

    def _owner(self, name: str) -> dict[str, bytes]:
        account = self._desk.account(name)
        return {"principal": account.owner_key, "account": account.account_id}

    async def stake(self, one: StakeToken) -> Done:
        """A new lot; the account's owner."""
        lock_s = LOCKS_S.get(one.lock_days)
        if lock_s is None:
            raise ApiFailure(422, "INVALID_LOCK", f"a lock is 0, 30 or 90 days, not {one.lock_days}")
        amount = parse_amount(one.amount)
        return await self._send("StakeToken", one, **self._owner(one.account), amount=amount, lock_s=lock_s)

    async def unstake(self, one: UnstakeToken) -> Done:
        """The owner."""
        return await self._send("UnstakeToken", one, **self._owner(one.account), lot=one.lot)

    async def claim(self, one: ClaimRewards) -> Done:
        """The owner."""
        return await self._send("ClaimRewards", one, **self._owner(one.account), lot=one.lot)

    async def claim_vested(self, one: ClaimVested) -> Done:
        """The beneficiary."""
        return await self._send("ClaimVested", one, **self._owner(one.account), schedule=one.schedule)

    async def revoke(self, one: RevokeVesting) -> Done:
        """Without `propose` refused with APPROVALS_MISSING."""
        return await self._decide("RevokeVesting", one, schedule=one.schedule)

    async def allocate(self, one: AllocateVesting) -> Done:
        """TREASURER before the first season, afterwards a proposal."""
        names = [pool.name for pool in POOLS]
        if one.pool not in names:
            raise ApiFailure(
                422, "PARAMETER_OUT_OF_BOUNDS", f"pools are {', '.join(names)}, not {one.pool!r}"
            )
        return await self._decide(
            "AllocateVesting",
            one,
            beneficiary=self._desk.account(one.account).account_id,
            pool=names.index(one.pool),
            amount=parse_amount(one.amount),
            start_ns=0 if one.start_s is None else one.start_s * SECOND_NS,
        )

    async def open_season(self, one: OpenSeason) -> Done:
        """The first one TREASURER; later ones through a proposal."""
        return await self._decide("OpenSeason", one, season=one.season, budget=parse_amount(one.budget))

    async def settle_season(self, one: SettleSeason) -> Done:
        """SYSTEM; the platform's own clock does it when nobody asks."""
        return await self._send(
            "SettleSeason", one, principal=self._desk._actor(one, "system"), season=one.season
        )


def _plain(method: Callable[[Any], Awaitable[Done]]) -> Handler:
    return lambda _, body: method(body)


def token_commands(desk: TokenDesk) -> list[CommandRoute]:
    """Path, body, handler and summary of every command of the token."""
    rows: list[tuple[str, Any, Any, str]] = [
        ("/token/stake", StakeToken, desk.stake, "Stake the token"),
        ("/token/unstake", UnstakeToken, desk.unstake, "Take a stake back"),
        ("/token/claim", ClaimRewards, desk.claim, "Take rewards of stakes"),
        ("/token/vesting/claim", ClaimVested, desk.claim_vested, "Take what has vested"),
        ("/token/vesting/revoke", RevokeVesting, desk.revoke, "End a schedule"),
        ("/token/vesting", AllocateVesting, desk.allocate, "Give locked tokens of a pool"),
        ("/token/seasons", OpenSeason, desk.open_season, "Open a season"),
        ("/token/seasons/settle", SettleSeason, desk.settle_season, "Settle a season"),
    ]
    return [CommandRoute(path, body, _plain(method), summary) for path, body, method, summary in rows]
