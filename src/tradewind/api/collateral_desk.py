"""Collateral at the command desk: deposits, addresses, withdrawals, transfers."""

from __future__ import annotations

from tradewind.api import requests as req
from tradewind.api.desk_base import DeskBase, Done, client_key
from tradewind.api.numbers import parse_amount
from tradewind.api.problems import failure_of
from tradewind.core import commands as build
from tradewind.core.errors import reject
from tradewind.core.hashing import blake3
from tradewind.node.projections.directory import Account


class CollateralDesk(DeskBase):
    """Money in, out, and between sub-accounts."""

    async def deposit(self, one: req.Deposit) -> Done:
        """Credits an account once per external id; SYSTEM."""
        account = self._account(one.account)
        return await self._send(
            "Deposit",
            build.deposit,
            principal=self._actor(one, "system"),
            account=account.account_id,
            sub=one.sub,
            asset=self.directory.asset(one.asset).asset,
            amount=parse_amount(one.amount),
            external_id=blake3(one.external_id.encode()),
        )

    async def list_address(self, one: req.ListAddress) -> Done:
        """Allows or forbids withdrawals to an address; the owner."""
        account = self._account(one.account)
        return await self._send(
            "ListAddress",
            build.list_address,
            principal=account.owner_key,
            account=account.account_id,
            client_key=client_key(one),
            asset=self.directory.asset(one.asset).asset,
            address_hash=blake3(one.address.encode()),
            listed=one.listed,
        )

    async def withdraw(self, one: req.Withdraw) -> Done:
        """Asks for a withdrawal; the owner."""
        account = self._account(one.account)
        done = await self._send(
            "RequestWithdrawal",
            build.request_withdrawal,
            principal=account.owner_key,
            account=account.account_id,
            sub=one.sub,
            client_key=client_key(one),
            asset=self.directory.asset(one.asset).asset,
            amount=parse_amount(one.amount),
            address_hash=blake3(one.address.encode()),
        )
        done.effect = {"ticket": done.value, "state": self.views.withdrawals.by_ticket[done.value].state}
        return done

    async def cancel_withdrawal(self, ticket: int, one: req.CancelWithdrawal) -> Done:
        """Takes a queued withdrawal back; the owner."""
        account = self._account_of_ticket(ticket)
        return await self._send(
            "CancelWithdrawal",
            build.cancel_withdrawal,
            principal=account.owner_key,
            account=account.account_id,
            client_key=client_key(one),
            ticket=ticket,
        )

    async def confirm_withdrawal(self, ticket: int, one: req.ConfirmWithdrawal) -> Done:
        """What the outside world did with a released withdrawal; SYSTEM."""
        return await self._send(
            "ConfirmWithdrawal",
            build.confirm_withdrawal,
            principal=self._actor(one, "system"),
            ticket=ticket,
            ok=int(one.ok),
            external_id=blake3(one.external_id.encode()),
        )

    def _account_of_ticket(self, ticket: int) -> Account:
        entry = self.views.withdrawals.by_ticket.get(ticket)
        if entry is None:
            raise failure_of(reject("WITHDRAWAL_NOT_FOUND", given=ticket))
        return self.views.accounts.by_handle[entry.account]

    async def transfer(self, one: req.Transfer) -> Done:
        """Between sub-accounts; the owner."""
        account = self._account(one.account)
        return await self._send(
            "Transfer",
            build.transfer,
            principal=account.owner_key,
            account=account.account_id,
            sub=one.sub,
            client_key=client_key(one),
            to_sub=one.to_sub,
            asset=self.directory.asset(one.asset).asset,
            amount=parse_amount(one.amount),
        )
