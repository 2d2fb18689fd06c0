"""The gateway: Binance's paths and sockets in front of an exchange.

gateway = BinanceGateway(exchange)
port = await gateway.start()
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, ClassVar, Final

import msgspec

from tradewind.gateways import server
from tradewind.gateways.exchange import Exchange
from tradewind.gateways.faults import Action, Fault
from tradewind.gateways.server import Answer, Gateway, Route, SocketRoute, Why

from .authentication import Identity, signed_payload
from .calls import RIGHTS, Call, Security, Venue
from .dispatch import ADDRESS, Dispatcher, disguised, time_unit
from .errors import BinanceError, unsupported
from .parameters import Parameters, merge
from .planned import fault_error
from .socket_api import SocketApi
from .streams import StreamOptions, Streams
from .table import REST_CALLS
from .windows import DEFAULT_LIMITS, Limit, Usage

GONE: Final = b"<html>\r\n<head><title>410 Gone</title></head>\r\n<body>410 Gone</body>\r\n</html>\r\n"
BLOCKED: Final = b"<html>\r\n<head><title>403 Forbidden</title></head>\r\n<body>403</body>\r\n</html>\r\n"
GONE_PATH: Final = "/api/v3/userDataStream"


class BinanceGateway(Gateway):
    """Binance spot. `limits` are what `exchangeInfo` says and what is enforced."""

    venue: ClassVar[str] = "binance"
    secrets_are_text = True

    def __init__(
        self,
        exchange: Exchange,
        *,
        limits: tuple[Limit, ...] = DEFAULT_LIMITS,
        options: StreamOptions | None = None,
    ) -> None:
        super().__init__(exchange)
        self.prepare(Usage(limits), options or StreamOptions())

    def prepare(self, usage: Usage, options: StreamOptions) -> None:
        """Makes the parts of the gateway: other venues of the same house have others."""
        self.state = Venue(self.exchange, usage)
        self.dispatcher = Dispatcher(self.state)
        self.streams = Streams(self.state, options)
        self.socket_api: SocketApi | None = SocketApi(self.state, self.dispatcher, options)

    def routes(self) -> Sequence[Route]:
        calls = [Route(method, path, self._handler(call)) for (method, path), call in REST_CALLS.items()]
        return [*calls, *(Route(method, GONE_PATH, gone) for method in ("POST", "PUT", "DELETE"))]

    def socket_routes(self) -> Sequence[SocketRoute]:
        raw, combined = self.streams.raw, self.streams.combined
        requests = [] if self.socket_api is None else [SocketRoute("/ws-api/v3", self.socket_api.talk)]
        return [
            *requests,
            SocketRoute("/ws", raw),
            SocketRoute("/ws/{streams:.*}", raw),
            SocketRoute("/stream", combined),
            SocketRoute("/stream/ws", combined),
            SocketRoute("/stream/ws/{streams:.*}", combined),
        ]

    async def closing(self) -> None:
        """Tells every connection that the server goes, and ends it behind what waits."""
        if self.socket_api is not None:
            await self.socket_api.shut_down(self.sockets)
        self.streams.close()
        self.dispatcher.watches.close()

    # ---- REST ----------------------------------------------------------------------------------------

    def _handler(self, call: Call) -> Callable[[server.Call], Awaitable[Answer]]:
        async def answer(request: server.Call) -> Answer:
            try:
                return await self._answer(call, request)
            except BinanceError as error:
                return self._failed(error)

        return answer

    async def _answer(self, call: Call, request: server.Call) -> Answer:
        dispatcher, usage = self.dispatcher, self.state.usage
        context = dispatcher.context(time_unit(request.headers.get("X-MBX-TIME-UNIT")))
        query, body = request.raw_query, _text(request.body)
        parameters = Parameters(merge(query, body))
        usage.request(ADDRESS, call.weight(parameters), context.now_ns)
        if dispatcher.needs_key(call):
            key = dispatcher.authenticator.key(
                request.headers.get("X-MBX-APIKEY"), RIGHTS.get(call.security), context.now_ns
            )
            if not dispatcher.needs_signature(call):
                # clients sign these too; the venue looks at the key alone
                for name in ("timestamp", "recvWindow", "signature"):
                    parameters.values.pop(name, None)
                if call.security is Security.STREAM:
                    dispatcher.identify(context, Identity(key, 0))
            else:
                payload, signature = signed_payload(query, body)
                parameters.values.pop("signature", None)
                dispatcher.identify(
                    context,
                    dispatcher.authenticator.signed(key, payload, signature, parameters, context.now_ns),
                )
        dispatcher.mark(context, tuple(request.actions))
        result = await dispatcher.run(call, context, parameters)
        if request.wants(Fault.UNKNOWN_ENUM):
            result = disguised(result)
        return Answer(
            200, msgspec.json.encode(result), self._headers(context.account if call.counted else None)
        )

    def _headers(self, account: str | None) -> dict[str, str]:
        return self.state.usage.headers(ADDRESS, account, self.exchange.now_ns())

    def _failed(self, error: BinanceError) -> Answer:
        return Answer(error.status, msgspec.json.encode(error.body()), self._headers(None) | error.headers)

    def refusal(self, call: server.Call, why: Why, action: Action | None = None) -> Answer:
        """The frame's own refusals, as the venue words them."""
        return self._failed(self._why(why)) if action is None else self._fault(action)

    def _why(self, why: Why) -> BinanceError:
        if why is Why.UNKNOWN:
            error = unsupported()
            error.status = 404
            return error
        if why is Why.TOO_LARGE:
            return BinanceError(-1101, "Too many parameters sent for this endpoint.", 413)
        if why is Why.BUSY:
            return BinanceError(
                -1008,
                "Server is currently overloaded with other requests. Please try again in a few minutes.",
            )
        if why is Why.STOPPED:
            return BinanceError(-1016, "This service is no longer available.")
        return BinanceError(-1000, "An unknown error occurred while processing the request.", 500)

    def _fault(self, action: Action) -> Answer:
        now_ns, rule = self.exchange.now_ns(), action.rule
        if rule.action is Fault.STATUS and rule.status == 403:
            return Answer(403, BLOCKED, {}, "text/html")
        return self._failed(fault_error(action, self.state.usage, now_ns))


async def gone(request: server.Call) -> Answer:
    """Listen keys were taken away: a page of the venue's web server, not of its API."""
    return Answer(410, GONE, {}, "text/html")


def _text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise BinanceError(-1100, "Illegal characters found in a parameter.") from None


def build(exchange: Exchange, **options: Any) -> Gateway:
    """A gateway that is not started yet."""
    return BinanceGateway(exchange, **options)
