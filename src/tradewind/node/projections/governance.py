"""Proposals, offers of authority and suitability as the log shows them."""

from __future__ import annotations

from collections import deque

import msgspec

from tradewind.core.event_types import (
    ActionApproved,
    ActionCancelled,
    ActionExecuted,
    ActionExpired,
    ActionPayload,
    ActionProposed,
    ApprovalWithdrawn,
    AuthorityOffered,
    AuthorityRenounced,
    AuthorityTransferred,
    OfferLapsed,
    OfferWithdrawn,
    ParameterSet,
    SuitabilitySet,
)
from tradewind.core.events import Event

ENDED_KEPT = 1_000
CLASSES = ("", "fees", "risk", "structure", "roles", "rules", "treasury")
EFFECTS = ("none", "reduces risk", "a day's notice", "increases risk")


class Action(msgspec.Struct):
    """A proposed change; times in ns."""

    action: int
    kind: int
    op: int
    proposer: bytes
    effect: int
    action_class: int
    needed: int
    eta_ns: int
    expires_ns: int
    payload: bytes = b""
    approvers: list[bytes] = msgspec.field(default_factory=list)
    approvals: int = 0
    state: str = "open"


class Offer(msgspec.Struct):
    """A role on offer."""

    offer: int
    authority: int
    holder: bytes
    nominee: bytes
    offered_ns: int
    state: str = "open"


class GovernanceView:
    """Open proposals and offers by number, and the last ones that ended."""

    def __init__(self) -> None:
        self.actions: dict[int, Action] = {}
        self.offers: dict[int, Offer] = {}
        self.config_version = 0
        """Number of changes of platform-wide parameters; a proposal names it."""
        self._ended: deque[int] = deque()
        self._ended_offers: deque[int] = deque()

    def on_event(self, event: Event) -> None:
        if isinstance(event, ParameterSet):
            self.config_version = event.config_version
        if isinstance(event, ActionProposed):
            self._proposed(event)
        elif isinstance(event, ActionPayload):
            self.actions[event.action].payload = event.payload
        elif isinstance(event, ActionApproved | ApprovalWithdrawn):
            self._approved(event)
        elif isinstance(event, ActionCancelled | ActionExecuted | ActionExpired):
            self.actions[event.action].state = type(event).__name__.removeprefix("Action").lower()
            self._ended.append(event.action)
            if len(self._ended) > ENDED_KEPT:
                del self.actions[self._ended.popleft()]
        elif isinstance(event, AuthorityOffered):
            offer = Offer(event.offer, event.authority, event.holder, event.nominee, event.time_ns)
            self.offers[event.offer] = offer
        elif isinstance(event, _OFFER_ENDS):
            self._offer_ended(event)

    def _proposed(self, event: ActionProposed) -> None:
        self.actions[event.action] = Action(
            action=event.action,
            kind=event.action_kind,
            op=event.action_op,
            proposer=event.proposer,
            effect=event.effect,
            action_class=event.action_class,
            needed=event.needed,
            eta_ns=event.eta_ns,
            expires_ns=event.expires_ns,
        )

    def _approved(self, event: ActionApproved | ApprovalWithdrawn) -> None:
        action = self.actions[event.action]
        action.approvals = event.approvals
        if isinstance(event, ActionApproved):
            action.approvers.append(event.principal)
        elif event.principal in action.approvers:
            action.approvers.remove(event.principal)

    def _offer_ended(
        self, event: AuthorityTransferred | OfferWithdrawn | OfferLapsed | AuthorityRenounced
    ) -> None:
        offer = self.offers.get(event.offer)
        if offer is None:
            return
        offer.state = {
            AuthorityTransferred: "accepted",
            OfferWithdrawn: "withdrawn",
            OfferLapsed: "lapsed",
        }.get(type(event), "renounced")
        self._ended_offers.append(event.offer)
        if len(self._ended_offers) > ENDED_KEPT:
            del self.offers[self._ended_offers.popleft()]


class SuitabilityView:
    """Who may use more than tenfold leverage, and until when."""

    def __init__(self) -> None:
        self.until_ns: dict[int, int] = {}

    def on_event(self, event: Event) -> None:
        if isinstance(event, SuitabilitySet):
            if event.level:
                self.until_ns[event.account] = event.expiry_ns
            else:
                self.until_ns.pop(event.account, None)

    def allows(self, account: int, now_ns: int) -> bool:
        """Whether the flag of an account (by handle) is valid at a moment."""
        return self.until_ns.get(account, 0) > now_ns


_OFFER_ENDS = (AuthorityTransferred, OfferWithdrawn, OfferLapsed, AuthorityRenounced)
