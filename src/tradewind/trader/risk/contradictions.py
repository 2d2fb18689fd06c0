"""Limits of one profile that cannot both be meant (T1.6): each pair with the reason."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .profile import Account, Limits, Profile

MAX_VALUE = Decimal(10**15)
"""No limit is larger: what is meant to be without a limit says "none", where that is allowed."""
REAL_MONEY = ("canary", "live")
LADDER = ("drawdown_warn_pct", "drawdown_half_size_pct", "drawdown_reduce_only_pct", "drawdown_halt_pct")
# The first must not be above the second: it could never be reached, or would allow what the second forbids.
ORDERED = (
    ("max_strategy_loss_pct", "daily_loss_pct"),
    ("daily_loss_pct", "drawdown_halt_pct"),
    ("max_position_notional_pct", "max_cluster_exposure_pct"),
    ("max_cluster_exposure_pct", "max_gross_exposure_pct"),
    ("max_net_exposure_pct", "max_gross_exposure_pct"),
    ("max_beta_btc_pct", "max_gross_exposure_pct"),
    ("max_gross_exposure_pct", "max_leverage_x100"),
    ("max_open_orders_symbol_count", "max_open_orders_account_count"),
    ("max_order_notional_quote", "max_position_notional_quote"),
    ("max_order_notional_quote", "equity_cap_quote"),
    ("max_order_notional_quote", "max_unattended_notional_quote"),
    ("max_position_notional_quote", "equity_cap_quote"),
    ("daily_loss_quote", "total_loss_quote"),
    ("daily_loss_quote", "equity_cap_quote"),
    ("total_loss_quote", "equity_cap_quote"),
)


def contradictions(profile: Profile) -> list[str]:
    """Every contradiction in the profile; empty when there is none."""
    limits, account = profile.limits, profile.account
    found = [*_ordered(limits), *_ladder(limits), *_parts_of_equity(limits), *_pace(limits)]
    found += _account(limits, account)
    if profile.environment in REAL_MONEY:
        found += _real_money(limits)
    return found


def _ordered(limits: Limits) -> Iterator[str]:
    for lower, upper in ORDERED:
        low, high = getattr(limits, lower), getattr(limits, upper)
        if low is not None and high is not None and low > high:
            yield f"{lower} {low} is above {upper} {high}"


def _ladder(limits: Limits) -> Iterator[str]:
    for lower, upper in pairwise(LADDER):
        low, high = getattr(limits, lower), getattr(limits, upper)
        if low >= high:
            yield f"the drawdown ladder must ascend: {lower} {low} is not below {upper} {high}"


def _parts_of_equity(limits: Limits) -> Iterator[str]:
    """Money that a percentage of the largest permitted equity makes unreachable."""
    if limits.max_risk_to_stop_bps > limits.daily_loss_pct * 100:
        yield (
            f"max_risk_to_stop_bps {limits.max_risk_to_stop_bps} of one position is more than the whole "
            f"daily_loss_pct {limits.daily_loss_pct}"
        )
    cap = limits.equity_cap_quote
    if cap is None:
        return
    pairs = (
        ("daily_loss_quote", "daily_loss_pct"),
        ("max_position_notional_quote", "max_position_notional_pct"),
        ("max_order_notional_quote", "max_position_notional_pct"),
        ("total_loss_quote", "drawdown_halt_pct"),
    )
    for money, part in pairs:
        amount, most = getattr(limits, money), getattr(limits, part) * cap / 100
        if amount is not None and amount > most:
            yield f"{money} {amount} can never be reached: {part} of equity_cap_quote {cap} is {most}"


def _pace(limits: Limits) -> Iterator[str]:
    most = limits.max_messages_per_s * limits.repeat_window_s
    if limits.max_same_order_repeat_count > most:
        yield (
            f"max_same_order_repeat_count {limits.max_same_order_repeat_count} can never be reached: "
            f"max_messages_per_s and repeat_window_s allow {most}"
        )


def _account(limits: Limits, account: Account) -> Iterator[str]:
    if account.flatten_collar_bps > limits.price_collar_bps:
        yield (
            f"account.flatten_collar_bps {account.flatten_collar_bps} is above price_collar_bps "
            f"{limits.price_collar_bps}: every slice of a flatten would be denied"
        )
    if account.flatten_participation_pct > 100:
        yield f"account.flatten_participation_pct {account.flatten_participation_pct} is above 100"
    if not 5 <= account.dead_man_s <= 300:
        yield f"account.dead_man_s {account.dead_man_s} is outside 5..300"


def _real_money(limits: Limits) -> Iterator[str]:
    if limits.entry_cost_gate != "enforce":
        yield "entry_cost_gate must be 'enforce' where real money trades"
    for name in ("equity_cap_quote", "daily_loss_quote", "total_loss_quote", "max_position_notional_quote"):
        if getattr(limits, name) is None:
            yield f"{name} must be a number where real money trades, not 'none'"
