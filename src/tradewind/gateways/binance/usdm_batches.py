"""Several orders in one call, and the timers that cancel a market's orders (`countdownCancelAll`)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
import structlog

from tradewind.gateways.exchange import Exchange
from tradewind.gateways.model import Refused

from . import trading
from .calls import Context
from .errors import BinanceError, invalid_data, missing
from .parameters import Parameters, from_json
from .usdm_orders import body_of, place_order

log = structlog.get_logger("tradewind.gateway")
MAX_PLACED: Final = 5
MAX_CANCELLED: Final = 10
MAX_COUNTDOWN_MS: Final = 86_400_000
"""The venue names no bound; a day is this gateway's."""
AGAIN_S: Final = 1.0
"""Behind a cancel of a timer that the exchange could not carry out."""


async def one_by_one(works: list[Callable[[], Awaitable[Any]]]) -> list[Any]:
    """Each answer, or each error in its place; one that fails does not stop the next."""
    answers = []
    for work in works:
        try:
            answers.append(await work())
        except BinanceError as error:
            answers.append(error.body())
    return answers


async def place_batch(context: Context, parameters: Parameters) -> Any:
    """Orders in the sequence in which they were sent."""
    text = parameters.required("batchOrders")
    parameters.finish()
    rows = read_list(text, "batchOrders", MAX_PLACED)
    entries = [Parameters(from_json(row)) for row in rows]
    trading.check_time(context)

    def place(entry: Parameters) -> Callable[[], Awaitable[Any]]:
        return lambda: place_order(context, entry)

    return await one_by_one([place(entry) for entry in entries])


async def cancel_batch(context: Context, parameters: Parameters) -> Any:
    """By numbers or by names of the client, as many as ten. Clients write both lists in small letters too."""
    symbol = context.symbol(parameters.symbol())
    numbers = parameters.text("orderIdList") or parameters.text("orderidlist")
    names = parameters.text("origClientOrderIdList") or parameters.text("origclientorderidlist")
    parameters.finish()
    if numbers is None and names is None:
        raise missing("orderIdList")
    if numbers is not None:
        rows = read_list(numbers, "orderIdList", MAX_CANCELLED)
    else:
        rows = read_list(names or "", "origClientOrderIdList", MAX_CANCELLED)
    wanted = int if numbers is not None else str
    if not all(isinstance(row, wanted) and not isinstance(row, bool) for row in rows):
        raise invalid_data("orderIdList" if numbers is not None else "origClientOrderIdList")
    trading.check_time(context)

    def cancel(row: Any) -> Callable[[], Awaitable[Any]]:
        async def work() -> Any:
            number, name = (row, None) if wanted is int else (None, row)
            order, _ = await trading.cancel(context, symbol, number, name, cancel_id="")
            return body_of(context, order)

        return work

    return await one_by_one([cancel(row) for row in rows])


def read_list(text: str, name: str, most: int) -> list[Any]:
    """A JSON array of 1 to `most` entries. Raises -1130, or -4082 for another number of them."""
    try:
        rows = msgspec.json.decode(text, type=list[Any])
    except (msgspec.DecodeError, UnicodeError):
        raise invalid_data(name) from None
    if not 1 <= len(rows) <= most:
        raise BinanceError(-4082, "Invalid number of batch place orders.")
    return rows


class Countdowns:
    """One timer for each account and market, at most that many. They end with the gateway."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._timers: dict[tuple[str, str], asyncio.TimerHandle] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.fired = 0

    async def call(self, context: Context, parameters: Parameters) -> Any:
        """`countdownCancelAll`: arms, arms anew or disarms the timer of a market."""
        symbol = context.symbol(parameters.symbol())
        milliseconds = parameters.whole("countdownTime")
        parameters.finish()
        if milliseconds is None:
            raise missing("countdownTime")
        if not 0 <= milliseconds <= MAX_COUNTDOWN_MS:
            raise invalid_data("countdownTime")
        trading.check_time(context)
        key = (context.account, symbol.market.symbol)
        if not context.lost:
            self._disarm(key)
            if milliseconds:
                self._arm(key, milliseconds / 1_000)
        return {"symbol": symbol.name, "countdownTime": str(milliseconds)}

    def armed(self, account: str) -> list[str]:
        """Markets in which an account has a timer."""
        return [symbol for owner, symbol in self._timers if owner == account]

    def close(self) -> None:
        """Timers end without having fired."""
        for timer in self._timers.values():
            timer.cancel()
        for task in self._tasks:
            task.cancel()
        self._timers.clear()

    def _arm(self, key: tuple[str, str], seconds: float) -> None:
        self._timers[key] = asyncio.get_running_loop().call_later(seconds, self._fire, key)

    def _disarm(self, key: tuple[str, str]) -> None:
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()

    def _fire(self, key: tuple[str, str]) -> None:
        del self._timers[key]
        task = asyncio.create_task(self._cancel(key), name="gateway-countdown")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _cancel(self, key: tuple[str, str]) -> None:
        account, symbol = key
        while isinstance(answer := await self._exchange.cancel_all(account, symbol), Refused):
            log.warning("gateway_countdown", market=symbol, refused=answer.message)
            if key in self._timers:
                return  # its owner is back
            await asyncio.sleep(AGAIN_S)
        self.fired += 1
