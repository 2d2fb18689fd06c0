"""Bodies of command requests. Unknown fields are refused; numbers are decimal text (see `numbers`)."""

from __future__ import annotations

from typing import Literal

import msgspec

Number = str | int | float
"""Declared wide so that a float gets its own refusal and not a type error."""


class Request(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Fields of every command.

    `client_key`: idempotency key, at most 16 bytes of text; one is made when absent. `actor`: the identity
    that acts; each command has a default.
    """

    client_key: str | None = None
    actor: str | None = None


class RegisterAsset(Request, kw_only=True):
    """An asset; weights in basis points, `deposit_cap` in units (absent = no cap)."""

    symbol: str
    initial_asset_bp: int = 5_000
    maintenance_asset_bp: int = 7_500
    initial_liability_bp: int = 15_000
    maintenance_liability_bp: int = 12_500
    deposit_cap: Number | None = None
    settlement: bool = False
    """Leveraged markets account in it; at most one asset. Its weights are 100 %."""
    stable: bool = False
    """Valued at no more than one unit of the settlement asset."""
    stake: bool = False
    """Keepers stake it; at most one asset."""
    token: bool = False
    """The platform's token: its whole supply comes into being with it; at most one asset."""


class OpenAccount(Request, kw_only=True):
    """An account for a named local identity (made when new) or for a foreign public key (64 hexadecimal
    digits).
    """

    name: str | None = None
    owner_key: str | None = None


class OpenSubAccount(Request, kw_only=True):
    """A sub-account 1..127; an isolated one holds a single position and its margin."""

    account: str = "trader"
    index: int
    isolated: bool = False


class CreateMarket(Request, kw_only=True):
    """A market. `tick_size` in quote, `lot_size` in base, fees in basis points, notionals in quote.

    `kind` perpetual needs a `feed`, and its quote is the settlement asset. `kind` outcome has `outcomes`, no
    `base`, and a moment at which it `settle`s, such as 2027-01-31T12:00:00Z, at least an hour ahead.
    """

    kind: Literal["spot", "perpetual", "outcome", "distribution"] = "spot"
    feed: str | None = None
    outcomes: int | None = None
    settle: str | None = None
    base: str | None = None
    quote: str
    tick_size: Number
    lot_size: Number
    taker_fee_bps: Number
    maker_fee_bps: Number
    min_notional: Number = "1"
    max_notional: Number = "1000000"
    band_bp: int = 1_000
    slippage_bp: int = 100
    elastic_fee: bool = False
    """Takers pay the elastic fee, at most `taker_fee_bps`; makers get a rebate instead of a fee."""
    nonce: int | None = None


class UpdateMarket(Request, kw_only=True):
    """New parameters; absent ones stay. `config_version` guards against a change in between."""

    config_version: int | None = None
    taker_fee_bps: Number | None = None
    maker_fee_bps: Number | None = None
    min_notional: Number | None = None
    max_notional: Number | None = None
    band_bp: int | None = None
    slippage_bp: int | None = None


class PauseMarket(Request, kw_only=True):
    """Level `partial`: no new risk; `full`: cancels only; `freeze`: nothing, by two people, at most 24 h.

    Ends after `for_s` seconds, at most 72 h. `categories` tighten only what they name.
    """

    level: Literal["partial", "full", "freeze"] = "partial"
    categories: list[str] = []
    for_s: int = 3_600
    reason: str


class ResumeMarket(Request, kw_only=True):
    """Two resumers, neither the one who paused. `pause_id` is that of the present pause when absent."""

    pause_id: int | None = None


class CloseMarket(Request, kw_only=True):
    """Close-only, then closed; every order is cancelled."""


class Deposit(Request, kw_only=True):
    """Credits `amount` units. `external_id` names the outside transfer and is credited once."""

    account: str = "trader"
    sub: int = 0
    asset: str
    amount: Number
    external_id: str


class ListAddress(Request, kw_only=True):
    """Allows (or forbids) withdrawals to an address; usable after 24 h."""

    account: str = "trader"
    asset: str
    address: str
    listed: bool = True


class Withdraw(Request, kw_only=True):
    """Asks for a withdrawal to a listed address."""

    account: str = "trader"
    sub: int = 0
    asset: str
    amount: Number
    address: str


class CancelWithdrawal(Request, kw_only=True):
    """Takes a queued withdrawal back."""


class ConfirmWithdrawal(Request, kw_only=True):
    """The outside world settled the withdrawal, or (`ok` false) returned it."""

    ok: bool = True
    external_id: str


class Transfer(Request, kw_only=True):
    """Between sub-accounts of one account."""

    account: str = "trader"
    sub: int = 0
    to_sub: int
    asset: str
    amount: Number


class TimedRequest(Request, kw_only=True):
    """A command that the engine refuses (`COMMAND_EXPIRED`) behind `valid_until_ns`, so that a client that
    hears nothing knows when nothing can happen any more. 0: 60 s behind its arrival; at most 300 s.
    """

    valid_until_ns: int = 0


class PlaceOrder(TimedRequest, kw_only=True):
    """An order. `price` is absent for market orders; `expires_in_s` belongs to `gtd`.

    Stops and take-profits have a `trigger`, and fire as market orders when they have no price. A trailing
    stop has a `trail` in the quote asset or a `trail_ppm`. An iceberg shows `display`. `linked_order` with
    `link` names the other order of a pair (oco) or the entry (bracket).
    """

    account: str = "trader"
    sub: int = 0
    market: str
    outcome: str | int | None = None
    """Of an outcome market: its number, or yes and no where there are two."""
    side: Literal["buy", "sell"]
    quantity: Number
    price: Number | None = None
    order_type: Literal[
        "limit", "market", "stop", "stop_limit", "take_profit", "trailing_stop", "iceberg"
    ] = "limit"
    time_in_force: Literal["gtc", "ioc", "fok", "gtd"] = "gtc"
    post_only: bool = False
    self_trade_prevention: Literal["cancel_newest", "cancel_oldest", "cancel_both", "decrement"] = (
        "cancel_newest"
    )
    expires_in_s: int | None = None
    slippage_bp: int = 0
    reduce_only: bool = False
    leverage: Number | None = None
    trigger: Number | None = None
    trigger_source: Literal["mark", "index", "last_trade"] | None = None
    trail: Number | None = None
    trail_ppm: int | None = None
    display: Number | None = None
    link: Literal["oco", "bracket"] | None = None
    linked_order: int = 0


class ReplaceOrder(TimedRequest, kw_only=True):
    """New price and/or new total quantity (filled part included); absent values stay."""

    account: str = "trader"
    price: Number | None = None
    quantity: Number | None = None


class CancelOrder(TimedRequest, kw_only=True):
    """Cancels one order."""

    account: str = "trader"


class CancelAll(TimedRequest, kw_only=True):
    """Every order of an account; one market, one side, or everything."""

    account: str = "trader"
    market: str | None = None
    side: Literal["buy", "sell"] | None = None


class CancelAfter(TimedRequest, kw_only=True):
    """Dead-man's switch: cancels everything unless called again within `seconds`; 0 switches it off."""

    account: str = "trader"
    seconds: int


class ChangeRole(Request, kw_only=True):
    """Grants or revokes a role. `principal`: local name or public key. `days`: until the grant expires."""

    principal: str
    role: str
    days: int = 365


class ChangeStanding(Request, kw_only=True):
    """Suspends a principal, or approves its return (two different administrators)."""

    principal: str


class Kill(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A level of the kill switch."""

    reason: str
    actor: str = "operator"


class RampAct(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A person's word about the ramp."""

    actor: str = "operator"
    reason: str = ""


class Snapshot(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Records a snapshot now."""
