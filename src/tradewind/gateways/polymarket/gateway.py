"""The Polymarket gateway: CLOB calls, /ws/market and /ws/user on one loopback port."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, ClassVar, Final
from urllib.parse import parse_qsl

import msgspec
import structlog

from tradewind.gateways.exchange import Exchange
from tradewind.gateways.exchange_outcomes import OutcomeExchange
from tradewind.gateways.faults import Action, Fault
from tradewind.gateways.keys import ApiKey, Right
from tradewind.gateways.polymarket import errors
from tradewind.gateways.polymarket.account import AccountCalls, Hearts
from tradewind.gateways.polymarket.auth import Caller, require, secret_text
from tradewind.gateways.polymarket.desk import Desk, PolymarketOptions
from tradewind.gateways.polymarket.errors import PolymarketError
from tradewind.gateways.polymarket.orders import OrderCalls
from tradewind.gateways.polymarket.public import PublicCalls, Query, token_list
from tradewind.gateways.polymarket.streams import MarketChannel, Timers, UserChannel
from tradewind.gateways.polymarket.wallets import WalletBook, WalletOf, made_wallets
from tradewind.gateways.server import LOOPBACK_CLIENT, Answer, Call, Gateway, Route, Socket, SocketRoute, Why
from tradewind.venues.polymarket import wallet as signing
from tradewind.venues.polymarket.wallet import SigningUnavailable, Wallet

log = structlog.get_logger("tradewind.gateway")

MAX_FIELDS: Final = 100
WALLET_FILE: Final = "wallets.json"
STATES: Final = re.compile(rb'"status":"[^"]*"')
WORDS: Final = {
    Why.UNKNOWN: (404, errors.NOT_FOUND),
    Why.TOO_LARGE: (413, errors.TOO_MANY),
    Why.BUSY: (425, errors.RESTART),
    Why.FAILED: (500, errors.INTERNAL),
    Why.STOPPED: (503, errors.DISABLED),
}

_ENCODER: Final = msgspec.json.Encoder()
_DECODER: Final = msgspec.json.Decoder()
Private = Callable[[Caller, Call], Awaitable[Any]]


def failed(error: PolymarketError) -> Answer:
    """An error in the venue's envelope."""
    headers = {"Retry-After": str(error.retry_after_s)} if error.status == 429 else {}
    return Answer(error.status, _ENCODER.encode({"error": error.text}), headers)


