"""Calls of a key: orders and trades, balances, heartbeats, keys."""

from __future__ import annotations

import asyncio
import secrets
import uuid
from collections.abc import Mapping
from typing import Any, Final

import msgspec
import structlog

from tradewind.gateways.exchange_outcomes import COLLATERAL
from tradewind.gateways.model import Refused
from tradewind.gateways.polymarket import errors
from tradewind.gateways.polymarket.auth import Caller, secret_text
from tradewind.gateways.polymarket.desk import Desk
from tradewind.gateways.polymarket.errors import PolymarketError
from tradewind.gateways.polymarket.numbers import NS_PER_S, micro_text
from tradewind.gateways.polymarket.public import Query, page, paged
from tradewind.gateways.polymarket.rows import Row, order_row, trade_row
from tradewind.gateways.polymarket.wallets import same_address
from tradewind.venues.polymarket.typed_data import EXCHANGES

log = structlog.get_logger("tradewind.gateway")

ORDER_ID_LENGTH: Final = 66
ALLOWANCE: Final = str((1 << 256) - 1)
"""Nothing has to be approved here: what an account holds, it may trade."""
ASSET_TYPES: Final = ("COLLATERAL", "CONDITIONAL")
MAX_HEARTS: Final = 1_000
RETRY_S: Final = 0.2


def order_id(text: Any) -> str:
    """An order id in its usual form. Raises `PolymarketError`."""
    if not isinstance(text, str) or len(text) != ORDER_ID_LENGTH or not text.startswith("0x"):
        raise PolymarketError(400, errors.INVALID_ORDER_ID)
    return text.lower()


