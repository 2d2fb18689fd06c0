"""The FastAPI application: one route per command and per view, `problem+json` for everything that is not a
success.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, Final

import msgspec
import structlog
from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Match, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from tradewind.api import requests as req
from tradewind.api.chain_desk import ChainDesk, ChainReads, chain_commands, chain_reads
from tradewind.api.credit_desk import CreditDesk, CreditReads, credit_commands, credit_reads
from tradewind.api.dark_desk import DarkDesk, DarkReads, dark_commands, dark_reads
from tradewind.api.desk import Desk
from tradewind.api.directory import Directory
from tradewind.api.exchange_desk import ExchangeDesk
from tradewind.api.exchange_reads import ExchangeReads
from tradewind.api.exchange_routes import exchange_commands, exchange_reads
from tradewind.api.execution_desk import ExecutionRequests, execution_commands, execution_reads
from tradewind.api.keeper_reads import KeeperReads, keeper_reads
from tradewind.api.listing_desk import ListingDesk, listing_commands
from tradewind.api.loan_desk import LoanDesk, LoanReads, loan_commands, loan_reads
from tradewind.api.outcomes import ChangeSets, OutcomeDesk, OutcomeReads
from tradewind.api.permissions import SOCKET, Permission, UndeclaredRouteError, permission_of
from tradewind.api.pool_desk import PoolDesk, pool_commands
from tradewind.api.pool_reads import PoolReads, pool_reads
from tradewind.api.problems import MEDIA_TYPE, ApiFailure, Problem
from tradewind.api.question_desk import QuestionDesk, question_commands, question_reads
from tradewind.api.ramp_desk import ramp_commands, ramp_reads
from tradewind.api.reads import Reads
from tradewind.api.resolution import (
    ResolutionDesk,
    ResolutionReads,
    resolution_commands,
    resolution_reads,
)
from tradewind.api.reward_desk import RewardDesk, RewardReads, reward_commands, reward_reads
from tradewind.api.risk_routes import risk_commands, risk_reads
from tradewind.api.role_desk import RoleDesk
from tradewind.api.route import CommandRoute, Handler
from tradewind.api.stream import POLICY_VIOLATION, Streams
from tradewind.api.token import Tokens
from tradewind.api.token_desk import TokenDesk, token_commands
from tradewind.api.token_reads import TokenReads, token_reads
from tradewind.api.trading_reads import TradingReads, trading_reads
from tradewind.api.vault_desk import VaultDesk, vault_commands
from tradewind.api.vault_reads import VaultReads, vault_reads
from tradewind.api.venue_desk import VenueDesk, venue_commands, venue_reads
from tradewind.observe.controls import ControlResult, Controls, Outcome

log = structlog.get_logger("tradewind.api")

PREFIX: Final = "/api/v1"
MAX_BODY_BYTES: Final = 65_536
JSON: Final = "application/json"
GRANTED: Final = "tradewind.granted"
"""Where the guard puts the token's permissions, for the routes behind it."""
PERMISSION_KEY: Final = "x-permission"
"""Where OpenAPI tells the permission that an operation wants."""


