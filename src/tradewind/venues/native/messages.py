"""The node's documents as this connector reads them. Money is decimal text; unknown fields are ignored."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any, Final

import msgspec

NS: Final = 1_000_000_000
KEY_BYTES: Final = 16
PREFIX: Final = "tw"
CLIENT_ID: Final = re.compile(r"tw[0-9a-z]{16}")
"""Ids of this platform (T7.3). The node's keys have 16 bytes: the prefix stays at home."""
_KEY: Final = re.compile(rb"[0-9a-z]{16}")


def key_of(client_id: str) -> str:
    """The node's key of a client id. Raises `ValueError` for an id that is not ours."""
    if not CLIENT_ID.fullmatch(client_id):
        raise ValueError("a client id is `tw` and 16 of 0-9 a-z")
    return client_id[len(PREFIX) :]


def client_id_of(key: str) -> str:
    """The client id of a key in hexadecimal digits. What is no key of ours is told as it is: the digits of
    somebody else's, or the id by which a node's own trader names its orders.
    """
    try:
        raw = bytes.fromhex(key)
    except ValueError:
        return key
    return PREFIX + raw.decode() if _KEY.fullmatch(raw) else key


class ApiToken:
    """A bearer token. Nothing but `header` tells it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        """Raises `ValueError` for text that cannot be a token (it is not repeated)."""
        if not re.fullmatch(r"[A-Za-z0-9_-]{32,256}", text):
            raise ValueError("that is no token of a node")
        self._text = text

    def header(self) -> dict[str, str]:
        """What a request carries."""
        return {"Authorization": f"Bearer {self._text}"}

    def __repr__(self) -> str:
        return "ApiToken(…)"

    __str__ = __repr__

    def __reduce__(self) -> Any:
        raise TypeError("a token is not copied into files")


class Problem(msgspec.Struct, frozen=True):
    """What every answer that is no success says."""

    name: str
    detail: str = ""
    code: int = 0
    retryable: bool = False


class TimeAnswer(msgspec.Struct, frozen=True):
    """The node's clock. `log_ns`: every command that was stamped until then is in its views."""

    now_ns: int
    log_ns: int
    node: str
    stop_reason: str | None = None


class MarketRow(msgspec.Struct, frozen=True):
    """One market record."""

    handle: int
    symbol: str
    kind: str
    status: str
    base: str
    quote: str
    tick: Decimal
    lot: Decimal
    taker_bps: Decimal
    maker_bps: Decimal
    min_notional: Decimal
    max_notional: Decimal
    elastic_fee: bool = False
    pause: dict[str, Any] | None = None


class MarketsAnswer(msgspec.Struct, frozen=True):
    """Every market, and the pause of the whole platform."""

    markets: list[MarketRow]
    platform_pause: dict[str, Any] | None = None


class OrderRow(msgspec.Struct, frozen=True):
    """An order right behind its last event."""

    order: int
    client_key: str
    market: int
    sub: int
    side: str
    price: Decimal
    quantity: Decimal
    filled: Decimal
    status: str
    updated_ns: int
    reason: str | None = None


class BalanceRow(msgspec.Struct, frozen=True):
    """One asset of a sub-account."""

    sub: int
    asset: str
    free: Decimal
    held: Decimal


class LimitsRow(msgspec.Struct, frozen=True):
    """What the account's class may send (T4.5)."""

    rate_class: int
    commands_per_s: int
    commands_at_once: int
    cancels_per_s: int
    cancels_at_once: int
    live_keys: int


class AccountAnswer(msgspec.Struct, frozen=True):
    """An account at one moment: right behind its event `number`."""

    account: int
    number: int
    log_ns: int
    complete_since_ns: int
    orders: list[OrderRow]
    balances: list[BalanceRow]
    limits: LimitsRow
    switch_deadline_ns: int | None = None


class OrderAnswer(msgspec.Struct, frozen=True):
    """The latest order of a key; None is no proof by itself."""

    order: OrderRow | None
    number: int
    log_ns: int
    complete_since_ns: int


class Event(msgspec.Struct, frozen=True):
    """An event of an account: an order, an execution, an asset, the switch."""

    what: str
    number: int
    time_ns: int
    order: OrderRow | None = None
    trade: int = 0
    price: Decimal = Decimal(0)
    size: Decimal = Decimal(0)
    fee: Decimal = Decimal(0)
    maker: bool = False
    sub: int = 0
    asset: str = ""
    free: Decimal = Decimal(0)
    held: Decimal = Decimal(0)
    cause: str | None = None
    moved: Decimal | None = None


class FillsAnswer(msgspec.Struct, frozen=True):
    """Executions, oldest first. What is not behind event `complete_after`, which was at `complete_since_ns`,
    may lack.
    """

    fills: list[Event]
    more: bool
    complete_after: int
    complete_since_ns: int
    number: int


class Effect(msgspec.Struct, frozen=True):
    """What a command did, as far as it says."""

    cancelled: list[str] = []
    deadline_ns: int | None = None


class Done(msgspec.Struct, frozen=True):
    """An accepted command."""

    command: str
    value: int
    duplicate: bool = False
    effect: Effect = Effect()


class FeeAnswer(msgspec.Struct, frozen=True):
    """What the elastic fee asks of an account now, in basis points."""

    rate_bp: Decimal


class Header(msgspec.Struct, frozen=True):
    """What a frame of the stream is about."""

    type: str
    id: int = 0


class Subscribed(msgspec.Struct, frozen=True):
    """An account is heard from now on; its last event so far."""

    account: int = 0
    number: int = 0


class Refused(msgspec.Struct, frozen=True):
    """A wish that the node does not grant."""

    name: str
    detail: str = ""


class Pong(msgspec.Struct, frozen=True):
    """The answer to a ping. `accounts`: every event of an account up to that number was sent before."""

    now_ns: int
    accounts: dict[str, int] = {}