class AccountCalls:
    """Each returns what is encoded, or raises `PolymarketError`."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def key_row(self, caller_key: Any) -> Row:
        """A fresh or derived key, secret and all."""
        return {
            "apiKey": caller_key.key,
            "secret": secret_text(caller_key),
            "passphrase": caller_key.passphrase,
        }

    def api_keys(self, caller: Caller) -> Any:
        rows = self._desk.exchange.keys.of_account(caller.account)
        return {"apiKeys": [one.key for one in rows if one.passphrase]}

    def delete_key(self, caller: Caller) -> Any:
        try:
            self._desk.exchange.keys.remove(caller.key.key)
        except OSError:
            raise PolymarketError(500, "Could not delete API key") from None
        return "OK"

    # ---- orders and trades ---------------------------------------------------------------------------

    def order(self, caller: Caller, reference: str, *, stale: bool = False) -> Any:
        found = self._desk.outcomes.order(caller.account, order_id(reference))
        if found is None:
            raise PolymarketError(404, errors.NO_ORDER)
        row = order_row(found)
        return {**row, "status": "LIVE", "size_matched": "0", "associate_trades": []} if stale else row

    def orders(self, caller: Caller, query: Query) -> Any:
        market, asset, name = (query.get(field, "") for field in ("market", "asset_id", "id"))
        chosen = [
            one
            for one in reversed(self._desk.outcomes.working(caller.account))
            if market in ("", one.token.market.condition_id)
            and asset in ("", one.token.token_id)
            and name in ("", one.reference)
        ]
        return paged(chosen, query.get("next_cursor", ""), order_row)

    def trades(self, caller: Caller, query: Query) -> Any:
        now_ns = self._desk.now_ns()
        after, before = _seconds(query, "after", 0), _seconds(query, "before", 1 << 40)
        market, asset, maker = (query.get(field, "") for field in ("market", "asset_id", "maker_address"))
        rows = []
        name = query.get("id", "")
        found = [self._desk.outcomes.trade(caller.account, name)] if name else []
        source = found if name else reversed(self._desk.outcomes.trades(caller.account))
        for trade in source:
            if trade is None or not after <= trade.time_ns // NS_PER_S <= before:
                continue
            roles = [
                (party, role)
                for party, role in ((trade.taker, "taker"), (trade.resting, "maker"))
                if party.account == caller.account
            ]
            for party, role in roles:
                tokens = (trade.taker.token.token_id, party.token.token_id)
                if (
                    market in ("", trade.market.condition_id)
                    and (not asset or asset in tokens)
                    and (not maker or same_address(maker, party.maker))
                ):
                    rows.append((trade, role))
        chosen, following = page(rows, query.get("next_cursor", ""))
        data = [trade_row(self._desk, trade, caller.account, role, now_ns) for trade, role in chosen]
        return {"data": data, "next_cursor": following, "limit": 500, "count": len(data)}

    # ---- money ---------------------------------------------------------------------------------------

    def balance(self, caller: Caller, query: Query) -> Any:
        """What the wallet holds, in millionths; what secures open orders is part of it."""
        kind = query.get("asset_type", "")
        if kind not in ASSET_TYPES:
            raise PolymarketError(400, "Invalid asset type")
        if query.get("signature_type", "0") not in ("0", "1", "2"):
            raise PolymarketError(400, "Invalid signature_type")
        outcomes = self._desk.outcomes
        if kind == "COLLATERAL":
            free, held = outcomes.collateral(caller.account)
        else:
            one = outcomes.holding(caller.account, self._desk.token(query.get("token_id", "")))
            free, held = one.free, one.held
        return {
            "balance": micro_text(free + held),
            "allowances": {contract: ALLOWANCE for contract in EXCHANGES.values()},
        }

    def update_balance(self, caller: Caller, query: Query) -> Any:
        """The venue re-reads the chain; here nothing has to be read again. The arguments are checked."""
        self.balance(caller, query)
        return ""


def _seconds(query: Query, name: str, default: int) -> int:
    text = query.get(name, "")
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 12:
        raise PolymarketError(400, "Invalid trade params payload")
    return int(text)


class _Heart(msgspec.Struct):
    beat: str
    timer: asyncio.TimerHandle


class Hearts:
    """Who sends heartbeats, and what happens when they stop: every order of the account is cancelled.

    It begins with the first heartbeat of an account. Each one names the answer to the one before; a wrong one
    is told the right one and does not count.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._hearts: dict[str, _Heart] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.stopped = 0
        """Accounts whose orders were cancelled for silence, since the start."""

    def beat(self, caller: Caller, given: str) -> tuple[int, Mapping[str, Any]]:
        """Status and body of the answer."""
        heart = self._hearts.get(caller.account)
        wanted = "" if heart is None else heart.beat
        if given != wanted:
            return 400, {"error_msg": "Invalid Heartbeat ID", "heartbeat_id": wanted}
        if heart is None and len(self._hearts) >= MAX_HEARTS:
            return 503, {"error": errors.DISABLED}
        if heart is not None:
            heart.timer.cancel()
        fresh = str(uuid.UUID(bytes=secrets.token_bytes(16), version=4))
        loop = asyncio.get_running_loop()
        timer = loop.call_later(self._desk.options.heartbeat_s, self._missed, caller.account)
        self._hearts[caller.account] = _Heart(fresh, timer)
        return 200, {"status": "ok", "heartbeat_id": fresh}

    def _missed(self, account: str) -> None:
        self._hearts.pop(account, None)
        self.stopped += 1
        task = asyncio.create_task(self._cancel(account), name="polymarket-heartbeat")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _cancel(self, account: str) -> None:
        """Until it has worked, or the exchange has stopped: silence must not leave orders behind."""
        log.warning("polymarket_heartbeat_missed", account=account)
        while self._desk.exchange.node.stop_reason is None:
            answers = await self._desk.outcomes.cancel_all(account)
            if not any(isinstance(one, Refused) for one in answers.values()):
                return
            await asyncio.sleep(RETRY_S)

    async def close(self) -> None:
        """Ends the timers; what is being cancelled is cancelled."""
        for heart in self._hearts.values():
            heart.timer.cancel()
        self._hearts.clear()
        await asyncio.gather(*self._tasks, return_exceptions=True)


__all__ = ["COLLATERAL", "AccountCalls", "Hearts", "order_id"]
