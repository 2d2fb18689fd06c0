"""Requests about parent orders: begin, pause, resume, cancel, list, show. Journaled with their actor."""

from __future__ import annotations

import functools
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final, Literal

import msgspec
from fastapi import Request

from tradewind.api.desk import Desk
from tradewind.api.desk_base import client_key
from tradewind.api.execution_access import ExecutionOfTrader
from tradewind.api.identities import IdentityError
from tradewind.api.numbers import parse_decimal, parse_price, parse_size
from tradewind.api.problems import ApiFailure
from tradewind.api.requests import Number
from tradewind.api.requests import Request as Command
from tradewind.api.route import CommandRoute, Handler
from tradewind.trader.execution.book import Child, Parent
from tradewind.trader.execution.curve import VolumeCurve, check
from tradewind.trader.execution.errors import ExecutionRefused, Refusal
from tradewind.trader.execution.model import Algorithm, Completion, ExecuteIntent
from tradewind.trader.execution.schedule import planned_until
from tradewind.venues.market_data import Side

USUAL_ACTOR: Final = "operator"
MAX_REASON: Final = 200
_STATUS: Final = {
    Refusal.UNKNOWN_SYMBOL: 404,
    Refusal.UNKNOWN_PARENT: 404,
    Refusal.PARENT_ENDED: 409,
    Refusal.IDEMPOTENCY_CONFLICT: 409,
    Refusal.MARKET_NOT_LIVE: 409,
    Refusal.STATE_NOT_NORMAL: 409,
    Refusal.TOO_MANY_PARENTS: 429,
}
_RETRYABLE: Final = frozenset({Refusal.MARKET_NOT_LIVE, Refusal.STATE_NOT_NORMAL, Refusal.TOO_MANY_PARENTS})


class Execute(Command, kw_only=True):
    """A parent order. `completion` says what happens with the rest and has no default; `cross_at_end` needs
    `completion_bps`. `display` is the iceberg's; `curve` is the content of a volume curve, for
    vwap; without it the installation's own is used.
    """

    algorithm: Literal["twap", "vwap", "pov", "iceberg", "passive"]
    market: str
    side: Literal["buy", "sell"]
    quantity: Number
    completion: Literal["cancel_rest", "finish_passive", "cross_at_end", "hand_to_operator"]
    limit: Number | None = None
    duration_s: int = 0
    completion_bps: Number | None = None
    max_cost_bps: Number | None = None
    interval_s: Number | None = None
    participation_pct: Number | None = None
    passive_pct: Number | None = None
    display: Number | None = None
    seed: int | None = None
    reason: str = ""
    curve: VolumeCurve | None = None


class TurnExecution(Command, kw_only=True):
    """An act on one parent, with its reason."""

    reason: str


class ChildRow(msgspec.Struct, kw_only=True):
    """A child order."""

    number: int
    slice: int
    kind: str
    client_id: str
    quantity: str
    filled: str
    price: str
    state: str
    opened_ns: int
    reason: str


class ExecutionRow(msgspec.Struct, kw_only=True):
    """A parent order as it stands. Quantities in base units, prices and costs in quote."""

    number: int
    algorithm: str
    market: str
    side: str
    quantity: str
    filled: str
    planned: str | None
    working: str
    average_price: str | None
    arrival_mid: str
    cost_bps: str | None
    fees: str
    state: str
    reason: str
    actor: str
    strategy: str
    completion: str
    start_ns: int
    end_ns: int
    children_count: int
    market_volume: str
    waits: dict[str, int] = {}
    children: list[ChildRow] = []