def create_app(desk: Desk, reads: Reads, tokens: Tokens, kill: Controls) -> FastAPI:
    """The API of one platform. Everything below `/api/v1` wants a bearer token with the route's permission.

    Raises `UndeclaredRouteError` when a route has no permission in the table.
    """
    app = FastAPI(
        title="Tradewind",
        version="1",
        openapi_url="/api/openapi.json",
        docs_url=None,
        redoc_url=None,
        description="Commands in, views out. Numbers are decimal text; failures are problem+json.",
    )
    exchange = ExchangeReads(desk.directory, desk.identities, desk.node.adl_rank, desk.node.deployment)
    exchange_desk = ExchangeDesk(desk)
    machinery = exchange_commands(exchange_desk, exchange)
    machinery += resolution_commands(ResolutionDesk(exchange_desk))
    staking = [*token_commands(TokenDesk(desk)), *reward_commands(RewardDesk(desk))]
    vault = vault_commands(VaultDesk(exchange_desk))
    pools = PoolReads(desk.directory, desk.node.now_ns)
    venues = VenueDesk(desk)
    more = [*staking, *vault, *venue_commands(venues), *set_routes(desk)]
    more += pool_commands(PoolDesk(exchange_desk, pools))
    more += listing_commands(ListingDesk(exchange_desk))
    loans = LoanReads(desk.directory, desk.node.now_ns)
    more += loan_commands(LoanDesk(exchange_desk, loans))
    chains = ChainReads(desk.directory)
    more += chain_commands(ChainDesk(exchange_desk, chains), chains)
    credits = CreditReads(desk.directory)
    more += credit_commands(CreditDesk(exchange_desk, credits))
    dark = DarkReads(desk.directory)
    more += dark_commands(DarkDesk(exchange_desk, dark))
    executions = ExecutionRequests(desk)
    more += execution_commands(executions)
    more += ramp_commands(desk)
    more += risk_commands(desk)
    questions = QuestionDesk(exchange_desk)
    more += question_commands(questions)
    trading = TradingReads(desk.directory, reads.node, desk.node.now_ns)
    app.state.streams = Streams(desk.directory, trading, desk.node.now_ns)
    _add_socket(app, "/stream", app.state.streams)
    for route in [*machinery, *more, *command_routes(desk), *kill_routes(kill)]:
        _add_command(app, route)
    for path, handler, summary in [
        *exchange_reads(exchange),
        *keeper_reads(KeeperReads(desk)),
        *token_reads(TokenReads(desk)),
        *reward_reads(RewardReads(desk)),
        *claim_reads(desk.directory),
        *vault_reads(VaultReads(desk.directory, desk.node.now_ns)),
        *pool_reads(pools),
        *loan_reads(loans),
        *chain_reads(chains),
        *credit_reads(credits),
        *question_reads(questions),
        *dark_reads(dark),
        *execution_reads(executions),
        *venue_reads(venues),
        *trading_reads(trading),
        *resolution_reads(ResolutionReads(exchange_desk)),
        *ramp_reads(desk),
        *risk_reads(desk),
        *read_routes(reads),
    ]:
        _add_read(app, path, handler, summary)
    refuse_undeclared(app)
    # The console takes every path that is left: without this, a mistyped `POST /api/v1/halt` would be a 200.
    app.mount("/api", _unknown_path(app))
    app.add_exception_handler(ApiFailure, _answer_failure)
    app.add_exception_handler(HTTPException, _answer_http)
    app.add_exception_handler(Exception, _answer_defect)
    app.add_middleware(TokenGuard, tokens=tokens)
    return app


def refuse_undeclared(app: FastAPI) -> None:
    """Raises `UndeclaredRouteError` for a route below the prefix that nobody guards."""
    for route in app.router.routes:
        path = getattr(route, "path", "")
        if path.startswith(PREFIX) and getattr(route, "endpoint", None) not in _guarded(app):
            raise UndeclaredRouteError(f"{path} asks for no permission")


def _guarded(app: FastAPI) -> set[Callable[..., Any]]:
    """Endpoints that ask for their permission before anything else."""
    if not hasattr(app.state, "guarded"):
        app.state.guarded = set()
    endpoints: set[Callable[..., Any]] = app.state.guarded
    return endpoints


def require(request: Request, wanted: Permission) -> None:
    """Raises `ApiFailure` 403 when the token has not this permission. Without the guard it has none."""
    if wanted not in request.scope.get(GRANTED, ()):
        raise ApiFailure(403, "INSUFFICIENT_SCOPE", f"this token has no permission to {wanted}")


def _unknown_path(app: FastAPI) -> ASGIApp:
    """Answers for everything below `/api` that no route has taken: 405 where another method would do, else
    404.
    """

    async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": "no such stream"})
            return
        whole = {**scope, "root_path": ""}
        known = any(route.matches(whole)[0] is Match.PARTIAL for route in app.router.routes)
        status = HTTPStatus.METHOD_NOT_ALLOWED if known else HTTPStatus.NOT_FOUND
        raise HTTPException(status, f"{scope['method']} {scope['path']}: {status.phrase.lower()}")

    return refuse


