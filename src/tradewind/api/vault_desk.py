"""The vault's commands: deposits, requests to leave, collecting what a cut-off has paid."""

from __future__ import annotations

from typing import Any

from fastapi import Request as HttpRequest

from tradewind.api.desk_base import Done
from tradewind.api.exchange_desk import ExchangeDesk
from tradewind.api.numbers import parse_amount
from tradewind.api.requests import Number, Request
from tradewind.api.route import CommandRoute


class DepositVault(Request, kw_only=True):
    """Settlement money for shares of the vault, at least 1."""

    account: str
    sub: int = 0
    amount: Number


class RequestVaultExit(Request, kw_only=True):
    """Shares to give back: 24 h notice, then paid at a whole hour."""

    account: str
    sub: int = 0
    shares: Number


class ClaimVaultExit(Request, kw_only=True):
    """Collects what was paid for an exit."""

    account: str
    ticket: int


class VaultDesk:
    """Builds and submits the vault's commands, signed by the account's owner."""

    def __init__(self, desk: ExchangeDesk) -> None:
        self._desk = desk

    async def deposit(self, one: DepositVault) -> Done:
        """Shares for settlement money."""
        owner = self._desk._owner(one.account, one.sub)
        return await self._desk._send("DepositVault", one, None, **owner, amount=parse_amount(one.amount))

    async def withdraw(self, one: RequestVaultExit) -> Done:
        """A ticket for shares that leave; its number is the answer's value."""
        owner = self._desk._owner(one.account, one.sub)
        return await self._desk._send("RequestVaultExit", one, None, **owner, shares=parse_amount(one.shares))

    async def claim(self, one: ClaimVaultExit) -> Done:
        """Money that a cut-off has paid for a ticket."""
        return await self._desk._send(
            "ClaimVaultExit", one, None, **self._desk._owner(one.account), ticket=one.ticket
        )


def vault_commands(desk: VaultDesk) -> list[CommandRoute]:
    """Every command of the vault."""

    async def deposit(_: HttpRequest, body: Any) -> Done:
        return await desk.deposit(body)

    async def withdraw(_: HttpRequest, body: Any) -> Done:
        return await desk.withdraw(body)

    async def claim(_: HttpRequest, body: Any) -> Done:
        return await desk.claim(body)

    return [
        CommandRoute("/vault/deposit", DepositVault, deposit, "Buy shares of the vault"),
        CommandRoute("/vault/withdraw", RequestVaultExit, withdraw, "Ask for an exit from the vault"),
        CommandRoute("/vault/claim", ClaimVaultExit, claim, "Collect what an exit was paid"),
    ]