class ExecutionRequests:
    """Requests of the API, translated for the trader's execution desk."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    @property
    def _access(self) -> ExecutionOfTrader:
        if self._desk.execution is None:
            raise ApiFailure(409, "NOT_TRADING", "nothing trades yet; look at the feed", retryable=True)
        return self._desk.execution

    async def execute(self, one: Execute) -> ExecutionRow:
        """Begins a parent."""
        access, actor = self._access, self._actor(one)
        market = self._desk.directory.market(one.market)
        if access.desk.view.scale(market.symbol) is None:
            raise ApiFailure(404, "MARKET_NOT_FOUND", f"the trader does not trade {market.symbol}", code=2201)
        limit = None if one.limit is None else parse_price(one.limit, market.scale)
        intent = ExecuteIntent(
            symbol=market.symbol,
            side=Side[one.side.upper()],
            lots=parse_size(one.quantity, market.scale),
            algorithm=Algorithm(one.algorithm),
            completion=Completion(one.completion),
            limit_ticks=limit,
            duration_s=one.duration_s,
            completion_bps=_optional(one.completion_bps),
            max_cost_bps=_optional(one.max_cost_bps),
            parameters=self._parameters(one, market.scale),
            seed=one.seed,
        )
        if one.client_key is not None:
            client_key(one)
        try:
            if one.curve is not None:
                check(one.curve)
            parent = await access.open(
                intent,
                actor=actor,
                reason=_reason(one.reason),
                client_key=one.client_key or "",
                curve=one.curve or access.desk.curves.get(market.symbol),
            )
        except ExecutionRefused as refused:
            raise failure(refused) from refused
        return self.row(parent)

    async def turn(self, verb: str, number: int, one: TurnExecution) -> ExecutionRow:
        """Pause, resume or cancel."""
        try:
            parent = await self._access.turn(verb, number, actor=self._actor(one), reason=_reason(one.reason))
        except ExecutionRefused as refused:
            raise failure(refused) from refused
        return self.row(parent)

    def list(self) -> list[ExecutionRow]:
        """Parents that are kept, newest first."""
        return [self.row(parent) for parent in reversed(self._access.desk.book.parents.values())]

    def show(self, number: int) -> ExecutionRow:
        """One parent with its children."""
        parent = self._access.desk.book.get(number)
        if parent is None:
            raise failure(ExecutionRefused(Refusal.UNKNOWN_PARENT, f"no parent {number}"))
        row = self.row(parent)
        row.waits = self._access.desk.waits(parent)
        row.children = [_child(parent, child) for child in parent.children.values()]
        return row

    def row(self, parent: Parent) -> ExecutionRow:
        """A parent in units of its market."""
        opened, scale = parent.opened, parent.opened.scale
        now_ns = self._access.desk.view.now_ns()
        average = scale.tick * parent.value / parent.filled_lots if parent.filled_lots else None
        cost = parent.cost_bps
        scheduled = opened.algorithm in {Algorithm.TWAP, Algorithm.VWAP}
        return ExecutionRow(
            number=parent.number,
            algorithm=opened.algorithm,
            market=opened.symbol,
            side=opened.side.name.lower(),
            quantity=_text(scale.lot * opened.lots),
            filled=_text(scale.lot * parent.filled_lots),
            planned=_text(scale.lot * planned_until(parent, now_ns)) if scheduled else None,
            working=_text(scale.lot * (0 if parent.open_child is None else parent.open_child.remaining_lots)),
            average_price=None if average is None else f"{average:.8f}".rstrip("0").rstrip("."),
            arrival_mid=_text(scale.tick * opened.arrival.mid_ticks),
            cost_bps=None if cost is None else f"{cost:.2f}",
            fees=_text(parent.fees),
            state=str(parent.state),
            reason=parent.reason,
            actor=parent.actor or opened.actor,
            strategy=opened.strategy,
            completion=opened.completion,
            start_ns=opened.start_ns,
            end_ns=opened.end_ns,
            children_count=parent.children_count,
            market_volume=_text(scale.lot * parent.external_lots / scale.volume_ratio),
        )

    def _actor(self, one: Command) -> str:
        """The name of a known identity. Raises `ApiFailure`."""
        name = one.actor or USUAL_ACTOR
        try:
            self._desk.identities.key(name)
        except IdentityError as error:
            raise ApiFailure(404, error.code, str(error)) from error
        return name

    @staticmethod
    def _parameters(one: Execute, scale: Any) -> dict[str, str]:
        names = ("interval_s", "participation_pct", "passive_pct")
        found = {name: format(parse_decimal(value), "f") for name in names
                 if (value := getattr(one, name)) is not None}  # fmt: skip
        if one.display is not None:
            found["display_lots"] = str(parse_size(one.display, scale))
        return found


def _child(parent: Parent, child: Child) -> ChildRow:
    scale = parent.opened.scale
    return ChildRow(
        number=child.number,
        slice=child.slice,
        kind=child.kind,
        client_id=child.client_id,
        quantity=_text(scale.lot * child.lots),
        filled=_text(scale.lot * child.filled_lots),
        price=_text(scale.tick * child.price_ticks),
        state=child.state,
        opened_ns=child.opened_ns,
        reason=child.reason,
    )


def _text(number: Decimal) -> str:
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _optional(value: Any) -> Decimal | None:
    return None if value is None else parse_decimal(value)


def _reason(text: str) -> str:
    if len(text) > MAX_REASON:
        raise ApiFailure(422, "REASON_TOO_LONG", f"a reason has at most {MAX_REASON} characters")
    return text


def failure(refused: ExecutionRefused) -> ApiFailure:
    """A refusal of the desk as an answer. Its code becomes the name: `SliceTooSmall` is SLICE_TOO_SMALL."""
    code = Refusal(refused.code)
    violated = [text for label, text in (("given", refused.given), ("bound", refused.bound)) if text
                for text in (f"{label} {text}",)]  # fmt: skip
    return ApiFailure(
        _STATUS.get(code, 422),
        code.name,
        refused.message + (f" ({', '.join(violated)})" if violated else ""),
        retryable=code in _RETRYABLE,
        nearest=[refused.nearest] if refused.nearest else None,
        codes=refused.codes or None,
    )


def execution_commands(requests: ExecutionRequests) -> list[CommandRoute]:
    """Commands about parents."""

    async def execute(_: Request, body: Any) -> Any:
        return await requests.execute(body)

    def turn(verb: str) -> Handler:
        act = functools.partial(requests.turn, verb)
        return lambda request, body: act(request.path_params["number"], body)

    texts = {
        "pause": "Pause a parent order",
        "resume": "Resume a parent order",
        "cancel": "Cancel a parent order",
    }
    return [
        CommandRoute("/executions", Execute, execute, "Begin a parent order"),
        *(
            CommandRoute(f"/executions/{{number:int}}/{verb}", TurnExecution, turn(verb), text)
            for verb, text in texts.items()
        ),
    ]


def execution_reads(requests: ExecutionRequests) -> list[tuple[str, Callable[[Request], Any], str]]:
    """Readings of parents."""
    return [
        ("/executions", lambda _: {"executions": requests.list()}, "Parent orders, newest first"),
        ("/executions/{number:int}", lambda r: requests.show(r.path_params["number"]), "One parent order"),
    ]