def command_routes(desk: Desk) -> list[CommandRoute]:
    """Every command of the desk."""
    roles = RoleDesk(desk)

    def plain(method: Callable[[Any], Awaitable[Any]]) -> Handler:
        return lambda _, body: method(body)

    def named(method: Callable[[str, Any], Awaitable[Any]]) -> Handler:
        return lambda request, body: method(request.path_params["name"], body)

    def numbered(method: Callable[[int, Any], Awaitable[Any]]) -> Handler:
        return lambda request, body: method(request.path_params["number"], body)

    async def suspend(_: Request, body: Any) -> Any:
        return await roles.change_standing(body, suspended=True)

    async def reinstate(_: Request, body: Any) -> Any:
        return await roles.change_standing(body, suspended=False)

    async def snapshot(_: Request, body: Any) -> Any:
        report = await desk.snapshot()
        return {
            key: value.hex() if isinstance(value, bytes) else str(value) if key == "path" else value
            for key, value in report.items()
        }

    return [
        CommandRoute("/assets", req.RegisterAsset, plain(desk.register_asset), "Register an asset"),
        CommandRoute("/accounts", req.OpenAccount, plain(desk.open_account), "Open an account"),
        CommandRoute("/subaccounts", req.OpenSubAccount, plain(desk.open_sub_account), "Open a sub-account"),
        CommandRoute("/markets", req.CreateMarket, plain(desk.create_market), "Create a market"),
        CommandRoute(
            "/markets/{name:path}/update", req.UpdateMarket, named(desk.update_market), "Change parameters"
        ),
        CommandRoute(
            "/markets/{name:path}/pause", req.PauseMarket, named(desk.pause_market), "Pause a market, or ALL"
        ),
        CommandRoute(
            "/markets/{name:path}/resume", req.ResumeMarket, named(desk.resume_market), "Approve a resume"
        ),
        CommandRoute(
            "/markets/{name:path}/close", req.CloseMarket, named(desk.close_market), "Close a market"
        ),
        CommandRoute("/deposits", req.Deposit, plain(desk.deposit), "Credit a deposit"),
        CommandRoute("/addresses", req.ListAddress, plain(desk.list_address), "List or unlist an address"),
        CommandRoute("/withdrawals", req.Withdraw, plain(desk.withdraw), "Request a withdrawal"),
        CommandRoute(
            "/withdrawals/{number:int}/cancel",
            req.CancelWithdrawal,
            numbered(desk.cancel_withdrawal),
            "Cancel a queued withdrawal",
        ),
        CommandRoute(
            "/withdrawals/{number:int}/confirm",
            req.ConfirmWithdrawal,
            numbered(desk.confirm_withdrawal),
            "Settle or return a withdrawal",
        ),
        CommandRoute("/transfers", req.Transfer, plain(desk.transfer), "Move funds between sub-accounts"),
        CommandRoute("/orders", req.PlaceOrder, plain(desk.place_order), "Place an order"),
        CommandRoute("/orders/cancel-all", req.CancelAll, plain(desk.cancel_all), "Cancel every order"),
        CommandRoute("/orders/cancel-after", req.CancelAfter, plain(desk.cancel_after), "Dead-man's switch"),
        CommandRoute(
            "/orders/{number:int}/replace", req.ReplaceOrder, numbered(desk.replace_order), "Replace"
        ),
        CommandRoute("/orders/{number:int}/cancel", req.CancelOrder, numbered(desk.cancel_order), "Cancel"),
        CommandRoute("/roles/grant", req.ChangeRole, plain(roles.grant_role), "Grant a role"),
        CommandRoute("/roles/revoke", req.ChangeRole, plain(roles.revoke_role), "Revoke a role"),
        CommandRoute("/roles/suspend", req.ChangeStanding, suspend, "Suspend a principal"),
        CommandRoute("/roles/reinstate", req.ChangeStanding, reinstate, "Approve a reinstatement"),
        CommandRoute("/journal/snapshot", req.Snapshot, snapshot, "Record a snapshot"),
    ]


def set_routes(desk: Desk) -> list[CommandRoute]:
    """Complete sets of outcome markets."""
    outcomes = OutcomeDesk(desk)

    async def mint(_: Request, body: Any) -> Any:
        return await outcomes.mint(body)

    async def merge(_: Request, body: Any) -> Any:
        return await outcomes.merge(body)

    return [
        CommandRoute("/sets/mint", ChangeSets, mint, "Pay for complete sets"),
        CommandRoute("/sets/merge", ChangeSets, merge, "Give complete sets back"),
    ]


def claim_reads(directory: Directory) -> list[tuple[str, Callable[[Request], Any], str]]:
    """Claims on outcomes."""
    outcomes = OutcomeReads(directory)
    return [
        (
            "/accounts/{name}/claims",
            lambda r: outcomes.claims(r.path_params["name"], r.query_params.get("market")),
            "Claims on outcomes",
        )
    ]


