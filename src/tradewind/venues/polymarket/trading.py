"""Orders of a Polymarket connector: checks, signing, submits, cancels, and how silence is kept apart from no.

An immediate purchase is not sent as FAK: there the venue spends an amount, and a better price would buy more
than was wanted. It goes as a lasting order that is cancelled at once.
"""

from __future__ import annotations

import asyncio
import re
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable
from typing import Final

import msgspec

from tradewind.venues.codes import RejectCode
from tradewind.venues.market_data import Side
from tradewind.venues.polymarket.directory import TokenRules
from tradewind.venues.polymarket.intents import Intent, IntentBook, salt_of
from tradewind.venues.polymarket.messages import LOT_MICRO, MICRO, CancelAnswer, OrderAnswer
from tradewind.venues.polymarket.mirror import Mirror
from tradewind.venues.polymarket.options import PolymarketOptions
from tradewind.venues.polymarket.private_channel import PrivateChannel
from tradewind.venues.polymarket.refusals import refusal_of
from tradewind.venues.polymarket.rest import CANCEL_ALL, ORDERS, Failed, PolymarketRest
from tradewind.venues.polymarket.typed_data import EXCHANGES, ZERO_WORD, OrderMessage, order_digest
from tradewind.venues.protocol import (
    FINAL_PHASES,
    Acked,
    AlreadyFinal,
    CancelAfterResult,
    CancelAllResult,
    CancelledAll,
    ChangeResult,
    NewOrder,
    OrderRef,
    OrderState,
    OrderType,
    Rejected,
    SubmitResult,
    TimeInForce,
    Uncertain,
    Unsupported,
    VenueState,
)

CLIENT_ID: Final = re.compile(r"[0-9A-Za-z_-]{1,64}")
MAX_LOTS: Final = 1 << 40
MAX_SENT: Final = 100_000
MAX_DOUBTFUL: Final = 1_000
CANCEL_RETRY_S: Final = 0.5
LOCAL_CODES: Final = {
    "StaleEpoch": RejectCode.STALE_EPOCH,
    "KeyQuarantined": RejectCode.KEY_QUARANTINED,
    "RateLimitedLocal": RejectCode.RATE_LIMITED_LOCAL,
}


