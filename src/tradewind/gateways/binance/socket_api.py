"""The WebSocket API: requests as JSON frames, sessions, and the events of accounts."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec
from aiohttp import WSCloseCode

from tradewind.gateways import server
from tradewind.gateways.faults import Action, Fault
from tradewind.gateways.keys import ApiKey, Right
from tradewind.gateways.sockets import Socket

from .authentication import sorted_payload
from .calls import RIGHTS, Call, Context, Venue, milliseconds
from .dispatch import ADDRESS, Dispatcher, disguised, time_unit
from .errors import BinanceError, bad_key, invalid_data, missing, unsupported
from .parameters import Parameters, from_json, split_pairs
from .planned import fault_error
from .replies import Time
from .streams import StreamOptions, supervised, valid_id
from .table import SOCKET_CALLS
from .user_events import Event

MAX_SUBSCRIPTIONS: Final = 1_000
USER_CHANNEL: Final = "userDataStream"
SESSION_WEIGHT: Final = 2
REMOVED: Final = frozenset({"userDataStream.start", "userDataStream.ping", "userDataStream.stop"})


class Session:
    """One connection: who logged on, and what it listens to."""

    def __init__(self, socket: Socket, time: Time, *, show_limits: bool, now_ns: int) -> None:
        self.socket = socket
        self.time = time
        self.show_limits = show_limits
        self.connected_ns = now_ns
        self.authorised_ns = 0
        self.key: ApiKey | None = None
        self.subscriptions: dict[int, tuple[str, Callable[[], None]]] = {}
        """Number -> key and how to end it."""
        self._next = 0

    def subscribe(self, dispatcher: Dispatcher, key: ApiKey) -> int:
        """Listens to the key's account. Raises -1191 at the bound."""
        if len(self.subscriptions) >= MAX_SUBSCRIPTIONS:
            raise too_many_subscriptions()
        number = self._next
        self._next += 1

        try:
            end = dispatcher.watches.of(key.account).add(Listener(self, number))
        except OverflowError:
            raise too_many_subscriptions() from None
        self.subscriptions[number] = (key.key, end)
        return number

    def send_event(self, number: int, event: dict[str, Any]) -> None:
        frame = msgspec.json.encode({"subscriptionId": number, "event": event})
        self.socket.send(frame, USER_CHANNEL)

    def unsubscribe(self, number: int | None) -> None:
        """Ends one subscription, or all."""
        for one in [number] if number is not None else list(self.subscriptions):
            _, end = self.subscriptions.pop(one)
            end()

    def end(self) -> None:
        self.unsubscribe(None)


class Listener:
    """One subscription of a session."""

    def __init__(self, session: Session, number: int) -> None:
        self._session, self._number = session, number

    def hear(self, kind: str, event: Event) -> None:
        self._session.send_event(self._number, event(self._session.time))

    def broken(self) -> None:
        self._session.socket.abort("account events failed")


def too_many_subscriptions() -> BinanceError:
    return BinanceError(
        -1191,
        f"Too many subscriptions. Connection may create up to '{MAX_SUBSCRIPTIONS}' subscriptions at a time.",
    )