def kill_routes(kill: Controls) -> list[CommandRoute]:
    """Halt, flatten and resume. Only an effect that was read back is a success."""

    def level(act: str) -> Handler:
        async def pull(_: Request, body: req.Kill) -> ControlResult:
            if not body.reason.strip():
                raise ApiFailure(422, "NO_REASON", "state a reason; it goes into the log")
            result: ControlResult = await getattr(kill, act)(reason=body.reason, actor=body.actor)
            if result.succeeded:
                return result
            raise _not_done(result)

        return pull

    texts = {
        "halt": "No new risk, cancel all",
        "flatten": "Halt, then reduce to zero",
        "resume": "Leave the halt",
    }
    return [CommandRoute(f"/kill/{act}", req.Kill, level(act), text) for act, text in texts.items()]


def _not_done(result: ControlResult) -> ApiFailure:
    refused = result.outcome is Outcome.REFUSED
    status = HTTPStatus.CONFLICT if refused else HTTPStatus.SERVICE_UNAVAILABLE
    detail = result.detail or f"{result.action}: the effect could not be read back"
    failure = ApiFailure(status, str(result.outcome).upper(), detail, retryable=not refused)
    failure.problem.result = result
    return failure


def read_routes(reads: Reads) -> list[tuple[str, Callable[[Request], Any], str]]:
    """Every view."""
    return [
        ("/status", lambda _: reads.status(), "The whole platform at a glance"),
        ("/head", lambda _: reads.head(), "The durable end of the log, with the state hash"),
        ("/assets", lambda _: reads.assets(), "Registered assets"),
        ("/accounts", lambda _: reads.accounts(), "Accounts"),
        (
            "/accounts/{name}/balances",
            lambda r: reads.balances(r.path_params["name"]),
            "Balances of an account",
        ),
        ("/markets", lambda _: reads.markets(), "Markets"),
        (
            "/markets/{name:path}/book",
            lambda r: reads.book(
                r.path_params["name"], _count(r, "depth", 20), r.query_params.get("outcome")
            ),
            "Price levels",
        ),
        (
            "/markets/{name:path}/trades",
            lambda r: reads.trades(r.path_params["name"], _count(r, "limit", 50)),
            "Trades",
        ),
        (
            "/markets/{name:path}/candles",
            lambda r: reads.candles(
                r.path_params["name"], r.query_params.get("interval", "1m"), _count(r, "limit", 60)
            ),
            "Open, high, low, close, volume",
        ),
        ("/markets/{name:path}", lambda r: reads.market(r.path_params["name"]), "One market"),
        (
            "/orders",
            lambda r: reads.orders(r.query_params.get("account"), r.query_params.get("market")),
            "Open orders",
        ),
        ("/orders/{number:int}", lambda r: reads.order(r.path_params["number"]), "One order"),
        ("/positions", lambda _: reads.positions(), "What trading holds"),
        ("/limits", lambda _: reads.limits(), "Risk limits and how full they are"),
        ("/withdrawals", lambda _: reads.withdrawals(), "Withdrawals"),
        ("/roles", lambda _: reads.roles(), "Principals and their roles"),
        ("/venue", lambda _: reads.venue(), "The paper venue"),
    ]


def _count(request: Request, name: str, usual: int) -> int:
    text = request.query_params.get(name)
    if text is None:
        return usual
    if not text.isdecimal() or not 1 <= int(text) <= 1_000:
        raise ApiFailure(422, "PARAMETER_OUT_OF_BOUNDS", f"{name} must be from 1 to 1000", bound=1_000)
    return int(text)


def _add_command(app: FastAPI, route: CommandRoute) -> None:
    decoder = msgspec.json.Decoder(route.body)
    wanted = permission_of("POST", route.path)

    async def endpoint(request: Request) -> Response:
        require(request, wanted)
        body = _decode(decoder, await _read_body(request))
        return _answer(await route.handler(request, body))

    content = {JSON: {"schema": _schema_of(route.body)}}
    schema = {"requestBody": {"required": True, "content": content}, PERMISSION_KEY: str(wanted)}
    _guarded(app).add(endpoint)
    app.add_api_route(
        PREFIX + route.path,
        endpoint,
        methods=["POST"],
        summary=route.summary,
        openapi_extra=schema,
        name=route.path,
        response_class=Response,
        responses=_PROBLEM_RESPONSES,
    )


