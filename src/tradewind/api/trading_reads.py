"""What a trading client asks for beside orders: the time, its account at once, one order by its own key, its
executions. Everything that a client needs to come back to a stream without a hole.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from fastapi import Request

from tradewind.api.activity import AccountActivity, FillTold, FundsTold, News, OrderTold, SwitchTold
from tradewind.api.desk_base import KEY_BYTES
from tradewind.api.directory import Directory
from tradewind.api.numbers import amount_text, plain_text
from tradewind.api.outcome_names import outcome_name
from tradewind.api.problems import ApiFailure
from tradewind.api.reads import NodeFacts
from tradewind.node.projections.orders import Order
from tradewind.node.projections.token import STATUS, tier

MAX_FILLS: Final = 1_000
"""Of one answer."""
RATE_CLASSES: Final = (
    ((1_000, 8_192), (5_000, 32_768)),
    ((5_000, 16_384), (25_000, 65_536)),
    ((50_000, 131_072), (250_000, 524_288)),
    ((5_000_000, 16_777_216), (20_000_000, 67_108_864)),
)
"""Of each class of accounts: commands a second and at once, then the same of cancels. The engine has them in
`flow/rates.rs`; a test holds both together."""
KEYS_PER_ACCOUNT: Final = 4_096
"""Client keys whose command is still valid (protocol P2.1.2)."""


class TradingReads:
    """Plain documents for clients that trade. Money is decimal text."""

    def __init__(self, directory: Directory, node: NodeFacts, now_ns: Callable[[], int]) -> None:
        self._directory = directory
        self._views = directory.views
        self._node = node
        self._now_ns = now_ns

    def time(self) -> dict[str, Any]:
        """The clock that stamps commands, and how far the log has come."""
        return {
            "now_ns": self._now_ns(),
            "log_ns": self._views.applied_time_ns,
            "node": str(self._node.state),
            "stop_reason": self._node.stop_reason,
        }

    def account(self, name: str) -> dict[str, Any]:
        """Open orders, balances and limits of an account at one moment, and the number of its last event."""
        account = self._directory.account(name)
        activity = self._views.activity.of(account.account)
        orders = self._views.orders.of_account(account.account)
        balances = [
            {
                "sub": sub,
                "asset": self._views.assets.by_number[one.asset].symbol,
                "free": amount_text(one.free),
                "held": amount_text(one.held),
            }
            for sub in sorted(account.subs)
            for one in self._views.ledger.balances(account.account, sub)
        ]
        return {
            "account": account.account,
            "number": activity.number,
            **self._as_of(activity),
            "orders": [self._row(_as_told(one)) for one in orders],
            "balances": balances,
            "switch_deadline_ns": activity.switch_deadline_ns or None,
            "limits": self._limits(account.account),
        }

    def _as_of(self, activity: AccountActivity) -> dict[str, Any]:
        return {"log_ns": self._views.applied_time_ns, "complete_since_ns": activity.forgotten_ns}

    def _limits(self, account: int) -> dict[str, Any]:
        earned = int(STATUS[tier(self._views.token.staked(account))][1])
        number = max(earned, self._views.rates.by_account.get(account, 0))
        (commands, burst), (cancels, cancel_burst) = RATE_CLASSES[number]
        return {
            "rate_class": number,
            "commands_per_s": commands,
            "commands_at_once": burst,
            "cancels_per_s": cancels,
            "cancels_at_once": cancel_burst,
            "live_keys": KEYS_PER_ACCOUNT,
        }

    def order_of_key(self, name: str, key: str) -> dict[str, Any]:
        """The latest order that was placed under a client key; `order` is null when there is none.

        Nothing is missed among orders that were open after `complete_since_ns`: without an order in this
        answer, and with `log_ns` behind the last moment at which its command was valid, it never was one.
        """
        raw = key.encode()
        if not 0 < len(raw) <= KEY_BYTES:
            detail = f"a client key has 1 to {KEY_BYTES} bytes, not {len(raw)}"
            raise ApiFailure(422, "BAD_CLIENT_KEY", detail)
        padded = raw.ljust(KEY_BYTES, b"\0")
        account = self._directory.account(name).account
        activity = self._views.activity.of(account)
        found = self._views.orders.by_client_key(account, padded)
        if found is not None:
            row: dict[str, Any] | None = self._row(_as_told(found))
        else:
            ended = activity.ended.get(padded)
            row = None if ended is None else self._row(ended)
        return {"order": row, "number": activity.number, **self._as_of(activity)}

    def fills(self, name: str, after: int, since_ns: int, limit: int) -> dict[str, Any]:
        """Executions behind event `after` and not before `since_ns`, oldest first. What is not behind event
        `complete_after`, which was at `complete_since_ns`, may lack.
        """
        activity = self._views.activity.of(self._directory.account(name).account)
        wanted = [one for one in activity.fills if one.number > after and one.order.time_ns >= since_ns]
        return {
            "fills": [self.news(one) for one in wanted[:limit]],
            "more": len(wanted) > limit,
            "complete_after": activity.fills_from,
            "complete_since_ns": activity.fills_since_ns,
            "number": activity.number,
        }

    # ---- rows --------------------------------------------------------------------------------------

    def news(self, one: News) -> dict[str, Any]:
        """An event of an account."""
        if isinstance(one, OrderTold):
            return {"what": "order", "number": one.number, **_stamp(one), "order": self._row(one)}
        if isinstance(one, FillTold):
            scale = self._directory.named(one.order.market).scale
            return {
                "what": "fill",
                "number": one.number,
                **_stamp(one.order),
                "order": self._row(one.order),
                "trade": one.trade,
                "price": plain_text(scale.price(one.price)),
                "size": plain_text(scale.size(one.lots)),
                "fee": amount_text(one.fee),
                "maker": one.maker,
            }
        if isinstance(one, SwitchTold):
            return {
                "what": "switch",
                "number": one.number,
                **_stamp(one),
                "deadline_ns": one.deadline_ns or None,
                "fired": one.fired,
            }
        return self._funds(one)

    def _funds(self, one: FundsTold) -> dict[str, Any]:
        return {
            "what": "funds",
            "number": one.number,
            **_stamp(one),
            "sub": one.sub,
            "asset": self._views.assets.by_number[one.asset].symbol,
            "free": amount_text(one.free),
            "held": amount_text(one.held),
            "cause": one.cause or None,
            "moved": amount_text(one.moved) if one.moved else None,
        }

    def _row(self, one: OrderTold) -> dict[str, Any]:
        named = self._directory.named(one.market)
        scale = named.scale
        return {
            "order": one.order,
            "client_key": one.client_key.hex(),
            "market": one.market,
            "symbol": named.symbol,
            "outcome": outcome_name(named, one.outcome) if named.market.outcome_count > 1 else None,
            "sub": one.sub,
            "side": one.side.name.lower(),
            "price": plain_text(scale.price(one.price)),
            "quantity": plain_text(scale.size(one.total_lots)),
            "filled": plain_text(scale.size(one.filled_lots)),
            "remaining": plain_text(scale.size(one.remaining_lots)),
            "fees": amount_text(one.fees),
            "status": str(one.status),
            "reason": one.reason,
            "accepted_ns": one.accepted_ns,
            "updated_ns": one.time_ns,
        }


def _stamp(one: OrderTold | FundsTold | SwitchTold) -> dict[str, Any]:
    return {"seq": one.seq, "time_ns": one.time_ns}


def _as_told(one: Order) -> OrderTold:
    return OrderTold(
        0,
        one.accepted_seq,
        one.updated_ns,
        one.sub,
        one.market,
        one.order,
        one.outcome,
        one.client_key,
        one.side,
        one.price,
        one.total_lots,
        one.filled_lots,
        one.remaining_lots,
        one.fees,
        one.status,
        None if one.reason is None else one.reason.name.lower(),
        one.accepted_ns,
        one.accepted_seq,
    )


def _whole(request: Request, name: str, usual: int, low: int, high: int) -> int:
    text = request.query_params.get(name)
    if text is None:
        return usual
    if not (text.isascii() and text.isdecimal()) or len(text) > 19 or not low <= int(text) <= high:
        raise ApiFailure(422, "PARAMETER_OUT_OF_BOUNDS", f"{name} must be from {low} to {high}", bound=high)
    return int(text)


def trading_reads(reads: TradingReads) -> list[tuple[str, Callable[[Request], Any], str]]:
    """Every view for trading clients."""
    return [
        ("/time", lambda _: reads.time(), "The clock of the log"),
        (
            "/accounts/{name}/trading",
            lambda r: reads.account(r.path_params["name"]),
            "Orders, balances and limits of an account, with the number of its last event",
        ),
        (
            "/accounts/{name}/orders/{key}",
            lambda r: reads.order_of_key(r.path_params["name"], r.path_params["key"]),
            "The latest order under a client key",
        ),
        (
            "/accounts/{name}/fills",
            lambda r: reads.fills(
                r.path_params["name"],
                _whole(r, "after", 0, 0, 1 << 62),
                _whole(r, "since_ns", 0, 0, 1 << 62),
                _whole(r, "limit", MAX_FILLS, 1, MAX_FILLS),
            ),
            "Executions of an account, oldest first",
        ),
    ]
