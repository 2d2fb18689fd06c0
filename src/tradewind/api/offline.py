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
from tradewind.trader.records import TRADER_STREAM, Latch, OperatorAct, decode, encode
from tradewind.trader.risk.state import ACCOUNT, StateTable, TradingState

CAUSE = "operator"


async def halt(data: Path, identities: Identities, *, reason: str, actor: str) -> ControlResult:
    """Latches the halt, cancels every order of the trader's account, and reads both back from the log.

    The next start begins halted. Raises `JournalLocked` when a platform runs after all, `JournalCorrupt`,
    `IdentityError` when the keys are not those of this log: then nothing could be cancelled.
    """
    started_ns = time.monotonic_ns()
    async with await NodeService.start(data) as node:
        genesis = journal.genesis(node.journal_path)
        identities.check_against((grant.principal, grant.role) for grant in genesis.grants)
        views, states = PlatformViews(genesis), StateTable()

        def apply(batch: Batch) -> None:
            views.apply(batch)
            fold_latches(states, batch)

        await node.attach(apply, name="offline-halt")
        before, state_before = _open_orders(views, identities), states.effective()
        latch = states.trip(
            ACCOUNT, CAUSE, TradingState.HALTED, reason=reason, actor=actor, now_ns=node.now_ns()
        )
        trader = identities.key("trader")
        cancel = build.cancel_all(principal=trader, account=account_id(trader))
        known = views.accounts.by_owner.get(trader) is not None
        await node.submit_with_notes(
            [cancel] if known else [], [encode(latch)] if latch is not None else [_act(node, reason, actor)]
        )
        after = _open_orders(views, identities)
        verified = not after and states.effective() is TradingState.HALTED
        changed = latch is not None or bool(before)
        outcome = (Outcome.VERIFIED if changed else Outcome.NO_EFFECT) if verified else Outcome.NOT_VERIFIED
        record = OperatorAct(
            act="halt",
            actor=actor,
            reason=reason,
            outcome=str(outcome),
            detail="offline",
            at_ns=node.now_ns(),
        )
        await node.submit_with_notes([], [encode(record)])
    return ControlResult(
        action="halt",
        outcome=outcome,
        orders_before=len(before),
        orders_after=len(after),
        state_before=state_before.name.lower(),
        state_after=states.effective().name.lower(),
        left=tuple(str(order) for order in after),
        detail="no platform was running; the log was restricted directly and the next start begins halted",
        duration_ms=(time.monotonic_ns() - started_ns) // 1_000_000,
    )


def _act(node: NodeService, reason: str, actor: str) -> tuple[int, int, bytes]:
    """What is recorded when the halt was in force already."""
    return encode(
        OperatorAct(
            act="halt", actor=actor, reason=reason, outcome="requested", detail="offline", at_ns=node.now_ns()
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
