"""Rewards of makers, launch distribution, bootstrap reward over HTTP (P11.4, P8.8, P11.7, P9.11)."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Final

from fastapi import Request as HttpRequest

from tradewind.api.desk import Desk
from tradewind.api.desk_base import Done, client_key
from tradewind.api.numbers import amount_text, parse_amount
from tradewind.api.requests import Number, Request
from tradewind.api.route import CommandRoute
from tradewind.core import commands as build
from tradewind.core.event_types import MakerRewarded

MAX_ROWS: Final = 1_000
SAMPLES: Final = 3_600
"""Samples of an hour, one a second."""


class RewardMarket(Request, kw_only=True):
    """A book enters or leaves the list of those whose makers are rewarded (OPERATOR).

    `outcome` only where a market has three or more.
    """

    market: str
    outcome: int = 0
    rewarded: bool = True


class ClaimMakerRewards(Request, kw_only=True):
    """Takes everything that an account's making has earned, in every asset."""

    account: str


class ClaimBootstrap(Request, kw_only=True):
    """Takes what the deposits of an account into the vault have earned, once the time is over."""

    account: str


class GrantLaunch(Request, kw_only=True):
    """Gives 1 to 100 tokens of the launch distribution to an identity (TREASURER)."""

    account: str
    amount: Number


class RewardDesk:
    """Builds and submits the commands of makers' rewards and of the launch."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def list_book(self, one: RewardMarket) -> Done:
        """OPERATOR."""
        return await self._desk._send(
            "RewardMarket",
            functools.partial(build.build, "RewardMarket"),
            client_key=client_key(one),
            principal=self._desk._actor(one, "operator"),
            market=self._desk.directory.market(one.market).market.market,
            outcome=one.outcome,
            rewarded=int(one.rewarded),
        )

    async def claim(self, one: ClaimMakerRewards) -> Done:
        """The owner."""
        return await self._claim("ClaimMakerRewards", one)

    async def claim_bootstrap(self, one: ClaimBootstrap) -> Done:
        """The owner."""
        return await self._claim("ClaimBootstrap", one)

    async def _claim(self, name: str, one: ClaimMakerRewards | ClaimBootstrap) -> Done:
        account = self._desk.account(one.account)
        return await self._desk._send(
            name,
            functools.partial(build.build, name),
            client_key=client_key(one),
            principal=account.owner_key,
            account=account.account_id,
        )

    async def grant(self, one: GrantLaunch) -> Done:
        """TREASURER; the account has a suitability flag and was not served, nor anybody linked to it."""
        return await self._desk._send(
            "GrantLaunch",
            functools.partial(build.build, "GrantLaunch"),
            client_key=client_key(one),
            principal=self._desk._actor(one, "treasurer"),
            account=self._desk.account(one.account).account_id,
            amount=parse_amount(one.amount),
        )


class RewardReads:
    """Plain documents. Amounts are decimal text."""

    def __init__(self, desk: Desk) -> None:
        self._desk, self._views = desk, desk.views

    def _name(self, account: int) -> str:
        owner = self._views.accounts.by_handle[account].owner_key
        return self._desk.identities.name_of(owner) or str(account)

    def _symbol(self, asset: int) -> str:
        return self._views.assets.by_number[asset].symbol

    def _book(self, market: int, outcome: int) -> str:
        symbol = self._desk.directory.named(market).symbol
        return f"{symbol}/{outcome}" if outcome else symbol

    def _amounts(self, amounts: dict[int, int]) -> dict[str, str]:
        return {self._symbol(asset): amount_text(amount) for asset, amount in amounts.items()}

    def _row(self, one: MakerRewarded) -> dict[str, Any]:
        return {
            "account": self._name(one.account),
            "book": self._book(one.market, one.outcome),
            "uptime": f"{one.seen / SAMPLES:.4f}",
            "mean_depth": amount_text(one.depth // max(one.seen, 1)),
            "volume": amount_text(one.volume),
            "by_score": amount_text(one.by_score),
            "by_volume": amount_text(one.by_volume),
            "fund": amount_text(one.fund),
        }

    def hour(self) -> dict[str, Any]:
        """Rewarded books, and what the last hour gave to whom."""
        view = self._views.makers
        hour = view.hour
        last = (
            None
            if hour is None
            else {
                "ended_ns": hour.hour_ns,
                "budget": amount_text(hour.token_pot),
                "maker_fund": amount_text(hour.fund_pot),
                "volume": amount_text(hour.volume),
                "volume_pct": hour.volume_pct,
                "token_price": amount_text(hour.token_price),
                "makers": [self._row(row) for row in view.rows[:MAX_ROWS]],
            }
        )
        return {
            "books": [self._book(*book) for book in sorted(view.books)],
            "hour": last,
            "claimed": self._amounts(dict(sorted(view.paid.items()))),
        }

    def of_account(self, name: str) -> dict[str, Any]:
        """What an account may claim, and its rows of the last hour."""
        account = self._desk.account(name).account
        view = self._views.makers
        return {
            "account": self._name(account),
            "claimable": self._amounts(view.claimable(account)),
            "hour": [self._row(row) for row in view.rows if row.account == account],
            "launch": amount_text(self._views.launch.grants.get(account, 0)),
            "bootstrap": self._bootstrap(account),
        }

    def _bootstrap(self, account: int) -> dict[str, Any] | None:
        """Units, what they come to by now, what of it was claimed; None for who never deposited in time."""
        view = self._views.launch
        one = view.depositors.get(account)
        if one is None:
            return None
        return {
            "units": amount_text(one.units),
            "share": amount_text(view.share(account, self._desk.node.now_ns())),
            "claimed": amount_text(one.claimed),
            "claimable_from_ns": view.end_ns(),
        }


def reward_commands(desk: RewardDesk) -> list[CommandRoute]:
    """Path, body, handler and summary of every command of the rewards."""
    return [
        CommandRoute(
            "/token/rewards/books",
            RewardMarket,
            lambda _, body: desk.list_book(body),
            "Reward a book's makers",
        ),
        CommandRoute(
            "/token/launch", GrantLaunch, lambda _, body: desk.grant(body), "Grant tokens of the launch"
        ),
        CommandRoute(
            "/token/bootstrap/claim",
            ClaimBootstrap,
            lambda _, body: desk.claim_bootstrap(body),
            "Take the bootstrap reward",
        ),
        CommandRoute(
            "/token/rewards/claim",
            ClaimMakerRewards,
            lambda _, body: desk.claim(body),
            "Take makers' rewards",
        ),
    ]


def reward_reads(reads: RewardReads) -> list[tuple[str, Callable[[HttpRequest], Any], str]]:
    """Path, handler and summary of every reading."""
    return [
        ("/token/rewards", lambda _: reads.hour(), "Rewarded books and the last hour"),
        (
            "/accounts/{name}/rewards",
            lambda r: reads.of_account(r.path_params["name"]),
            "What an account's making earned",
        ),
    ]
