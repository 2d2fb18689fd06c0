"""The kill switch without a running platform (T8.4): the log itself is opened, restricted and read back."""

from __future__ import annotations

import time
from pathlib import Path

from tradewind.api.identities import Identities
from tradewind.api.views import PlatformViews
from tradewind.core import commands as build
from tradewind.core import journal
from tradewind.core.events import decode_notes
from tradewind.core.hashing import account_id
from tradewind.core.native import Batch
from tradewind.node.service import NodeService
from tradewind.observe.controls import ControlResult, Outcome
from tradewind.trader.killing import order as kill_order
from tradewind.trader.records import TRADER_STREAM, Latch, OperatorAct, decode, encode
from tradewind.trader.risk.state import ACCOUNT, StateTable, TradingState

CAUSE = "operator"
CALLBACK = "offline-halt"


async def halt(data: Path, identities: Identities, *, reason: str, actor: str) -> ControlResult:
    """Latches the halt, cancels every order of the trader's account, and reads both back from the log.

    The next start begins halted. Raises `JournalLocked` when a platform runs after all, `JournalCorrupt`,
    `IdentityError` when the keys are not those of this log: then nothing could be cancelled.
    """
    async with await NodeService.start(data) as node:
        genesis = journal.genesis(node.journal_path)
        identities.check_against((grant.principal, grant.role) for grant in genesis.grants)
        detail = "no platform was running; the log was restricted directly and the next start begins halted"
        result = await restrict(node, identities, reason=reason, actor=actor, detail=detail)
        if result.succeeded:
            kill_order.take_away(data)
        return result


async def obey(data: Path, node: NodeService, identities: Identities) -> ControlResult | None:
    """What a kill order asks for, before anything trades; None: there is none. It is taken away only when the
    halt was read back. Raises `OSError`.
    """
    order = kill_order.pending(data)
    if order is None:
        return None
    result = await restrict(
        node, identities, reason=order.reason, actor=order.actor, detail="kill order obeyed at the start"
    )
    if result.succeeded:
        kill_order.take_away(data)
    return result


async def restrict(
    node: NodeService, identities: Identities, *, reason: str, actor: str, detail: str
) -> ControlResult:
    """The halt in the log of an open node that nobody trades on, read back from it."""
    started_ns = time.monotonic_ns()
    views, states = PlatformViews(journal.genesis(node.journal_path)), StateTable()

    def apply(batch: Batch) -> None:
        views.apply(batch)
        fold_latches(states, batch)

    await node.attach(apply, name=CALLBACK)
    try:
        before, state_before = _open_orders(views, identities), states.effective()
        latch = states.trip(
            ACCOUNT, CAUSE, TradingState.HALTED, reason=reason, actor=actor, now_ns=node.now_ns()
        )
        trader = identities.key("trader")
        cancel = build.cancel_all(principal=trader, account=account_id(trader))
        known = views.accounts.by_owner.get(trader) is not None
        await node.submit_with_notes(
            [cancel] if known else [],
            [encode(latch) if latch is not None else _act(node, reason, actor, "requested", detail)],
        )
        after = _open_orders(views, identities)
        verified = not after and states.effective() is TradingState.HALTED
        changed = latch is not None or bool(before)
        outcome = (Outcome.VERIFIED if changed else Outcome.NO_EFFECT) if verified else Outcome.NOT_VERIFIED
        await node.submit_with_notes([], [_act(node, reason, actor, str(outcome), detail)])
    finally:
        node.detach(CALLBACK)
    return ControlResult(
        action="halt",
        outcome=outcome,
        orders_before=len(before),
        orders_after=len(after),
        state_before=state_before.name.lower(),
        state_after=states.effective().name.lower(),
        left=tuple(str(order) for order in after),
        detail=detail,
        duration_ms=(time.monotonic_ns() - started_ns) // 1_000_000,
    )


def _act(node: NodeService, reason: str, actor: str, outcome: str, detail: str) -> tuple[int, int, bytes]:
    """The operator's act as it goes into the log."""
    return encode(
        OperatorAct(
            act="halt", actor=actor, reason=reason, outcome=outcome, detail=detail, at_ns=node.now_ns()
        )
    )


def fold_latches(states: StateTable, batch: Batch) -> None:
    """Trading states as the log has them."""
    for note in decode_notes(batch.notes):
        if note.stream == TRADER_STREAM:
            record = decode(note.payload)
            if isinstance(record, Latch):
                states.apply(record)


def _open_orders(views: PlatformViews, identities: Identities) -> list[int]:
    account = views.accounts.by_owner.get(identities.key("trader"))
    return [] if account is None else [order.order for order in views.orders.of_account(account.account)]
