"""The desk for roles: who may do what, and who is suspended.

As everywhere, one record in the log per command, signed by the identity that has the power. Every method
raises `ApiFailure` and changes nothing when it does.
"""

from __future__ import annotations

from tradewind.api import requests as req
from tradewind.api.desk import DAY_NS, Desk
from tradewind.api.desk_base import Done, client_key
from tradewind.core import commands as build


class RoleDesk:
    """Grants, revocations and suspensions of principals; ROLE_ADMIN."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def grant_role(self, one: req.ChangeRole) -> Done:
        """ROLE_ADMIN passes on what it holds itself (protocol P14.3)."""
        return await self._desk._send(
            "GrantRole",
            build.grant_role,
            principal=self._desk._actor(one, "role_admin_1"),
            client_key=client_key(one),
            grantee=self._desk._principal(one.principal),
            role=int(self._desk.directory.role(one.role)),
            expiry_ns=self._desk.node.now_ns() + one.days * DAY_NS,
        )

    async def revoke_role(self, one: req.ChangeRole) -> Done:
        """Takes a role away; ROLE_ADMIN."""
        return await self._desk._send(
            "RevokeRole",
            build.revoke_role,
            principal=self._desk._actor(one, "role_admin_1"),
            client_key=client_key(one),
            grantee=self._desk._principal(one.principal),
            role=int(self._desk.directory.role(one.role)),
        )

    async def change_standing(self, one: req.ChangeStanding, *, suspended: bool) -> Done:
        """Suspends at once; reinstatement needs two different administrators."""
        target = self._desk._principal(one.principal)
        done = await self._desk._send(
            "SuspendPrincipal" if suspended else "ReinstatePrincipal",
            build.suspend_principal,
            principal=self._desk._actor(one, "role_admin_1"),
            client_key=client_key(one),
            target=target,
            suspended=suspended,
        )
        done.effect = {"suspended": self._desk.views.principals.by_key[target].suspended}
        return done
