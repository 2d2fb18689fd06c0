"""Calls that change orders."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from tradewind.gateways.model import Refusal, Refused
from tradewind.gateways.outcome_model import OutcomeOrder
from tradewind.gateways.polymarket import errors
from tradewind.gateways.polymarket.account import order_id
from tradewind.gateways.polymarket.auth import Caller
from tradewind.gateways.polymarket.desk import Desk
from tradewind.gateways.polymarket.errors import PolymarketError
from tradewind.gateways.polymarket.numbers import plain
from tradewind.gateways.polymarket.requests import Wanted, read_order, request_of
from tradewind.gateways.polymarket.rows import Row, transaction_hash
from tradewind.venues.market_data import Side
from tradewind.venues.protocol import FINAL_PHASES

MAX_ORDERS: Final = 15
MAX_CANCELS: Final = 3_000


class OrderCalls:
    """Each returns what is encoded, or raises `PolymarketError`."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._market_orders = asyncio.Lock()
        """A market purchase is sized by the book: between looking and taking nobody else of ours takes."""

    async def post(self, caller: Caller, payload: Any, *, lose: bool = False) -> Row:
        """One order."""
        answer = await self._place(caller, read_order(self._desk, caller, payload), lose=lose)
        if isinstance(answer, PolymarketError):
            raise answer
        return answer

    async def post_many(self, caller: Caller, payload: Any) -> list[Row]:
        """At most 15 orders, each on its own and in their order."""
        if not isinstance(payload, list) or not payload:
            raise PolymarketError(400, errors.INVALID_ORDER)
        if len(payload) > MAX_ORDERS:
            text = f"Too many orders in payload: {len(payload)}, max allowed: {MAX_ORDERS}"
            raise PolymarketError(400, text)
        rows = []
        for one in payload:
            try:
                wanted = read_order(self._desk, caller, one)
            except PolymarketError as error:
                rows.append(_failed(error, ""))
                continue
            answer = await self._place(caller, wanted)
            failed = isinstance(answer, PolymarketError)
            rows.append(_failed(answer, wanted.reference) if isinstance(answer, PolymarketError) else answer)
            if failed and isinstance(answer, PolymarketError) and answer.status == 503:
                break
        return rows

    async def _place(self, caller: Caller, wanted: Wanted, *, lose: bool = False) -> Row | PolymarketError:
        if lose:
            return _answer(wanted.reference, "live")
        try:
            if wanted.order_type in ("FOK", "FAK"):
                async with self._market_orders:
                    request = request_of(self._desk, wanted)
                    placed = await self._desk.outcomes.place(caller.account, request)
            else:
                placed = await self._desk.outcomes.place(caller.account, request_of(self._desk, wanted))
        except PolymarketError as error:
            return error
        if isinstance(placed, Refused):
            return errors.of_refusal(placed, wanted.reference)
        if wanted.order_type in ("FOK", "FAK") and not placed.filled_lots:
            killed = errors.FOK_KILLED if wanted.order_type == "FOK" else errors.FAK_KILLED
            return PolymarketError(400, killed)
        return self._placed(caller, placed)

    def _placed(self, caller: Caller, order: OutcomeOrder) -> Row:
        if not order.filled_lots:
            return _answer(order.reference, "live" if order.phase not in FINAL_PHASES else "unmatched")
        shares = order.filled_lots * order.token.market.rules.lot
        taking, making = (shares, order.cost) if order.side is Side.BUY else (order.cost, shares)
        outcomes = self._desk.outcomes
        found = [outcomes.trade(caller.account, name) for name in order.trade_ids]
        hashes = [transaction_hash(one) for one in found if one is not None]
        ended = order.phase in FINAL_PHASES
        return _answer(
            order.reference,
            "matched" if ended else "live",
            taking=taking,
            making=making,
            trades=order.trade_ids,
            hashes=hashes,
        )

    # ---- cancels -------------------------------------------------------------------------------------

    async def cancel(self, caller: Caller, payload: Any) -> Row:
        """One order by its id."""
        if not isinstance(payload, dict) or "orderID" not in payload:
            raise PolymarketError(400, errors.INVALID_ORDER)
        return await self._cancel(caller, [order_id(payload["orderID"])])

    async def cancel_many(self, caller: Caller, payload: Any) -> Row:
        """Several by their ids."""
        if not isinstance(payload, list):
            raise PolymarketError(400, errors.INVALID_ORDER)
        if len(payload) > MAX_CANCELS:
            raise PolymarketError(400, f"Too many orders in payload, max allowed: {MAX_CANCELS}")
        return await self._cancel(caller, [order_id(one) for one in payload])

    async def cancel_all(self, caller: Caller) -> Row:
        """Every order of the account."""
        return _cancelled(await self._desk.outcomes.cancel_all(caller.account))

    async def cancel_market(self, caller: Caller, payload: Any) -> Row:
        """Those of a market, of a token, or of both."""
        market = payload.get("market", "") if isinstance(payload, dict) else None
        asset = payload.get("asset_id", "") if isinstance(payload, dict) else None
        if not isinstance(market, str) or not isinstance(asset, str) or not (market or asset):
            raise PolymarketError(400, errors.INVALID_ORDER)
        answers = await self._desk.outcomes.cancel_all(caller.account, condition_id=market, token_id=asset)
        return _cancelled(answers)

    async def _cancel(self, caller: Caller, references: Sequence[str]) -> Row:
        return _cancelled(await self._desk.outcomes.cancel(caller.account, references))


def _answer(
    reference: str,
    status: str,
    *,
    taking: Decimal | None = None,
    making: Decimal | None = None,
    trades: Sequence[str] = (),
    hashes: Sequence[str] = (),
) -> Row:
    return {
        "errorMsg": "",
        "orderID": reference,
        "takingAmount": "" if taking is None else plain(taking),
        "makingAmount": "" if making is None else plain(making),
        "status": status,
        "transactionsHashes": list(hashes),
        "tradeIDs": list(trades),
        "success": True,
    }


def _failed(error: PolymarketError, reference: str) -> Row:
    return {**_answer(reference, ""), "errorMsg": error.text, "success": False}


def _cancelled(answers: Mapping[str, OutcomeOrder | Refused]) -> Row:
    refused = {name: one for name, one in answers.items() if isinstance(one, Refused)}
    for one in refused.values():
        if one.refusal in (Refusal.BUSY, Refusal.STOPPED):
            raise errors.of_refusal(one, "")
    reasons = {
        name: errors.CANCEL_ENDED if one.refusal is Refusal.ORDER_CLOSED else errors.CANNOT_CANCEL
        for name, one in refused.items()
    }
    return {"canceled": [name for name in answers if name not in refused], "not_canceled": reasons}
