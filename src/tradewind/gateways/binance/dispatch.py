"""One request from its parameters to its result, the same for REST and the WebSocket API."""

from __future__ import annotations

from typing import Any, Final

from tradewind.gateways.exchange_reads import UnknownName
from tradewind.gateways.faults import Action, Fault

from .authentication import Authenticator, Identity
from .calls import RIGHTS, Call, Context, Security, Venue, microseconds, milliseconds
from .errors import BinanceError, bad_key
from .parameters import Parameters
from .replies import Time
from .user_events import Watches

ADDRESS: Final = "127.0.0.1"
"""The gateway binds the loopback interface only: all clients share one address, as behind one router."""
REPLACE_CODES: Final = frozenset({-2021, -2022})
UNITS: Final[dict[str, Time]] = {"MILLISECOND": milliseconds, "MICROSECOND": microseconds}
SIGNED: Final = frozenset(RIGHTS) - {Security.STREAM}
UNKNOWN_WORD: Final = "SETTLING_IN_DARK"
ENUMS: Final = frozenset({"status", "X"})


def time_unit(text: str | None) -> Time:
    """Raises -1194 for anything but the two units."""
    if text is None:
        return milliseconds
    unit = UNITS.get(text.upper())
    if unit is None:
        raise BinanceError(-1194, "Invalid value for time unit; expected either MICROSECOND or MILLISECOND.")
    return unit


class Dispatcher:
    """Limits, time and rights around a call's handler."""

    def __init__(self, venue: Venue, watches: Watches | None = None) -> None:
        self.venue = venue
        self.authenticator = Authenticator(venue.exchange.keys)
        self.watches = watches if watches is not None else Watches(venue)
        venue.on_pair = lambda pair: self.watches.of(pair.account).tell_list(pair)

    def context(self, time: Time) -> Context:
        """A context of a request that nobody signed."""
        return Context(self.venue, now_ns=self.venue.exchange.now_ns(), time=time, address=ADDRESS)

    def identify(self, context: Context, identity: Identity) -> None:
        """Makes the context that of a proven caller. Raises -2015 for a key without an account, or one that
        is bound to another address.
        """
        if identity.key.addresses and context.address not in identity.key.addresses:
            raise bad_key()
        context.key = identity.key
        context.account, context.valid_until_ns = identity.key.account, identity.valid_until_ns
        try:
            self.watches.of(context.account)
        except UnknownName:
            raise bad_key() from None

    def mark(self, context: Context, actions: list[Action] | tuple[Action, ...]) -> None:
        """What the fault plan wants of the handler itself."""
        for action in actions:
            context.lost |= action.fault is Fault.LOSE_ORDER
            context.stale |= action.fault is Fault.STALE_STATUS

    async def run(self, call: Call, context: Context, parameters: Parameters) -> Any:
        """Counts the orders of a call and runs it; what is refused is not counted."""
        usage, orders = self.venue.usage, call.orders
        if orders:
            usage.place(context.account, orders, context.now_ns)
        try:
            return await call.handler(context, parameters)
        except BinanceError as error:
            # a replacement counts even when its new order was not attempted
            if orders and error.code not in REPLACE_CODES:
                usage.not_placed(context.account, orders, context.now_ns)
            raise

    def needs_signature(self, call: Call) -> bool:
        return call.security in SIGNED

    def needs_key(self, call: Call) -> bool:
        return call.security is not Security.NONE


def disguised(result: Any) -> Any:
    """The result with a word in it that no client knows."""
    if isinstance(result, dict):
        return {
            name: UNKNOWN_WORD if name in ENUMS and isinstance(value, str) else disguised(value)
            for name, value in result.items()
        }
    if isinstance(result, list):
        return [disguised(one) for one in result]
    return result
