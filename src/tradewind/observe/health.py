"""`/health`: ok only when everything that trading needs was seen to work just now. Checks fail closed."""

from __future__ import annotations

import re
import time

import msgspec

from .view import FeedState, PlatformView

_FOLDERS = re.compile(r"/(?:[^\s/:]+/)+")

MAX_VIEW_AGE_MS = 3_000
"""An older view proves nothing."""
MAX_HEAD_AGE_MS = 5_000
"""A running node makes a block at least once a second."""


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One condition of health."""

    name: str
    ok: bool
    detail: str


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of `/health`. `trading` is information: a halted trader is a healthy platform that does
    not trade.
    """

    status: str
    name: str
    """Stable: HEALTHY, or UNHEALTHY with a 503."""
    environment: str
    version: str
    checks: tuple[Check, ...]
    reasons: tuple[str, ...]
    feed: dict[str, str | int | bool | None]
    trading: dict[str, str]
    head: dict[str, str | int | None]
    workers: dict[str, str]
    """Keeper and oracle workers: name and state. Information: SYSTEM does what they leave undone."""

    @property
    def ok(self) -> bool:
        """Whether to answer 200."""
        return self.status == "ok"


def assess(view: PlatformView, now_ns: int | None = None) -> Health:
    """Judge a view. Unknown counts as failed."""
    checks = (
        _view_age(view, time.time_ns() if now_ns is None else now_ns),
        _journal(view),
        _head(view),
        _feed(view),
        _trading(view),
    )
    reasons = tuple(f"{check.name}: {check.detail}" for check in checks if not check.ok)
    feed, head = view.feed, view.head
    return Health(
        status="ok" if not reasons else "failing",
        name="HEALTHY" if not reasons else "UNHEALTHY",
        environment=view.env,
        version=view.version,
        checks=checks,
        reasons=reasons,
        feed={
            "label": feed.label,
            "generated": feed.generated,
            "state": feed.state.value,
            "age_ms": feed.age_ms,
        },
        trading={"state": view.trading.state, "reason": view.trading.reason},
        head={"block": head.block, "seq": head.seq, "hash": head.hash, "age_ms": head.age_ms},
        workers={one.name: one.state for one in view.workers},
    )


def _public(detail: str) -> str:
    """The detail without folders of this machine: everybody who reaches the port reads it."""
    return _FOLDERS.sub("", detail)


def _view_age(view: PlatformView, now_ns: int) -> Check:
    age_ms = (now_ns - view.taken_ns) // 1_000_000
    return Check(
        name="view", ok=age_ms <= MAX_VIEW_AGE_MS, detail=f"{age_ms} ms old, {MAX_VIEW_AGE_MS} allowed"
    )


def _journal(view: PlatformView) -> Check:
    head = view.head
    if head.stopped:
        return Check(name="journal", ok=False, detail=_public(f"the node is stopped: {head.stopped}"))
    if head.writable is None:
        return Check(name="journal", ok=False, detail="not known whether it can write")
    return Check(
        name="journal", ok=head.writable, detail="writable" if head.writable else "cannot write new risk"
    )


def _head(view: PlatformView) -> Check:
    age_ms = view.head.age_ms
    if age_ms is None:
        return Check(name="head", ok=False, detail="no block is known")
    return Check(
        name="head", ok=age_ms <= MAX_HEAD_AGE_MS, detail=f"{age_ms} ms old, {MAX_HEAD_AGE_MS} allowed"
    )


def _feed(view: PlatformView) -> Check:
    feed = view.feed
    if feed.state is not FeedState.LIVE:
        return Check(name="feed", ok=False, detail=_public(f"{feed.state.value} {feed.detail}".strip()))
    if feed.age_ms is None:
        return Check(name="feed", ok=False, detail="age unknown")
    if feed.budget_ms is not None and feed.age_ms > feed.budget_ms:
        return Check(name="feed", ok=False, detail=f"{feed.age_ms} ms old, {feed.budget_ms} allowed")
    return Check(name="feed", ok=True, detail=f"live, {feed.age_ms} ms old")


def _trading(view: PlatformView) -> Check:
    known = view.trading.state in ("normal", "reduce_only", "halted")
    return Check(name="trading_state", ok=known, detail=view.trading.state)
