"""What every part of the command desk stands on: the node, names and identities, and the way of a command."""

from __future__ import annotations

import functools
import secrets
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

import msgspec

from tradewind.api import requests as req
from tradewind.api.directory import Directory, NamedMarket, parse_hex32
from tradewind.api.execution_access import ExecutionOfTrader
from tradewind.api.identities import Identities, IdentityError
from tradewind.api.problems import ApiFailure, failure_of
from tradewind.api.risk_routes import RiskOfTrader
from tradewind.core.errors import InvalidField, TradewindError
from tradewind.core.events import Result
from tradewind.node.projections.directory import Account

KEY_BYTES: Final = 16


class Done(msgspec.Struct, kw_only=True, omit_defaults=True):
    """An accepted command. `value` is the handle it created; `duplicate`: answered from an earlier equal
    command.
    """

    command: str
    value: int
    seq: int | None = None
    """Sequence number in the log; absent where the trader sent the command in its own time."""
    duplicate: bool = False
    effect: dict[str, Any] = {}


class Submitter(Protocol):
    """The node, as far as the desk uses it."""

    async def submit(
        self, commands: bytes | Sequence[bytes], attestations: Sequence[bytes] = ()
    ) -> list[Result]: ...

    @property
    def deployment(self) -> bytes: ...

    def now_ns(self) -> int: ...

    def adl_rank(self, account: int, sub: int, market: int) -> tuple[int, int, int] | None: ...

    async def snapshot(self) -> dict[str, Any]: ...

    async def market_archive(self, market: int) -> bytes | None: ...


class OwnOrders(Protocol):
    """Manual orders of the trader's account: through the trader's risk, journaled as intents."""

    async def place(self, market: NamedMarket, order: req.PlaceOrder) -> Done: ...

    async def replace(self, order: int, request: req.ReplaceOrder) -> Done: ...

    async def cancel(self, order: int) -> Done: ...

    async def cancel_all(self, market: NamedMarket | None, side: str | None) -> Done: ...


class DeskBase:
    """Builds and submits commands. Every method raises `ApiFailure` and changes nothing when it does."""

    def __init__(
        self,
        node: Submitter,
        directory: Directory,
        identities: Identities,
        own_orders: OwnOrders | None = None,
    ) -> None:
        self.node = node
        self.directory = directory
        self.views = directory.views
        self.identities = identities
        self.own_orders = own_orders
        self.execution: ExecutionOfTrader | None = None
        self.risk: RiskOfTrader | None = None
        """The running trader's execution desk; None while nothing trades."""
        self.ramp: object | None = None
        """The ramp of this log, once the platform has read it."""

    # ---- log ---------------------------------------------------------------------------------------

    async def snapshot(self) -> dict[str, Any]:
        """Records a snapshot now."""
        try:
            return await self.node.snapshot()
        except TradewindError as error:
            raise failure_of(error) from error

    # ---- shared ------------------------------------------------------------------------------------

    def account(self, name: str) -> Account:
        """An account by number, id, owner key or local name. Raises `ApiFailure` ACCOUNT_NOT_FOUND."""
        return self._account(name)

    def _account(self, name: str) -> Account:
        return self.directory.account(name)

    def _actor(self, one: req.Request, usual: str) -> bytes:
        try:
            return self.identities.key(one.actor or usual)
        except IdentityError as error:
            raise ApiFailure(404, error.code, str(error)) from error

    def _principal(self, name: str) -> bytes:
        raw = parse_hex32(name)
        if raw is not None:
            return raw
        try:
            return self.identities.key(name)
        except IdentityError as error:
            raise ApiFailure(404, error.code, str(error)) from error

    async def _send(self, name: str, builder: Callable[..., bytes], **fields: Any) -> Done:
        return await self._commit(name, functools.partial(builder, **fields))

    async def _commit(self, name: str, make: Callable[[], bytes], attestations: Sequence[bytes] = ()) -> Done:
        try:
            [result] = await self.node.submit(make(), attestations)
        except (TradewindError, InvalidField) as error:
            raise failure_of(error) from error
        refusal = result.error()
        if refusal is not None:
            raise failure_of(refusal)
        return Done(command=name, seq=result.seq, value=result.value, duplicate=result.duplicate)


def client_key(one: req.Request) -> bytes:
    """The given idempotency key, or a fresh one. Raises `ApiFailure` BAD_CLIENT_KEY."""
    if one.client_key is None:
        return secrets.token_bytes(KEY_BYTES)
    raw = one.client_key.encode()
    if not raw or len(raw) > KEY_BYTES or not any(raw):
        raise ApiFailure(422, "BAD_CLIENT_KEY", f"a client key has 1 to {KEY_BYTES} bytes, not {len(raw)}")
    return raw.ljust(KEY_BYTES, b"\0")