def _add_read(app: FastAPI, path: str, handler: Callable[[Request], Any], summary: str) -> None:
    wanted = permission_of("GET", path)

    async def endpoint(request: Request) -> Response:
        require(request, wanted)
        found = handler(request)
        return _answer(await found if isinstance(found, Awaitable) else found)

    _guarded(app).add(endpoint)
    app.add_api_route(
        PREFIX + path,
        endpoint,
        methods=["GET"],
        summary=summary,
        openapi_extra={PERMISSION_KEY: str(wanted)},
        name=f"get {path}",
        response_class=Response,
        responses=_PROBLEM_RESPONSES,
    )


def _add_socket(app: FastAPI, path: str, streams: Streams) -> None:
    wanted = permission_of(SOCKET, path)

    async def endpoint(socket: WebSocket) -> None:
        if wanted not in socket.scope.get(GRANTED, ()):
            await socket.close(POLICY_VIOLATION, f"this token has no permission to {wanted}")
            return
        await streams.serve(socket)

    _guarded(app).add(endpoint)
    app.router.routes.append(WebSocketRoute(PREFIX + path, endpoint, name=f"socket {path}"))


async def _read_body(request: Request) -> bytes:
    body = b""
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                raise ApiFailure(
                    413, "BODY_TOO_LARGE", f"a body has at most {MAX_BODY_BYTES} bytes", bound=MAX_BODY_BYTES
                )
    except ClientDisconnect as error:
        # Nobody reads this answer; it keeps a connection that ends early from looking like a defect of ours.
        raise ApiFailure(408, "REQUEST_UNFINISHED", "the connection ended within the body") from error
    return body


def _decode(decoder: msgspec.json.Decoder[Any], body: bytes) -> Any:
    try:
        return decoder.decode(body or b"{}")
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ApiFailure(400, "MALFORMED_REQUEST", str(error)) from error


def _schema_of(body: type[msgspec.Struct]) -> dict[str, Any]:
    """The body's JSON schema with its definitions inside, as OpenAPI wants it."""
    schema = msgspec.json.schema(body)
    name = schema.pop("$ref", "").rpartition("/")[2]
    definition: dict[str, Any] = schema.get("$defs", {}).get(name, schema)
    return definition


_PROBLEM_RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    "4XX": {"description": "refused", "content": {MEDIA_TYPE: {"schema": _schema_of(Problem)}}},
    "5XX": {"description": "not possible now", "content": {MEDIA_TYPE: {"schema": _schema_of(Problem)}}},
}


def _answer(document: Any) -> Response:
    return Response(msgspec.json.encode(document), media_type=JSON, headers={"cache-control": "no-store"})


def _problem(failure: ApiFailure) -> Response:
    problem = failure.problem
    return Response(msgspec.json.encode(problem), status_code=problem.status, media_type=MEDIA_TYPE)


async def _answer_failure(_: Request, error: Exception) -> Response:
    assert isinstance(error, ApiFailure)
    return _problem(error)


async def _answer_http(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    name = HTTPStatus(error.status_code).phrase.upper().replace(" ", "_")
    return _problem(ApiFailure(error.status_code, name, str(error.detail)))


async def _answer_defect(request: Request, error: Exception) -> Response:
    log.error("request_failed", path=request.url.path, error=f"{type(error).__name__}: {error}")
    return _problem(ApiFailure(500, "INTERNAL_ERROR", "an internal error; see the log of this platform"))


class TokenGuard:
    """Asks for a bearer token below the prefix, before anything is read, and notes what it may do."""

    def __init__(self, app: ASGIApp, tokens: Tokens) -> None:
        self._app = app
        self._tokens = tokens

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on or refuse with 401."""
        if scope["type"] not in ("http", "websocket") or not scope["path"].startswith(PREFIX):
            await self._app(scope, receive, send)
            return
        granted = self._tokens.granted(_header(scope, b"authorization"))
        if granted is not None:
            scope[GRANTED] = granted
            await self._app(scope, receive, send)
            return
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": "token missing"})
            return
        refusal = _problem(ApiFailure(401, "UNAUTHENTICATED", "the bearer token is missing or wrong"))
        refusal.headers["www-authenticate"] = "Bearer"
        await refusal(scope, receive, send)


def _header(scope: Scope, name: bytes) -> str | None:
    values = [value for key, value in scope["headers"] if key == name]
    return values[0].decode("latin-1") if len(values) == 1 else None