class PolymarketGateway(Gateway):
    """Serves one exchange as Polymarket's CLOB. Build with `build`.

    Without the packages of `tradewind[polymarket]` it serves markets and books; whatever has to do with
    wallets and orders answers 503 and says why.
    """

    venue: ClassVar[str] = "polymarket"

    def __init__(self, exchange: Exchange, options: PolymarketOptions) -> None:
        super().__init__(exchange)
        self.options = options
        self.desk: Desk
        self._made: dict[str, Wallet] = {}
        self._timers = Timers()
        self._public: PublicCalls
        self._account: AccountCalls
        self._orders: OrderCalls
        self.hearts: Hearts
        self._outcomes: OutcomeExchange | None = None
        self.signs = signing.available()

    # ---- life ------------------------------------------------------------------------------------------

    async def start(self, port: int = 0) -> int:
        """Opens the outcome markets, then the port.

        Raises:
            SetupRefused: the engine refused a market. KeyFileError: the wallets' file. OSError: the port.
        """
        if self._outcomes is None:
            self._outcomes = await OutcomeExchange.open(self.exchange, self.options.configuration)
        book = self._wallet_book()
        self.desk = Desk(self.exchange, self._outcomes, self.options, book)
        self._public = PublicCalls(self.desk)
        self._account = AccountCalls(self.desk)
        self._orders = OrderCalls(self.desk)
        self.hearts = Hearts(self.desk)
        self._make_keys(book)
        if not self.signs:
            log.error("polymarket_orders_refused", reason=str(SigningUnavailable()))
        return await super().start(port)

    def _wallet_book(self) -> WalletBook:
        if self.options.wallets or not self.signs:
            return WalletBook(self.options.wallets)
        path = self.exchange.keys.path.with_name(WALLET_FILE)
        self._made = dict(made_wallets(path, self.exchange.configuration.accounts))
        return WalletBook(
            WalletOf(address=wallet.address(), account=account)
            for account, wallet in self._made.items()
            if account in self.exchange.configuration.accounts
        )

    def _make_keys(self, book: WalletBook) -> None:
        """Accounts whose wallet was made here get their first API key too."""
        for account in self._made:
            wallet = book.of_account(account)
            if wallet is None or any(one.passphrase for one in self.exchange.keys.of_account(account)):
                continue
            self.desk.authenticator.create(wallet, 0)

    async def closing(self) -> None:
        """Timers end; orders stay."""
        self._timers.close()
        await self.hearts.close()
        if self._outcomes is not None:
            self._outcomes.close()
            self._outcomes = None

    def credentials(self, key: ApiKey) -> dict[str, str]:
        """What a client is configured with; keys of other venues have nothing here."""
        found = {"URL": self.url, "SOCKET_URL": self.socket_url}
        if key.passphrase:
            found |= {"API_KEY": key.key, "API_SECRET": secret_text(key), "API_PASSPHRASE": key.passphrase}
        made = self._made.get(key.account)
        if made is not None and key.passphrase:
            found |= {"ADDRESS": made.address(), "PRIVATE_KEY": "0x" + made.secret.hex()}
            found["CHAIN_ID"] = str(self.options.chain_id)
        return found

    # ---- frame -----------------------------------------------------------------------------------------

    def routes(self) -> Sequence[Route]:
        """Every call of the table."""
        get, post, delete = "GET", "POST", "DELETE"
        return [
            Route(get, "/", self._ok),
            Route(get, "/ok", self._ok),
            *self._public_routes(),
            Route(post, "/auth/api-key", self._create_key),
            Route(get, "/auth/derive-api-key", self._derive_key),
            self._private(get, "/auth/api-keys", Right.READ, self._api_keys),
            self._private(delete, "/auth/api-key", Right.TRADE, self._delete_key),
            self._private(get, "/auth/ban-status/closed-only", Right.READ, self._closed_only),
            self._private(post, "/order", Right.TRADE, self._post_order, "order"),
            self._private(post, "/orders", Right.TRADE, self._post_orders, "order"),
            self._private(delete, "/order", Right.CANCEL, self._cancel),
            self._private(delete, "/orders", Right.CANCEL, self._cancel_many),
            self._private(delete, "/cancel-all", Right.CANCEL, self._cancel_all, "cancel_all"),
            self._private(delete, "/cancel-market-orders", Right.CANCEL, self._cancel_market),
            self._private(get, "/data/order/{id}", Right.READ, self._order),
            self._private(get, "/data/orders", Right.READ, self._orders_page),
            self._private(get, "/data/trades", Right.READ, self._trades),
            self._private(get, "/balance-allowance", Right.READ, self._balance),
            self._private(get, "/balance-allowance/update", Right.READ, self._update, "balance_update"),
            self._private(post, "/v1/heartbeats", Right.CANCEL, self._heartbeat),
            self._private(post, "/heartbeats", Right.CANCEL, self._heartbeat),
        ]

    def _public_routes(self) -> list[Route]:
        found = [
            Route("GET", path, self._answer_query(name))
            for path, name in (
                ("/time", "time"),
                ("/version", "version"),
                ("/markets", "markets"),
                ("/simplified-markets", "simplified_markets"),
                ("/sampling-markets", "markets"),
                ("/sampling-simplified-markets", "simplified_markets"),
                ("/book", "book"),
                ("/price", "price"),
                ("/midpoint", "midpoint"),
                ("/spread", "spread"),
                ("/last-trade-price", "last_trade_price"),
                ("/tick-size", "tick_size"),
                ("/neg-risk", "neg_risk"),
                ("/fee-rate", "fee_rate"),
                ("/prices-history", "prices_history"),
            )
        ]
        found += [
            Route("POST", path, self._answer_list(name))
            for path, name in (
                ("/books", "books"),
                ("/prices", "prices"),
                ("/midpoints", "midpoints"),
                ("/spreads", "spreads"),
                ("/last-trades-prices", "last_trades_prices"),
            )
        ]
        for path, name in (
            ("/markets/{id}", "market"),
            ("/clob-markets/{id}", "clob_market"),
            ("/markets-by-token/{id}", "market_by_token"),
        ):
            found.append(Route("GET", path, self._answer_id(name)))
        return found

    def socket_routes(self) -> Sequence[SocketRoute]:
        """Both channels."""
        return [SocketRoute("/ws/market", self._talk_market), SocketRoute("/ws/user", self._talk_user)]

    def refusal(self, call: Call, why: Why, action: Action | None = None) -> Answer:
        """Errors of the frame in the venue's words."""
        if action is None:
            status, text = WORDS.get(why, WORDS[Why.FAILED])
        elif action.fault is Fault.STATUS:
            status, text = action.rule.status, action.rule.message or "error"
        elif action.fault is Fault.RATE_BAN:
            return failed(PolymarketError(429, errors.RATE_LIMIT, max(1, action.rule.seconds)))
        elif action.fault is Fault.CANCEL_ONLY:
            status, text = 503, errors.CANCEL_ONLY
        else:
            status, text = 503, action.rule.message or errors.DISABLED
        return failed(PolymarketError(status, text))

    # ---- public calls ----------------------------------------------------------------------------------

    async def _ok(self, call: Call) -> Answer:
        return Answer(200, b'"OK"')

    def _answer_query(self, name: str) -> Callable[[Call], Awaitable[Answer]]:
        return self._open(lambda call: getattr(self._public, name)(_query(call)))

    def _answer_list(self, name: str) -> Callable[[Call], Awaitable[Answer]]:
        return self._open(lambda call: getattr(self._public, name)(token_list(_json(call))))

    def _answer_id(self, name: str) -> Callable[[Call], Awaitable[Answer]]:
        return self._open(lambda call: getattr(self._public, name)(call.parameters["id"]))

    def _open(self, work: Callable[[Call], Any]) -> Callable[[Call], Awaitable[Answer]]:
        async def answer(call: Call) -> Answer:
            try:
                if self.options.limits_public:
                    self.desk.limits.count(LOOPBACK_CLIENT, "book", self.desk.now_ns())
                return self._done(call, work(call))
            except PolymarketError as error:
                return failed(error)

        return answer

    # ---- keys ------------------------------------------------------------------------------------------

    async def _create_key(self, call: Call) -> Answer:
        return self._key_answer(call, create=True)

    async def _derive_key(self, call: Call) -> Answer:
        return self._key_answer(call, create=False)

    def _key_answer(self, call: Call, *, create: bool) -> Answer:
        authenticator = self.desk.authenticator
        try:
            wallet, nonce = authenticator.wallet(call.headers, self.desk.now_ns())
            make = authenticator.create if create else authenticator.derive
            return self._done(call, self._account.key_row(make(wallet, nonce)))
        except PolymarketError as error:
            return failed(error)

    # ---- private calls ---------------------------------------------------------------------------------

    def _private(self, method: str, path: str, right: Right, work: Private, kind: str = "book") -> Route:
        async def answer(call: Call) -> Answer:
            try:
                now_ns = self.desk.now_ns()
                caller = self.desk.authenticator.caller(
                    call.headers, call.method, call.path, call.body, now_ns
                )
                require(caller.key, right)
                if self.options.limits:
                    self.desk.limits.count(caller.key.key, kind, now_ns)
                found = await work(caller, call)
                return found if isinstance(found, Answer) else self._done(call, found)
            except PolymarketError as error:
                return failed(error)

        return Route(method, path, answer)

    async def _api_keys(self, caller: Caller, call: Call) -> Any:
        return self._account.api_keys(caller)

    async def _delete_key(self, caller: Caller, call: Call) -> Any:
        return self._account.delete_key(caller)

    async def _closed_only(self, caller: Caller, call: Call) -> Any:
        return {"closed_only": False}

    async def _post_order(self, caller: Caller, call: Call) -> Any:
        self._must_sign()
        return await self._orders.post(caller, _json(call), lose=call.wants(Fault.LOSE_ORDER) is not None)

    async def _post_orders(self, caller: Caller, call: Call) -> Any:
        self._must_sign()
        return await self._orders.post_many(caller, _json(call))

    def _must_sign(self) -> None:
        if not self.signs:
            raise PolymarketError(503, errors.SIGNING)

    async def _cancel(self, caller: Caller, call: Call) -> Any:
        return await self._orders.cancel(caller, _json(call))

    async def _cancel_many(self, caller: Caller, call: Call) -> Any:
        return await self._orders.cancel_many(caller, _json(call))

    async def _cancel_all(self, caller: Caller, call: Call) -> Any:
        return await self._orders.cancel_all(caller)

    async def _cancel_market(self, caller: Caller, call: Call) -> Any:
        return await self._orders.cancel_market(caller, _json(call))

    async def _order(self, caller: Caller, call: Call) -> Any:
        stale = call.wants(Fault.STALE_STATUS) is not None
        return self._account.order(caller, call.parameters["id"], stale=stale)

    async def _orders_page(self, caller: Caller, call: Call) -> Any:
        return self._account.orders(caller, _query(call))

    async def _trades(self, caller: Caller, call: Call) -> Any:
        return self._account.trades(caller, _query(call))

    async def _balance(self, caller: Caller, call: Call) -> Any:
        return self._account.balance(caller, _query(call))

    async def _update(self, caller: Caller, call: Call) -> Any:
        return self._account.update_balance(caller, _query(call))

    async def _heartbeat(self, caller: Caller, call: Call) -> Answer:
        body = _json(call) if call.body else {}
        given = body.get("heartbeat_id", "") if isinstance(body, dict) else None
        if given is not None and not isinstance(given, str):
            raise PolymarketError(400, errors.INVALID_PAYLOAD)
        status, row = self.hearts.beat(caller, given or "")
        return Answer(status, _ENCODER.encode(row))

    def _done(self, call: Call, result: Any) -> Answer:
        body = _ENCODER.encode(result)
        if call.wants(Fault.UNKNOWN_ENUM) is not None:
            body = STATES.sub(b'"status":"frozen"', body)
        return Answer(200, body)

    # ---- channels --------------------------------------------------------------------------------------

    async def _talk_market(self, socket: Socket, call: Call) -> None:
        await MarketChannel(self.desk, socket).run()

    async def _talk_user(self, socket: Socket, call: Call) -> None:
        await UserChannel(self.desk, socket, self._timers).run()


def _query(call: Call) -> Query:
    """Parameters of the query; one that comes twice is an error. Raises `PolymarketError`."""
    try:
        pairs = parse_qsl(call.raw_query, keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError:
        raise PolymarketError(400, errors.INVALID_PAYLOAD) from None
    found = dict(pairs)
    if len(found) != len(pairs):
        raise PolymarketError(400, errors.INVALID_PAYLOAD)
    return found


def _json(call: Call) -> Any:
    """The body. Raises `PolymarketError`."""
    try:
        return _DECODER.decode(call.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise PolymarketError(400, errors.INVALID_PAYLOAD) from None


def build(exchange: Exchange, options: PolymarketOptions | None = None) -> PolymarketGateway:
    """A gateway; without options every account gets a wallet, a key and USDC."""
    return PolymarketGateway(exchange, options or PolymarketOptions())
