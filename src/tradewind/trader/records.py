"""The trader's records in the journal: intents, requests, states, risk and operator acts (T1.10).

Each is JSON with money as strings, in stream `TRADER` of the node's journal. The engine's own events are the
acknowledgements and fills of a paper venue and are not written twice.
"""

from __future__ import annotations

from decimal import Decimal
from enum import IntEnum
from typing import Literal

import msgspec

from tradewind.venues.market_data import Side
from tradewind.venues.protocol import FillEvent, OrderState

from .execution import records as execution
from .ramp.records import RampApproval, RampMove, RampProposal, RampTally
from .risk.records import BehaviourEvent, LimitChange, Reason, StageStart

TRADER_STREAM = 1
"""Stream number of the trader's notes."""


class Kind(IntEnum):
    """Record types of T1.10."""

    INTENT = 1
    SENT = 2
    ACK = 3
    REJECT = 4
    FILL = 5
    CANCEL_REQUEST = 6
    CANCEL_ACK = 7
    STATE = 8
    RECONCILIATION = 9
    RISK = 10
    OPERATOR = 11


class Intent(msgspec.Struct, frozen=True, kw_only=True):
    """A decided order, journaled before any byte of it is sent (T7.2)."""

    intent_seq: int
    client_id: str
    environment: str
    account: str
    venue: str
    strategy: str
    path: str
    symbol: str
    side: Side
    order_type: str
    time_in_force: str
    post_only: bool
    price_ticks: int
    lots: int
    tag: str
    policy: Literal["resend", "abandon"]
    decision_ns: int
    epoch: int
    limits_hash: str
    config_hash: str
    reservation_asset: str
    reservation: Decimal


class AmendRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A decided change of a working order."""

    client_id: str
    price_ticks: int
    lots: int
    reservation_asset: str
    reservation: Decimal
    decision_ns: int


class CancelRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A decided cancel."""

    client_id: str
    reason: str
    decision_ns: int


class OrderNote(msgspec.Struct, frozen=True, kw_only=True):
    """An order reached a state that the venue's own records do not show."""

    client_id: str
    state: str
    reason: str
    at_ns: int


class DayBase(msgspec.Struct, frozen=True, kw_only=True):
    """Equity at the start of a UTC day: the base of the daily loss limit."""

    day: str
    equity: Decimal
    strategy_pnl: dict[str, Decimal]
    at_ns: int


class HighWater(msgspec.Struct, frozen=True, kw_only=True):
    """A drawdown step was reached, with the high-water equity it is measured from."""

    equity: Decimal
    step: int
    at_ns: int


class Latch(msgspec.Struct, frozen=True, kw_only=True):
    """A trading state was set or cleared in one scope."""

    scope: str
    cause: str
    level: str
    latching: bool
    cleared: bool
    reason: str
    actor: str
    at_ns: int
    not_before_ns: int = 0
    second: str = ""
    """Who else cleared it, where two people are needed."""


class Denial(msgspec.Struct, frozen=True, kw_only=True):
    """An intent that pre-trade risk refused."""

    strategy: str
    path: str
    symbol: str
    side: Side
    price_ticks: int
    lots: int
    codes: list[str]
    detail: str
    at_ns: int
    reasons: list[Reason] = []


class OperatorAct(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator asked for and what came of it."""

    act: str
    actor: str
    reason: str
    outcome: str
    detail: str
    at_ns: int


class Reconciliation(msgspec.Struct, frozen=True, kw_only=True):
    """Result of comparing ledger and venue."""

    clean: bool
    differences: list[str]
    at_ns: int


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """The bytes of an order are about to leave; appended without waiting for its own sync (T7.2)."""

    client_id: str
    at_ns: int


class Acknowledged(msgspec.Struct, frozen=True, kw_only=True):
    """An outside venue accepted an order and named it."""

    client_id: str
    venue_id: str
    at_ns: int


class Execution(msgspec.Struct, frozen=True, kw_only=True):
    """One execution at an outside venue, as its private stream or its list told it."""

    event: FillEvent


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """An order ended at an outside venue other than by being filled."""

    state: OrderState


class Opening(msgspec.Struct, frozen=True, kw_only=True):
    """What an account held at an outside venue when its ledger began; `cost_prices` by symbol, in quote."""

    balances: dict[str, Decimal]
    cost_prices: dict[str, Decimal]
    at_ns: int


Record = (
    RampMove
    | RampProposal
    | RampApproval
    | RampTally
    | Intent
    | Sent
    | Acknowledged
    | Execution
    | Ended
    | Opening
    | AmendRequest
    | CancelRequest
    | OrderNote
    | DayBase
    | HighWater
    | Latch
    | Denial
    | OperatorAct
    | Reconciliation
    | execution.ExecutionRecord
    | StageStart
    | BehaviourEvent
    | LimitChange
)

_KINDS: dict[type, Kind] = {
    Intent: Kind.INTENT,
    Sent: Kind.SENT,
    Acknowledged: Kind.ACK,
    Execution: Kind.FILL,
    Ended: Kind.STATE,
    Opening: Kind.OPERATOR,
    AmendRequest: Kind.SENT,
    CancelRequest: Kind.CANCEL_REQUEST,
    OrderNote: Kind.STATE,
    DayBase: Kind.RISK,
    HighWater: Kind.RISK,
    Latch: Kind.RISK,
    Denial: Kind.REJECT,
    OperatorAct: Kind.OPERATOR,
    Reconciliation: Kind.RECONCILIATION,
    StageStart: Kind.RISK,
    BehaviourEvent: Kind.RISK,
    LimitChange: Kind.RISK,
    RampMove: Kind.OPERATOR,
    RampProposal: Kind.OPERATOR,
    RampApproval: Kind.OPERATOR,
    RampTally: Kind.STATE,
}
_KINDS.update(dict.fromkeys(execution.ExecutionRecord.__args__, Kind.STATE))
_TYPES: dict[str, type] = {kind.__name__: kind for kind in _KINDS}


class UnreadableRecord(ValueError):
    """A note of the trader's stream that this build cannot read: recovery stops instead of guessing."""

    code = "UnreadableRecord"


class _Envelope(msgspec.Struct):
    type: str
    body: msgspec.Raw


def encode(record: Record) -> tuple[int, int, bytes]:
    """(stream, kind, payload) of a record."""
    body = msgspec.json.encode(record)
    payload = msgspec.json.encode(_Envelope(type(record).__name__, msgspec.Raw(body)))
    return TRADER_STREAM, int(_KINDS[type(record)]), payload


def decode(payload: bytes | memoryview) -> Record:
    """The record in a payload. Raises `UnreadableRecord`."""
    try:
        envelope = msgspec.json.decode(payload, type=_Envelope)
        record: Record = msgspec.json.decode(envelope.body, type=_TYPES[envelope.type])
    except (msgspec.DecodeError, KeyError) as error:
        raise UnreadableRecord(f"{error!r}: {bytes(payload[:80])!r}") from error
    return record
