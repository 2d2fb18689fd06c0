"""Views that the API needs beside those of every exchange: who may do what, and what is on its way out."""

from __future__ import annotations

from typing import Final

import msgspec

from tradewind.api.activity import ActivityView, MarketChanges
from tradewind.core import event_types as event
from tradewind.core import native
from tradewind.core.engine import GenesisConfig
from tradewind.core.events import Event
from tradewind.node.projections.exchange import ExchangeViews

MAX_ENDED_WITHDRAWALS: Final = 1_000
ENDED: Final = frozenset({"settled", "returned", "cancelled"})


class Principal(msgspec.Struct):
    """Roles (number → expiry in ns since the epoch) and standing of one public key."""

    roles: dict[int, int]
    suspended: bool = False
    reinstatement_pending: bool = False


class PrincipalsView:
    """Roles and suspensions by public key."""

    def __init__(self, genesis: GenesisConfig) -> None:
        self.by_key: dict[bytes, Principal] = {}
        for grant in genesis.grants:
            self._of(grant.principal).roles[grant.role] = grant.expiry_ns

    def _of(self, key: bytes) -> Principal:
        return self.by_key.setdefault(key, Principal({}))

    def on_event(self, one: Event) -> None:
        if isinstance(one, event.RoleGranted):
            self._of(one.principal).roles[one.role] = one.expiry_ns
        elif isinstance(one, event.RoleRevoked):
            self._of(one.principal).roles.pop(one.role, None)
        elif isinstance(one, event.PrincipalSuspended):
            self._of(one.principal).suspended = True
        elif isinstance(one, event.ReinstatePending):
            self._of(one.principal).reinstatement_pending = True
        elif isinstance(one, event.PrincipalReinstated):
            entry = self._of(one.principal)
            entry.suspended = entry.reinstatement_pending = False


class Withdrawal(msgspec.Struct, frozen=True):
    """A withdrawal request as the last event left it; `amount` in micro-units."""

    ticket: int
    account: int
    sub: int
    asset: int
    amount: int
    eta_ns: int
    state: str


class WithdrawalsView:
    """Withdrawals by ticket: all open ones, and the last ones that ended."""

    def __init__(self) -> None:
        self.by_ticket: dict[int, Withdrawal] = {}
        self._ended: dict[int, None] = {}

    def on_event(self, one: Event) -> None:
        if not isinstance(one, _WITHDRAWAL_EVENTS):
            return
        state = type(one).__name__.removeprefix("Withdrawal").lower()
        found = Withdrawal(one.ticket, one.account, one.sub, one.asset, one.amount, one.eta_ns, state)
        self.by_ticket[found.ticket] = found
        if state in ENDED:
            self._ended[found.ticket] = None
            if len(self._ended) > MAX_ENDED_WITHDRAWALS:
                oldest = next(iter(self._ended))
                del self._ended[oldest], self.by_ticket[oldest]


class ResumesView:
    """First approvals of resumes: (market, pause) → the public key that gave it."""

    def __init__(self) -> None:
        self.first: dict[tuple[int, int], bytes] = {}

    def on_event(self, one: Event) -> None:
        if isinstance(one, event.ResumePending):
            self.first[one.market, one.pause_id] = one.principal
        elif isinstance(one, event.Resumed):
            self.first.pop((one.market, one.pause_id), None)


class RatesView:
    """Rate classes that RISK gave, by account; what a stake earns comes beside it (P11.7)."""

    def __init__(self) -> None:
        self.by_account: dict[int, int] = {}

    def on_event(self, one: Event) -> None:
        if isinstance(one, event.RateClassSet):
            self.by_account[one.account] = one.rate_class


_WITHDRAWAL_EVENTS: Final = (
    event.WithdrawalQueued,
    event.WithdrawalReleased,
    event.WithdrawalCancelled,
    event.WithdrawalSettled,
    event.WithdrawalReturned,
)


class PlatformViews(ExchangeViews):
    """Every view of the API behind one callback: `await node.attach(views.apply, name="api-views")`."""

    def __init__(self, genesis: GenesisConfig) -> None:
        super().__init__(tracks_changes=True)
        self.principals = PrincipalsView(genesis)
        self.withdrawals = WithdrawalsView()
        self.resumes = ResumesView()
        self.rates = RatesView()
        self.activity = ActivityView(self)
        self.changes = MarketChanges(self)
        self.activity.on_trade = self.changes.printed
        self.views += (self.principals, self.withdrawals, self.resumes, self.rates, self.activity)

    def apply(self, batch: native.Batch) -> None:
        """As every bundle; what a block changed in the books is told behind the whole block."""
        super().apply(batch)
        if self.books.touched:
            self.changes.publish(batch.last_seq, batch.time_ns)
