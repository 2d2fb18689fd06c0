"""What the API shows of the platform's token. It changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from fastapi import Request

from tradewind.api.desk import Desk
from tradewind.api.numbers import amount_text
from tradewind.node.projections.token import POOLS, STATUS, SUPPLY, Lot, Schedule, tier

MAX_ROWS: Final = 1_000


class TokenReads:
    """Plain documents. Amounts are decimal text."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._views = desk.views

    def _name(self, account: int) -> str:
        owner = self._views.accounts.by_handle[account].owner_key
        return self._desk.identities.name_of(owner) or str(account)

    def _symbol(self, asset: int) -> str:
        return self._views.assets.by_number[asset].symbol

    def token(self) -> dict[str, Any]:
        """Supply, pools, the season in course, stakes in all. `issued` false: there is no token."""
        view, now_ns = self._views.token, self._desk.node.now_ns()
        if view.asset is None:
            return {"issued": False}
        supply = view.supply(self._views.ledger)
        seasons = [
            {
                "season": one.season,
                "budget": amount_text(one.budget),
                "emitted": amount_text(one.emitted(now_ns)),
                "paid": amount_text(one.paid),
                "start_ns": one.start_ns,
                "end_ns": one.end_ns,
                "state": "settled" if one.settled else "active",
            }
            for one in view.seasons.values()
        ]
        return {
            "issued": True,
            "asset": self._symbol(view.asset),
            "supply": amount_text(SUPPLY),
            **{line: amount_text(amount) for line, amount in supply.items()},
            "issued_ns": view.issued_ns,
            "staked": amount_text(sum(view.staked(account) for account in view.lots)),
            "total_weight": amount_text(view.total_weight),
            "pools": [self._pool_row(number, now_ns) for number in range(len(POOLS))],
            "seasons": seasons[-MAX_ROWS:],
            "rewards": [
                {
                    "asset": self._symbol(asset),
                    "shared": amount_text(fund.shared),
                    "claimed": amount_text(fund.claimed),
                }
                for asset, fund in sorted(view.funds.items())
            ],
        }

    def _pool_row(self, number: int, now_ns: int) -> dict[str, Any]:
        pool, view = POOLS[number], self._views.token
        of_pool = [one for one in view.schedules.values() if one.pool == number]
        live = sum(one.amount if not one.revoked_ns else one.vested(now_ns) for one in of_pool)
        return {
            "pool": pool.name,
            "size": amount_text(pool.size),
            "cliff_days": pool.cliff_days,
            "length_days": pool.length_days,
            "revocable": pool.revocable,
            "vested": amount_text(pool.vested(pool.size, now_ns - view.issued_ns)),
            "allocated": amount_text(live),
            "claimed": amount_text(sum(one.claimed for one in of_pool)),
        }

    def vesting(self) -> dict[str, Any]:
        """Every schedule."""
        now_ns = self._desk.node.now_ns()
        rows = [self._schedule_row(one, now_ns) for one in self._views.token.schedules.values()]
        return {"schedules": rows[-MAX_ROWS:], "count": len(rows)}

    def _schedule_row(self, one: Schedule, now_ns: int) -> dict[str, Any]:
        vested = one.vested(now_ns)
        state = "revoked" if one.revoked_ns else "locked" if now_ns < one.cliff_ns else "vesting"
        return {
            "schedule": one.schedule,
            "account": self._name(one.account),
            "pool": POOLS[one.pool].name,
            "amount": amount_text(one.amount),
            "vested": amount_text(vested),
            "claimed": amount_text(one.claimed),
            "claimable": amount_text(vested - one.claimed),
            "start_ns": one.start_ns,
            "cliff_ns": one.cliff_ns,
            "end_ns": one.end_ns,
            "state": "vested" if state == "vesting" and vested == one.amount else state,
        }

    def stakes(self, name: str) -> dict[str, Any]:
        """The stakes of an account with what waits for each, and its status."""
        account = self._desk.account(name).account
        view, now_ns = self._views.token, self._desk.node.now_ns()
        lots = view.lots.get(account, {})
        staked = view.staked(account)
        return {
            "account": self._name(account),
            "staked": amount_text(staked),
            "tier": tier(staked),
            "fee_discount_bp": STATUS[tier(staked)][0],
            "rate_class": STATUS[tier(staked)][1],
            "stakes": [self._lot_row(lots[number], now_ns) for number in sorted(lots)],
        }

    def _lot_row(self, lot: Lot, now_ns: int) -> dict[str, Any]:
        waiting = self._views.token.pending(lot, self._views.ledger)
        return {
            "lot": lot.lot,
            "amount": amount_text(lot.amount),
            "weight": amount_text(lot.weight),
            "lock_days": lot.lock_s // 86_400,
            "unlock_ns": lot.unlock_ns,
            "locked": now_ns < lot.unlock_ns,
            "pending": {self._symbol(asset): amount_text(amount) for asset, amount in waiting.items()},
        }


def token_reads(reads: TokenReads) -> list[tuple[str, Callable[[Request], Any], str]]:
    """Path, handler and summary of every reading."""
    return [
        ("/token", lambda _: reads.token(), "Supply, pools, seasons, stakes"),
        ("/token/vesting", lambda _: reads.vesting(), "Vesting schedules"),
        ("/accounts/{name}/stakes", lambda r: reads.stakes(r.path_params["name"]), "Stakes and what waits"),
    ]