class SocketApi:
    """`/ws-api/v3`."""

    def __init__(self, venue: Venue, dispatcher: Dispatcher, options: StreamOptions) -> None:
        self._venue = venue
        self._dispatcher = dispatcher
        self._options = options
        self._sessions: set[Session] = set()
        self._own: dict[str, Callable[[Session, Context, Parameters], Any]] = {
            "session.logon": self._logon,
            "session.status": self._show,
            "session.logout": self._logout,
            "session.subscriptions": self._list,
            "userDataStream.subscribe": self._listen,
            "userDataStream.subscribe.signature": self._listen_signed,
            "userDataStream.unsubscribe": self._leave,
        }

    async def talk(self, socket: Socket, call: server.Call) -> None:
        """Reads requests until the connection ends; several may be under way at once."""
        query = dict(split_pairs(call.raw_query))
        now_ns = self._venue.exchange.now_ns()
        try:
            time = time_unit(query.get("timeUnit"))
            # connecting costs weight like a request
            self._venue.usage.request(ADDRESS, SESSION_WEIGHT, now_ns)
        except BinanceError as error:
            socket.send(self._frame(None, error, None))
            socket.close(WSCloseCode.POLICY_VIOLATION, error.message)
            return
        session = Session(socket, time, show_limits=query.get("returnRateLimits") != "false", now_ns=now_ns)
        self._sessions.add(session)
        slots = asyncio.Semaphore(self._options.requests_at_once)
        try:
            async with supervised(socket, self._options), asyncio.TaskGroup() as group:
                async for frame in socket:
                    # the reader waits here: whoever asks faster than we answer is slowed down
                    await slots.acquire()
                    group.create_task(self._serve(session, frame, slots))
        finally:
            self._sessions.discard(session)
            session.end()

    async def shut_down(self, sockets: Iterable[Socket]) -> None:
        """Tells everybody that the server goes and ends the connections behind what waits."""
        now_ns = self._venue.exchange.now_ns()
        event = {"e": "serverShutdown", "E": milliseconds(now_ns)}
        talking = {session.socket for session in self._sessions}
        ending = list(sockets)
        for socket in ending:
            body = {"event": event} if socket in talking else event
            socket.send(msgspec.json.encode(body), "serverShutdown")
        await asyncio.gather(*(socket.end() for socket in ending), return_exceptions=True)

    # ---- one request -----------------------------------------------------------------------------------

    async def _serve(self, session: Session, frame: bytes, slots: asyncio.Semaphore) -> None:
        try:
            with contextlib.suppress(ConnectionError):
                await self._respond(session, frame)
        finally:
            slots.release()

    async def _respond(self, session: Session, frame: bytes) -> None:
        number, actions, context, outcome = None, None, None, None
        shown = session.show_limits
        call: Call | None = None
        try:
            number, method, params = read_request(frame)
            actions = await session.socket.before(method)
            if actions is None:
                return
            parameters = Parameters(from_json(params))
            # a part of what is signed, so it stays in the table
            shown = parameters.flag("returnRateLimits", shown)
            self._refuse_by_plan(actions)
            context = self._dispatcher.context(session.time)
            self._dispatcher.mark(context, actions)
            call = SOCKET_CALLS.get(method.removeprefix("v3/"))
            outcome = await self._do(session, context, method.removeprefix("v3/"), call, parameters)
            if any(action.fault is Fault.UNKNOWN_ENUM for action in actions):
                outcome = disguised(outcome)
            self._fail_behind(actions)
        except BinanceError as error:
            outcome = error
        except Exception:
            if self._venue.exchange.node.stop_reason is None:
                outcome = BinanceError(-1000, "An unknown error occurred while processing the request.", 500)
            else:
                outcome = BinanceError(-1016, "This service is no longer available.")
            session.socket.reply(self._frame(number, outcome, None), actions)
            raise
        counted = call is not None and call.counted and context is not None and bool(context.account)
        rows = (
            self._venue.usage.rows(
                ADDRESS, context.account if counted and context else None, self._venue.exchange.now_ns()
            )
            if shown
            else None
        )
        session.socket.reply(self._frame(number, outcome, rows), actions)

    def _frame(self, number: Any, outcome: Any, rows: Any) -> bytes:
        body: dict[str, Any] = {"id": number}
        if isinstance(outcome, BinanceError):
            body |= {"status": outcome.status, "error": outcome.body()}
        else:
            body |= {"status": 200, "result": outcome}
        if rows is not None:
            body["rateLimits"] = rows
        return msgspec.json.encode(body)

    def _refuse_by_plan(self, actions: list[Action]) -> None:
        for action in actions:
            before = action.fault is Fault.STATUS and action.rule.when == "before"
            if before or action.fault in {Fault.MAINTENANCE, Fault.CANCEL_ONLY, Fault.RATE_BAN}:
                raise fault_error(action, self._venue.usage, self._venue.exchange.now_ns())

    def _fail_behind(self, actions: list[Action]) -> None:
        for action in actions:
            if action.fault is Fault.STATUS and action.rule.when == "after":
                raise fault_error(action, self._venue.usage, self._venue.exchange.now_ns())

    async def _do(
        self, session: Session, context: Context, method: str, call: Call | None, parameters: Parameters
    ) -> Any:
        usage = self._venue.usage
        if call is not None:
            usage.request(ADDRESS, call.weight(parameters), context.now_ns)
            if self._dispatcher.needs_key(call):
                self._identify(session, context, parameters, RIGHTS.get(call.security), call)
            return await self._dispatcher.run(call, context, parameters)
        usage.request(ADDRESS, SESSION_WEIGHT, context.now_ns)
        own = self._own.get(method)
        if own is not None:
            return own(session, context, parameters)
        error = unsupported()
        if method in REMOVED:
            error.status = 410
        raise error

    # ---- sessions and subscriptions ----------------------------------------------------------------------

    def _show(self, session: Session, context: Context, parameters: Parameters) -> Any:
        parameters.finish()
        return self._status(session, context)

    def _logout(self, session: Session, context: Context, parameters: Parameters) -> Any:
        parameters.finish()
        session.key, session.authorised_ns = None, 0
        return self._status(session, context)

    def _list(self, session: Session, context: Context, parameters: Parameters) -> Any:
        parameters.finish()
        return [{"subscriptionId": number} for number in session.subscriptions]

    def _listen(self, session: Session, context: Context, parameters: Parameters) -> Any:
        parameters.finish()
        key = self._session_key(session, Right.READ)
        if key is None:
            raise bad_key()
        return self._subscribe(session, key)

    def _listen_signed(self, session: Session, context: Context, parameters: Parameters) -> Any:
        key = self._signed(context, parameters, Right.READ)
        parameters.finish()
        return self._subscribe(session, key)

    def _leave(self, session: Session, context: Context, parameters: Parameters) -> Any:
        number = parameters.whole("subscriptionId")
        parameters.finish()
        if number is not None and number not in session.subscriptions:
            raise invalid_data("subscriptionId")
        session.unsubscribe(number)
        return {}

    # ---- who asks --------------------------------------------------------------------------------------

    def _identify(
        self,
        session: Session,
        context: Context,
        parameters: Parameters,
        right: Right | None,
        call: Call,
    ) -> None:
        if parameters.has("apiKey"):
            if self._dispatcher.needs_signature(call):
                self._signed(context, parameters, right)
            else:
                self._dispatcher.authenticator.key(parameters.text("apiKey"), right, context.now_ns)
            return
        key = self._session_key(session, right)
        if key is None:
            raise missing("apiKey")
        identity = self._dispatcher.authenticator.timed(key, parameters, context.now_ns)
        self._dispatcher.identify(context, identity)

    def _signed(self, context: Context, parameters: Parameters, right: Right | None) -> ApiKey:
        """The key of a request that carries its own signature."""
        authenticator = self._dispatcher.authenticator
        name = parameters.required("apiKey")
        key = authenticator.key(name, right, context.now_ns)
        signature = parameters.values.get("signature")
        payload = sorted_payload(parameters.values)
        parameters.values.pop("signature", None)
        identity = authenticator.signed(key, payload, signature, parameters, context.now_ns)
        self._dispatcher.identify(context, identity)
        return key

    def _session_key(self, session: Session, right: Right | None) -> ApiKey | None:
        """The key that logged on, looked up again: one that was taken away ends the session's rights."""
        if session.key is None:
            return None
        try:
            return self._dispatcher.authenticator.key(session.key.key, right, self._venue.exchange.now_ns())
        except BinanceError:
            if self._venue.exchange.keys.find(session.key.key) is None:
                self._revoke(session)
            raise

    def _revoke(self, session: Session) -> None:
        assert session.key is not None
        gone, session.key, session.authorised_ns = session.key.key, None, 0
        now_ns = self._venue.exchange.now_ns()
        for number, (key, _) in list(session.subscriptions.items()):
            if key == gone:
                session.unsubscribe(number)
                session.send_event(number, {"e": "eventStreamTerminated", "E": session.time(now_ns)})

    def _logon(self, session: Session, context: Context, parameters: Parameters) -> dict[str, Any]:
        name = parameters.required("apiKey")
        known = self._dispatcher.authenticator.key(name, None, context.now_ns)
        if known.algorithm != "ed25519":
            raise BinanceError(-4056, "HMAC_SHA256 API key is not supported.")
        session.key = self._signed(context, parameters, None)
        parameters.finish()
        session.authorised_ns = context.now_ns
        return self._status(session, context)

    def _status(self, session: Session, context: Context) -> dict[str, Any]:
        known = session.key
        return {
            "apiKey": known.key if known is not None else None,
            "authorizedSince": context.time(session.authorised_ns) if known is not None else None,
            "connectedSince": context.time(session.connected_ns),
            "returnRateLimits": session.show_limits,
            "serverTime": context.time(context.now_ns),
            "userDataStream": any(
                known is not None and key == known.key for key, _ in session.subscriptions.values()
            ),
        }

    def _subscribe(self, session: Session, key: ApiKey) -> dict[str, Any]:
        try:
            return {"subscriptionId": session.subscribe(self._dispatcher, key)}
        except KeyError:
            raise bad_key() from None


def read_request(frame: bytes) -> tuple[Any, str, Any]:
    """Id, method and parameters. Numbers keep the text that the client wrote, as signatures are over it."""
    try:
        request = msgspec.json.decode(frame, type=dict[str, msgspec.Raw])
        number = msgspec.json.decode(request.get("id", msgspec.Raw(b"null")))
        method = msgspec.json.decode(request["method"], type=str)
        params = request.get("params")
        if params is None:
            return checked_id(number), method, None
        fields = msgspec.json.decode(params, type=dict[str, msgspec.Raw] | None)
    except (msgspec.DecodeError, KeyError, UnicodeError):
        raise BinanceError(-1135, "Invalid JSON Request") from None
    return checked_id(number), method, None if fields is None else {k: plain(v) for k, v in fields.items()}


def checked_id(number: Any) -> Any:
    if not valid_id(number):
        raise BinanceError(-1135, "Invalid JSON Request")
    return number


def plain(raw: msgspec.Raw) -> Any:
    """A value; a number as the text it was written in."""
    text = bytes(raw)
    if text[:1] in b"-0123456789":
        return text.decode()
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeError):
        raise BinanceError(-1135, "Invalid JSON Request") from None
