"""Which permission every route of the API wants (O5.9). A route that is not listed here is not served."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class Permission(StrEnum):
    """What a token may do. One permission never includes another."""

    READ = "read"
    """Views, and what changes nothing."""
    TRADE = "trade"
    """Orders, positions, pools, sets and duties of accounts; moves nothing out of the platform."""
    CANCEL = "cancel"
    """Takes orders back."""
    WITHDRAW = "withdraw"
    """Money out of the platform, and where it may go."""
    ADMIN = "admin"
    """What changes the exchange itself: markets, feeds, roles, breakers, keepers, governance, the trader."""


class UndeclaredRouteError(RuntimeError):
    """A route has no permission, or two: the API does not start."""


SOCKET: Final = "SOCKET"
"""Stands for the method of a WebSocket."""
EVERYTHING: Final = frozenset(Permission)
READ_ONLY: Final = frozenset({Permission.READ})
TRADING: Final = frozenset({Permission.READ, Permission.TRADE, Permission.CANCEL})

_READ: Final = (
    "GET /accounts",
    "GET /accounts/{name}/balances",
    "GET /accounts/{name}/chains",
    "GET /accounts/{name}/claims",
    "GET /accounts/{name}/credits",
    "GET /accounts/{name}/fills",
    "GET /accounts/{name}/health",
    "GET /accounts/{name}/leveraged",
    "GET /accounts/{name}/orders/{key}",
    "GET /accounts/{name}/positions",
    "GET /accounts/{name}/rewards",
    "GET /accounts/{name}/stakes",
    "GET /accounts/{name}/trading",
    "GET /assets",
    "GET /breakers",
    "GET /chains/{number:int}",
    "GET /commands",
    "GET /coverage",
    "GET /dark",
    "GET /distributions",
    "GET /distributions/{name:path}",
    "GET /distributions/{name:path}/quote",
    "GET /fee",
    "GET /executions",
    "GET /executions/{number:int}",
    "GET /feeds",
    "GET /feeds/{name}",
    "GET /head",
    "GET /keepers",
    "GET /keepers/duties",
    "GET /keepers/suspects",
    "GET /limits",
    "GET /markets",
    "GET /markets/{name:path}",
    "GET /markets/{name:path}/book",
    "GET /markets/{name:path}/candles",
    "GET /markets/{name:path}/leverage",
    "GET /markets/{name:path}/resolution",
    "GET /markets/{name:path}/trades",
    "GET /markets/{name:path}/venue",
    "GET /orders",
    "GET /orders/{number:int}",
    "GET /pools",
    "GET /pools/{name:path}",
    "GET /pools/{name:path}/quote",
    "GET /positions",
    "GET /proposals",
    "GET /ramp",
    "GET /ramp/history",
    "GET /risk/correlation",
    "GET /risk/limits",
    "GET /risk/states",
    "GET /roles",
    "GET /sources/{name}",
    "GET /status",
    "GET /time",
    "GET /token",
    "GET /token/rewards",
    "GET /token/vesting",
    "GET /vault",
    "GET /vault/shortfall",
    "GET /venue",
    "GET /venues",
    "GET /venues/links/{name}",
    "GET /verses",
    "GET /verses/{name}",
    "GET /withdrawals",
    # Computes what would happen.
    "POST /chains/quote",
    "POST /positions/simulate",
)
_TRADE: Final = (
    "POST /chains",
    "POST /chains/{number:int}/close",
    # Nothing about resting dark orders is published (P16.3): who only reads does not see them.
    "GET /dark/orders",
    "POST /dark/orders",
    "POST /executions",
    "POST /executions/{number:int}/resume",
    "POST /insurance",
    "POST /keepers",
    "POST /keepers/act",
    "POST /keepers/stake",
    "POST /keepers/unstake",
    "POST /keepers/withdraw",
    "POST /listings",
    "POST /markets/{name:path}/redeem",
    "POST /markets/{name:path}/resolution/dispute",
    "POST /markets/{name:path}/resolution/propose",
    "POST /orders",
    "POST /orders/batch",
    "POST /orders/twap",
    "POST /orders/{number:int}/replace",
    "POST /distributions/move",
    "POST /credits/deposit",
    "POST /credits/lock",
    "POST /credits/release",
    "POST /credits/withdraw",
    "POST /leveraged/close",
    "POST /leveraged/open",
    "POST /leveraged/repay",
    "POST /pools/add",
    "POST /pools/collect",
    "POST /pools/remove",
    "POST /pools/swap",
    "POST /positions/close",
    "POST /positions/liquidate",
    "POST /positions/margin",
    "POST /sets/merge",
    "POST /sets/mint",
    "POST /slashes/{number:int}/appeal",
    "POST /subaccounts",
    "POST /token/claim",
    "POST /token/bootstrap/claim",
    "POST /token/rewards/claim",
    "POST /token/stake",
    "POST /token/unstake",
    "POST /token/vesting/claim",
    "POST /transfers",
    "POST /vault/claim",
    "POST /vault/deposit",
    "POST /vault/withdraw",
)
_CANCEL: Final = (
    "POST /dark/orders/cancel",
    "POST /executions/{number:int}/cancel",
    "POST /executions/{number:int}/pause",
    "POST /orders/cancel-after",
    "POST /orders/cancel-all",
    "POST /orders/{number:int}/cancel",
)
_WITHDRAW: Final = (
    "POST /addresses",
    "POST /withdrawals",
    "POST /withdrawals/{number:int}/cancel",
)
_ADMIN: Final = (
    "POST /accounts",
    "POST /assets",
    "POST /assets/{name}/update",
    "POST /authorities/offer",
    "POST /authorities/renounce",
    "POST /authorities/{number:int}/accept",
    "POST /authorities/{number:int}/withdraw",
    "POST /breakers/{name}/close",
    "POST /breakers/{name}/configure",
    "POST /breakers/{name}/trip",
    "POST /deposits",
    "POST /feeds",
    "POST /feeds/{name}/override",
    "POST /feeds/{name}/prices",
    "POST /feeds/{name}/sources",
    "POST /feeds/{name}/update",
    "POST /journal/snapshot",
    "POST /keepers/reinstate",
    "POST /keepers/remove",
    "POST /keepers/slash",
    "POST /kill/flatten",
    "POST /kill/halt",
    "POST /kill/resume",
    "POST /links",
    "POST /markets",
    "POST /markets/{name:path}/close",
    "POST /markets/{name:path}/funding",
    "POST /markets/{name:path}/pause",
    "POST /markets/{name:path}/prune",
    "POST /markets/{name:path}/resolution/finalise",
    "POST /markets/{name:path}/resolution/vote",
    "POST /markets/{name:path}/resume",
    "POST /markets/{name:path}/risk",
    "POST /markets/{name:path}/settle",
    "POST /markets/{name:path}/update",
    "POST /markets/{name:path}/verse",
    "POST /distributions",
    "POST /pools",
    "POST /proposals",
    "POST /proposals/{number:int}/approve",
    "POST /proposals/{number:int}/cancel",
    "POST /proposals/{number:int}/execute",
    "POST /ramp/approve",
    "POST /ramp/demote",
    "POST /ramp/propose",
    "POST /risk/correlation/revert",
    "POST /risk/limits",
    "POST /risk/reset",
    "POST /roles/grant",
    "POST /roles/reinstate",
    "POST /roles/revoke",
    "POST /roles/suspend",
    "POST /slashes/{number:int}/decide",
    "POST /suitability",
    "POST /token/launch",
    "POST /token/rewards/books",
    "POST /token/seasons",
    "POST /token/seasons/settle",
    "POST /token/vesting",
    "POST /token/vesting/revoke",
    "POST /venues/batch",
    "POST /venues/links",
    "POST /verses",
    "POST /verses/{name}/halt",
    "POST /verses/{name}/move",
    "POST /verses/{name}/resume",
    "POST /withdrawals/{number:int}/confirm",
)


def declared(table: Mapping[Permission, tuple[str, ...]]) -> dict[str, Permission]:
    """Permission by route. Raises `UndeclaredRouteError` for a route that is listed twice."""
    found: dict[str, Permission] = {}
    for permission, routes in table.items():
        for route in routes:
            if route in found:
                raise UndeclaredRouteError(f"{route} wants {found[route]} and {permission}")
            found[route] = permission
    return found


PERMISSIONS: Final[Mapping[str, Permission]] = declared(
    {
        Permission.READ: _READ,
        Permission.TRADE: _TRADE,
        Permission.CANCEL: _CANCEL,
        Permission.WITHDRAW: _WITHDRAW,
        Permission.ADMIN: _ADMIN,
    }
)


SOCKETS: Final[Mapping[str, Permission]] = {"/stream": Permission.READ}
"""The same of WebSockets: what they tell is what reading routes tell. Commands do not go by them."""


def permission_of(method: str, path: str) -> Permission:
    """The permission of a route by its path below the prefix. Raises `UndeclaredRouteError`."""
    wanted = SOCKETS.get(path) if method == SOCKET else PERMISSIONS.get(f"{method} {path}")
    if wanted is None:
        raise UndeclaredRouteError(f"{method} {path} has no permission in the table")
    return wanted