class Trading(ABC):
    """The part of a connector that changes something."""

    rest: PolymarketRest
    intents: IntentBook
    options: PolymarketOptions
    mirror: Mirror
    channel: PrivateChannel
    _sent: dict[str, int]
    """When each of our ids was last sent, ns; the oldest are forgotten."""
    _ending: set[str]
    """Hashes of immediate purchases that are being cancelled."""

    @abstractmethod
    async def _ask(self, reference: str) -> OrderState | Failed:
        """One order by its hash."""

    @abstractmethod
    def _absence_is_proven(self, client_id: str) -> bool:
        """Whether an order that the venue does not know now will never appear."""

    @abstractmethod
    def _spawn(self, work: Awaitable[None]) -> None:
        """Work that ends with the connector."""

    # ---- submit ------------------------------------------------------------------------------------------

    async def submit(self, order: NewOrder, epoch: int) -> SubmitResult:
        """Send one order. The same id again posts the identical bytes, which never makes a second order."""
        order = msgspec.structs.replace(order, side=Side(order.side))
        refusal = self._epoch_refusal(epoch) or self._refusal(order)
        if refusal is not None:
            return refusal
        rules = self.mirror.directory.by_symbol[order.symbol]
        intent = self.intents.find(order.client_id)
        if intent is None:
            intent = self._signed(order, rules)
            try:
                await self.intents.add(intent)
            except (OSError, ValueError) as error:
                return Rejected(RejectCode.NOT_LIVE, f"cannot journal the order: {error}"[:200], False)
        elif not _same(intent, order):
            return Rejected(RejectCode.DUPLICATE_CLIENT_ID, "another order has this client id", True)
        return await self._post(intent, immediate=order.time_in_force is TimeInForce.IOC or _at_market(order))

    async def _post(self, intent: Intent, *, immediate: bool) -> SubmitResult:
        self._sent[intent.client_id] = sent_ns = time.time_ns()
        if len(self._sent) > MAX_SENT:
            del self._sent[next(iter(self._sent))]
        answer = await self.rest.call(
            "POST",
            "/order",
            OrderAnswer,
            body=intent.body.encode(),
            timeout_s=self.options.answer_timeout_s,
        )
        result = self._posted(answer, intent, sent_ns)
        if isinstance(result, Acked | Uncertain) and immediate and intent.order_type == "GTC":
            gone = await self._end(intent.reference)
            if not gone:
                self._keep_ending(intent.reference)
        return result

    def _posted(self, answer: OrderAnswer | Failed, intent: Intent, sent_ns: int) -> SubmitResult:
        if isinstance(answer, Failed):
            if not answer.sent:
                return _local(answer.reason)
            text = answer.reason
            refusal = refusal_of(answer.status, text) if answer.status else None
        elif answer.success:
            right = answer.orderID.lower() == intent.reference
            return Acked(intent.reference) if right else Uncertain("the venue names another order", sent_ns)
        else:
            text = answer.errorMsg or "refused without a reason"
            refusal = refusal_of(400, text)
        if refusal is None:
            return Uncertain(text[:200], sent_ns)
        if refusal.code == RejectCode.DUPLICATE_CLIENT_ID:
            return Acked(intent.reference)  # proof that these very bytes arrived before (T7.6)
        return refusal

    def _keep_ending(self, reference: str) -> None:
        """An immediate purchase whose cancel was not answered: again until the venue says that it is over."""
        if reference in self._ending or len(self._ending) >= MAX_DOUBTFUL:
            return
        self._ending.add(reference)

        async def again() -> None:
            try:
                while not await self._end(reference):  # noqa: ASYNC110 - it asks the venue
                    await asyncio.sleep(CANCEL_RETRY_S)
            finally:
                self._ending.discard(reference)

        self._spawn(again())

    async def _end(self, reference: str) -> bool:
        """Whether an order is over, or proven not to be there."""
        body = msgspec.json.encode({"orderID": reference})
        answer = await self.rest.call("DELETE", "/order", CancelAnswer, body=body)
        if isinstance(answer, CancelAnswer) and reference in answer.canceled:
            return True
        state = await self._ask(reference)
        if isinstance(state, OrderState):
            self.mirror.apply(state)
            return state.phase in FINAL_PHASES
        intent = self.intents.of_reference(reference)
        return state.status == 404 and (intent is None or self._absence_is_proven(intent.client_id))

    def _signed(self, order: NewOrder, rules: TokenRules) -> Intent:
        shares = order.lots * LOT_MICRO
        quote = order.price_ticks * int(rules.instrument.tick * MICRO) * order.lots * LOT_MICRO // MICRO
        made_ns = time.time_ns()
        message = OrderMessage(
            salt=salt_of(order.client_id),
            maker=self.rest.address,
            signer=self.rest.address,
            token_id=int(rules.token_id),
            maker_amount=quote if order.side is Side.BUY else shares,
            taker_amount=shares if order.side is Side.BUY else quote,
            side=int(order.side),
            signature_type=0,
            timestamp=made_ns // 1_000_000,
        )
        digest = order_digest(message, self.options.chain_id, EXCHANGES[rules.neg_risk])
        immediate = order.time_in_force is TimeInForce.IOC or _at_market(order)
        order_type = "FAK" if immediate and order.side is Side.SELL else "GTC"
        body = {
            "order": {
                "salt": message.salt,
                "maker": message.maker,
                "signer": message.signer,
                "tokenId": rules.token_id,
                "makerAmount": str(message.maker_amount),
                "takerAmount": str(message.taker_amount),
                "side": "BUY" if order.side is Side.BUY else "SELL",
                "expiration": "0",
                "signatureType": 0,
                "timestamp": str(message.timestamp),
                "metadata": ZERO_WORD,
                "builder": ZERO_WORD,
                "signature": "0x" + self.rest.wallet.sign(digest).hex(),
            },
            "owner": self.rest.credentials.key,
            "orderType": order_type,
            "deferExec": False,
            "postOnly": order.post_only,
        }
        return Intent(
            client_id=order.client_id,
            reference="0x" + digest.hex(),
            symbol=order.symbol,
            side=order.side,
            price_ticks=order.price_ticks,
            lots=order.lots,
            order_type=order_type,
            post_only=order.post_only,
            body=msgspec.json.encode(body).decode(),
            made_ns=made_ns,
        )

    # ---- checks ------------------------------------------------------------------------------------------

    def _epoch_refusal(self, epoch: int) -> Rejected | None:
        if epoch < self.rest.epoch:
            return Rejected(RejectCode.STALE_EPOCH, f"epoch {epoch} after {self.rest.epoch}", True)
        self.rest.epoch = epoch
        return None

    def _refusal(self, order: NewOrder) -> Rejected | None:
        rules = self.mirror.directory.by_symbol.get(order.symbol)
        if rules is None:
            return Rejected(RejectCode.UNKNOWN_SYMBOL, f"no token {order.symbol[:60]!r}", True)
        if not CLIENT_ID.fullmatch(order.client_id):
            return Rejected(RejectCode.BAD_CLIENT_ID, "1 to 64 letters, digits, - and _", True)
        return self._form_refusal(order, rules) or self._state_refusal(order, rules)

    def _form_refusal(self, order: NewOrder, rules: TokenRules) -> Rejected | None:
        if order.price_ticks <= 0 or not 0 < order.lots <= MAX_LOTS:
            return Rejected(RejectCode.BAD_NUMBER, f"{order.lots} lots at {order.price_ticks} ticks", True)
        immediate = order.time_in_force is not TimeInForce.GTC or _at_market(order)
        if order.reduce_only:
            return Rejected(RejectCode.TYPE_UNSUPPORTED, "shares are owned, there is no position", True)
        if order.time_in_force is TimeInForce.FOK or (immediate and order.post_only):
            return Rejected(RejectCode.TYPE_UNSUPPORTED, "no fill-or-kill of a size here", True)
        most = rules.whole_ticks - 1
        if order.price_ticks > most:
            text = f"{order.price_ticks} ticks are above {most}"
            return Rejected(RejectCode.OUTSIDE_BAND, text, True, nearest_below=most)
        least = int((rules.instrument.min_quantity or 0) / rules.instrument.lot)
        if order.lots < least:
            text = f"{order.lots} lots are below {least}"
            return Rejected(RejectCode.BELOW_MIN_QTY, text, True, nearest_above=least)
        return None

    def _state_refusal(self, order: NewOrder, rules: TokenRules) -> Rejected | None:
        if rules.state is not VenueState.ONLINE:
            code = RejectCode.SYMBOL_CLOSED if rules.state is VenueState.DELISTED else RejectCode.CANCEL_ONLY
            return Rejected(code, f"{order.symbol} is {rules.state}", False)
        link = self.channel.link
        if not link.live:
            return Rejected(RejectCode.NOT_LIVE, f"user channel is {link.phase}: {link.reason}"[:200], False)
        if self.channel.problems:
            return Rejected(RejectCode.NOT_LIVE, f"unmapped: {self.channel.problems[0]}"[:200], False)
        if self.rest.lane.quarantined:
            return Rejected(RejectCode.KEY_QUARANTINED, self.rest.lane.quarantined, False)
        return None

    # ---- amend and cancel --------------------------------------------------------------------------------

    async def amend(
        self, reference: OrderRef, epoch: int, *, lots: int | None = None, price_ticks: int | None = None
    ) -> ChangeResult:
        """The venue cannot: a signed order is what it is."""
        refusal = self._epoch_refusal(epoch)
        return refusal or Rejected(RejectCode.TYPE_UNSUPPORTED, "signed orders cannot be changed", True)

    async def cancel(self, reference: OrderRef, epoch: int) -> ChangeResult:
        """Cancel one order. Acknowledged only when the venue says that it is gone."""
        refusal = self._epoch_refusal(epoch)
        if refusal is not None:
            return refusal
        intent = self.intents.find(reference.client_id)
        name = intent.reference if intent is not None else reference.venue_id
        if name is None:
            return Rejected(RejectCode.UNKNOWN_ORDER, "never sent from here", False)
        sent_ns = time.time_ns()
        answer = await self.rest.call(
            "DELETE",
            "/order",
            CancelAnswer,
            body=msgspec.json.encode({"orderID": name}),
            timeout_s=self.options.answer_timeout_s,
        )
        if isinstance(answer, Failed):
            return self._cancel_failed(answer, sent_ns)
        state = await self._ask(name)
        if isinstance(state, OrderState):
            self.mirror.apply(state)
        if name in answer.canceled:
            return Acked(name)
        return self._not_cancelled(reference.client_id, state, answer.not_canceled.get(name, ""), sent_ns)

    def _not_cancelled(
        self, client_id: str, state: OrderState | Failed, why: str, sent_ns: int
    ) -> ChangeResult:
        """What a cancel that cancelled nothing means: the order's end, or its absence once that is proven."""
        if isinstance(state, OrderState):
            ended = state.phase in FINAL_PHASES
            return AlreadyFinal(state) if ended else Uncertain(why[:200] or "not cancelled", sent_ns)
        if state.status == 404 and self._absence_is_proven(client_id):
            return Rejected(RejectCode.UNKNOWN_ORDER, "the venue does not know the order", False)
        return Uncertain(state.reason or "the order may still arrive", sent_ns)

    def _cancel_failed(self, answer: Failed, sent_ns: int) -> Rejected | Uncertain:
        if not answer.sent:
            return _local(answer.reason)
        refusal = refusal_of(answer.status, answer.reason) if answer.status else None
        return refusal or Uncertain(answer.reason, sent_ns)

    async def cancel_all(self, symbol: str | None, epoch: int) -> CancelAllResult:
        """Cancel every working order, or those of one token."""
        refusal = self._epoch_refusal(epoch)
        if refusal is not None:
            return refusal
        path, body = "/cancel-all", b""
        if symbol is not None:
            rules = self.mirror.directory.by_symbol.get(symbol)
            if rules is None:
                return Rejected(RejectCode.UNKNOWN_SYMBOL, f"no token {symbol[:60]!r}", True)
            path = "/cancel-market-orders"
            body = msgspec.json.encode({"market": rules.condition_id, "asset_id": rules.token_id})
        sent_ns = time.time_ns()
        window = CANCEL_ALL if symbol is None else ORDERS
        answer = await self.rest.call("DELETE", path, CancelAnswer, body=body, window=window)
        if isinstance(answer, Failed):
            return self._cancel_failed(answer, sent_ns)
        names = []
        for reference in answer.canceled:
            intent = self.intents.of_reference(reference)
            names.append(reference if intent is None else intent.client_id)
        return CancelledAll(tuple(names))

    async def cancel_after(self, seconds: int, epoch: int) -> CancelAfterResult:
        """The venue's timer has no span to choose: heartbeats hold it."""
        return self._epoch_refusal(epoch) or Unsupported(
            "the venue cancels 10 s behind the last heartbeat; the connector sends them"
        )


def _at_market(order: NewOrder) -> bool:
    return order.order_type is OrderType.MARKET


def _same(intent: Intent, order: NewOrder) -> bool:
    """Whether an order is the one that was signed under its id."""
    immediate = order.time_in_force is TimeInForce.IOC or _at_market(order)
    order_type = "FAK" if immediate and order.side is Side.SELL else "GTC"
    return (
        intent.symbol, intent.side, intent.price_ticks, intent.lots, intent.order_type, intent.post_only,
    ) == (order.symbol, order.side, order.price_ticks, order.lots, order_type, order.post_only)  # fmt: skip


def _local(reason: str) -> Rejected:
    """What never left this host."""
    code = LOCAL_CODES.get(reason.partition(":")[0], RejectCode.NOT_LIVE)
    return Rejected(code, reason, code is RejectCode.STALE_EPOCH)
