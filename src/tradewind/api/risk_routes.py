"""Limits, states and resets of the running trader, for `tradewind risk`."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import msgspec
from fastapi import Request

from tradewind.api.problems import ApiFailure
from tradewind.api.route import CommandRoute
from tradewind.trader.records import OperatorAct
from tradewind.trader.risk.changes import LimitsRefused
from tradewind.trader.risk.correlation import BadMatrix
from tradewind.trader.risk.history import latch_row
from tradewind.trader.risk.profile import ConfigError, load_profile
from tradewind.trader.risk.state import LatchError
from tradewind.trader.risk_usage import limits_now

SECOND_NS = 1_000_000_000

if TYPE_CHECKING:
    from tradewind.api.desk import Desk
    from tradewind.trader.session import Session


class Reset(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A person ends one latch; `second` is the other person where two are needed."""

    scope: str
    cause: str
    reason: str
    actor: str = "operator"
    second: str = ""


class Raise(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Two people ask for the limits of another profile."""

    profile: str
    reason: str
    actor: str = "operator"
    second: str = ""


class Revert(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The correlation matrix before comes back."""

    reason: str
    actor: str = "operator"


class RiskOfTrader:
    """Risk of one trading session."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.trader = session.trader

    def limits(self) -> list[dict[str, Any]]:
        """Every limit and how full it is."""
        return limits_now(self.trader)

    def states(self) -> list[dict[str, Any]]:
        """Every latch in force."""
        table = self.trader.states
        return [{**latch_row(one), "two_people": table.needs_two(one.cause)} for one in table.active()]

    async def reset(self, asked: Reset) -> dict[str, Any]:
        """Ends one latch, in the log and in force. Raises `ApiFailure`."""
        trader = self.trader
        async with self.session.lock:
            now_ns = trader.port.now_ns()
            await self._require_calm(asked, now_ns)
            try:
                cleared = trader.states.clear(
                    asked.scope, asked.cause, reason=asked.reason, actor=asked.actor, now_ns=now_ns,
                    second=asked.second,
                )  # fmt: skip
            except LatchError as error:
                raise ApiFailure(HTTPStatus.CONFLICT, "RESET_REFUSED", str(error)) from error
            trader.risk.behaviour.overridden(asked.actor, now_ns)
            if asked.scope.startswith("strategy:"):
                await trader.resume_strategy(asked.scope.partition(":")[2], asked.actor, asked.reason)
            record = OperatorAct(
                act="reset", actor=asked.actor, reason=asked.reason, outcome="Verified",
                detail=f"{asked.cause} of {asked.scope}, second person: {asked.second or 'none'}",
                at_ns=now_ns,
            )  # fmt: skip
            await trader.journal(cleared, record)
        return {"cleared": latch_row(cleared), "second": asked.second, "state": trader.state().name.lower()}

    async def _require_calm(self, asked: Reset, now_ns: int) -> None:
        """What latches ends after the cool-down and with equal books only (T8.8)."""
        account = self.trader.profile.account
        for latch in self.trader.states.active():
            if (latch.scope, latch.cause) == (asked.scope, asked.cause) and latch.latching:
                wait_ns = latch.at_ns + account.resume_cooldown_s * SECOND_NS - now_ns
                if wait_ns > 0:
                    wait_s = wait_ns // SECOND_NS + 1
                    text = f"{asked.cause} of {asked.scope} cannot be reset for another {wait_s} s"
                    raise ApiFailure(HTTPStatus.CONFLICT, "RESET_REFUSED", text)
        differences = await self.trader.reconcile()
        if differences:
            raise ApiFailure(HTTPStatus.CONFLICT, "RESET_REFUSED", f"not reconciled: {differences[0]}")

    async def change(self, asked: Raise) -> dict[str, Any]:
        """Changes limits: lower at once, higher in an hour. Raises `ApiFailure`."""
        try:
            after = load_profile(asked.profile).limits
            async with self.session.lock:
                records = self.trader.risk_desk.change_limits(
                    after, actor=asked.actor, second=asked.second, reason=asked.reason
                )
                await self.trader.step()
        except (LimitsRefused, ConfigError) as error:
            raise ApiFailure(HTTPStatus.CONFLICT, "LIMITS_REFUSED", str(error)) from error
        return {
            "changed": [
                {"key": one.key, "before": one.before, "after": one.after, "effective_ns": one.effective_ns}
                for one in records
            ]
        }

    def correlation(self) -> dict[str, Any]:
        """The matrix in force."""
        desk = self.trader.risk_desk
        symbols = tuple(self.trader.oms.instruments)
        found = desk.correlation.in_force(symbols, self.trader.port.now_ns())
        return {
            "version": found.version,
            "kind": found.kind,
            "samples": found.samples,
            "average": found.average,
            "created_ns": found.created_ns,
            "shadow": desk.correlation.pointer.shadow,
            "problem": desk.correlation_problem,
            "clusters": found.groups().clusters,
            "betas": {name: str(beta) for name, beta in found.betas.items()},
        }

    async def revert(self, asked: Revert) -> dict[str, Any]:
        """The version before comes back. Raises `ApiFailure`."""
        try:
            version = self.trader.risk_desk.revert_correlation()
        except BadMatrix as error:
            raise ApiFailure(HTTPStatus.CONFLICT, "NO_EARLIER_VERSION", str(error)) from error
        act = OperatorAct(
            act="correlation revert", actor=asked.actor, reason=asked.reason, outcome="Verified",
            detail=f"version {version}", at_ns=self.trader.port.now_ns(),
        )  # fmt: skip
        await self.trader.journal(act)
        return {"version": version}


def _of(desk: Desk) -> RiskOfTrader:
    if desk.risk is None:
        raise ApiFailure(HTTPStatus.CONFLICT, "NO_TRADER", "no trader runs here")
    return desk.risk


def risk_commands(desk: Desk) -> list[CommandRoute]:
    """Resets and changes."""

    async def reset(_: Request, body: Reset) -> Any:
        return await _of(desk).reset(body)

    async def change(_: Request, body: Raise) -> Any:
        return await _of(desk).change(body)

    async def revert(_: Request, body: Revert) -> Any:
        return await _of(desk).revert(body)

    return [
        CommandRoute("/risk/reset", Reset, reset, "End one trading state"),
        CommandRoute("/risk/limits", Raise, change, "Ask for other limits"),
        CommandRoute("/risk/correlation/revert", Revert, revert, "The matrix before comes back"),
    ]


def risk_reads(desk: Desk) -> list[tuple[str, Callable[[Request], Any], str]]:
    """Limits, states and correlation."""
    return [
        ("/risk/limits", lambda _: _of(desk).limits(), "Every limit, and what is used of it"),
        ("/risk/states", lambda _: _of(desk).states(), "Trading states in force"),
        ("/risk/correlation", lambda _: _of(desk).correlation(), "The correlation matrix in force"),
    ]
