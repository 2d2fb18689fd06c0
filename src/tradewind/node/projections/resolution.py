"""Resolutions of outcome markets and verses as the log shows them. Money in micro-units, payouts in ppm."""

from __future__ import annotations

from typing import Final

import msgspec

from tradewind.core.event_types import (
    BondSettled,
    DisputeDecided,
    EscrowSwept,
    ListingBonded,
    ListingEnded,
    MarketLinked,
    PayoutShown,
    Redeemed,
    ResolutionDisputed,
    ResolutionFinal,
    ResolutionProposed,
    VerseCreated,
    VerseHalted,
    VerseMoved,
    VerseResumed,
    VerseResumePending,
    VoteCast,
)
from tradewind.core.events import Event

STAGES: Final = ("open", "proposed", "disputed", "decided", "final")
"""Names of a resolution's stages, as the engine numbers them."""
PROPOSED, DISPUTED, DECIDED, FINAL = 1, 2, 3, 4
VERDICTS: Final = ("", "upheld", "overturned", "no quorum")
WHOLE_PPM: Final = 1_000_000
VECTOR, INVALID = 0xFD, 0xFE
NO_VERSE: Final = 0xFFFF_FFFF


def equal_shares(members: list[int], outcomes: int) -> list[int]:
    """Equal parts of the whole; what is left over goes one ppm each to the first members."""
    share, over = divmod(WHOLE_PPM, len(members))
    parts = [0] * outcomes
    for place, outcome in enumerate(members):
        parts[outcome] = share + (place < over)
    return parts


def named_payout(choice: int, outcomes: int) -> list[int]:
    """The vector behind a short name: an outcome, or INVALID."""
    if choice == INVALID:
        return equal_shares(list(range(outcomes)), outcomes)
    return [WHOLE_PPM if outcome == choice else 0 for outcome in range(outcomes)]


class Claim(msgspec.Struct):
    """A proposal or a dispute, and what became of its bond."""

    round: int
    account: int
    sub: int
    bond: int
    exposure: int
    payout: list[int]
    evidence: bytes
    evidence_items: int
    time_ns: int
    returned: int = 0
    to_winner: int = 0
    to_insurance: int = 0
    open: bool = True


class Vote(msgspec.Struct):
    """An arbiter's vote."""

    round: int
    arbiter: bytes
    payout: list[int]


class Decision(msgspec.Struct):
    """How a disputed round ended."""

    round: int
    verdict: int
    payout: list[int]
    time_ns: int


class Resolution(msgspec.Struct):
    """The resolution of one market."""

    market: int
    outcomes: int
    base_bond: int
    stage: int = PROPOSED
    round: int = 0
    until_ns: int = 0
    standing: list[int] = msgspec.field(default_factory=list)
    claims: list[Claim] = msgspec.field(default_factory=list)
    votes: list[Vote] = msgspec.field(default_factory=list)
    decisions: list[Decision] = msgspec.field(default_factory=list)
    final_ns: int = 0
    owed: int = 0
    redeemed: int = 0
    swept: int = 0

    @property
    def escrowed(self) -> int:
        """Micro-units of bonds that are still at stake."""
        return sum(claim.bond for claim in self.claims if claim.open)

    @property
    def next_bond(self) -> int:
        """Micro-units that a dispute of the present round needs before the exposure rule."""
        return self.base_bond << self.round


class Listing(msgspec.Struct):
    """The bond behind a market that an account has listed, and how it ended; `winner` None rewards nobody."""

    account: int
    sub: int
    bond: int
    reward: int
    open: bool = True
    rewarded: int = 0
    returned: int = 0
    to_insurance: int = 0
    winner: int | None = None


class ResolutionsView:
    """Resolutions and listings by market."""

    def __init__(self) -> None:
        self.by_market: dict[int, Resolution] = {}
        self.listings: dict[int, Listing] = {}
        self._shown: list[int] = []

    def on_event(self, event: Event) -> None:
        if isinstance(event, PayoutShown):
            parts = memoryview(event.ppm).cast("I")
            self._shown += parts[: event.count].tolist()
        elif isinstance(event, ResolutionProposed):
            self.by_market[event.market] = Resolution(event.market, event.outcomes, event.base_bond)
            self._claimed(event)
        elif isinstance(event, ResolutionDisputed):
            self._claimed(event)
        elif isinstance(event, VoteCast):
            one = self.by_market[event.market]
            one.votes.append(Vote(event.round, event.arbiter, self._vector(event.choice, one)))
        elif isinstance(event, DisputeDecided):
            self._decided(event)
        elif isinstance(event, ResolutionFinal):
            one = self.by_market[event.market]
            one.standing = self._vector(event.choice, one)
            one.stage, one.until_ns, one.final_ns, one.owed = FINAL, 0, event.time_ns, event.owed
        elif isinstance(event, BondSettled):
            claim = self.by_market[event.market].claims[event.party]
            claim.returned, claim.to_winner = event.returned, event.to_winner
            claim.to_insurance, claim.open = event.to_insurance, False
        elif isinstance(event, Redeemed):
            self.by_market[event.market].redeemed += event.amount
        elif isinstance(event, EscrowSwept):
            self.by_market[event.market].swept += event.amount
        elif isinstance(event, ListingBonded):
            self.listings[event.market] = Listing(event.account, event.sub, event.bond, event.reward)
        elif isinstance(event, ListingEnded):
            one_listing = self.listings[event.market]
            one_listing.open, one_listing.rewarded = False, event.reward
            one_listing.returned, one_listing.to_insurance = event.returned, event.to_insurance
            one_listing.winner = _or_none(event.winner)

    def _vector(self, choice: int, one: Resolution) -> list[int]:
        shown, self._shown = self._shown, []
        return shown if choice == VECTOR else named_payout(choice, one.outcomes)

    def _claimed(self, event: ResolutionProposed | ResolutionDisputed) -> None:
        one = self.by_market[event.market]
        payout = self._vector(event.choice, one)
        one.until_ns = event.until_ns
        one.claims.append(
            Claim(event.round, event.account, event.sub, event.bond, event.exposure, payout, event.evidence,
                  event.evidence_items, event.time_ns)
        )  # fmt: skip
        if isinstance(event, ResolutionDisputed):
            one.stage = DISPUTED
        else:
            one.standing = payout

    def _decided(self, event: DisputeDecided) -> None:
        one = self.by_market[event.market]
        voted = [vote.payout for vote in one.votes if vote.round == event.round]
        if event.choice == VECTOR:
            # The vector that stands was shown before: by its claim, or by the votes that made it stand.
            chosen = next((payout for payout in voted if voted.count(payout) >= 3), one.standing)
        else:
            chosen = named_payout(event.choice, one.outcomes)
        one.standing = chosen
        one.stage, one.round, one.until_ns = event.stage, event.next_round, event.until_ns
        one.decisions.append(Decision(event.round, event.verdict, chosen, event.time_ns))
        if event.returned:
            one.claims[-1].returned, one.claims[-1].open = event.returned, False


class VerseHalt(msgspec.Struct):
    """A verse's own halt; `pending` is the first of the two approvals of its end."""

    pause_id: int
    level: int
    until_ns: int
    reason: str
    pending: bytes | None = None
    pending_until_ns: int = 0


class Verse(msgspec.Struct):
    """A group of markets; `parent` None is a root."""

    verse: int
    slug: str
    parent: int | None
    markets: list[int] = msgspec.field(default_factory=list)
    halt: VerseHalt | None = None


class VersesView:
    """Verses by number and slug, and the verse of every market that has one."""

    def __init__(self) -> None:
        self.by_number: dict[int, Verse] = {}
        self.by_slug: dict[str, Verse] = {}
        self.of_market: dict[int, int] = {}

    def on_event(self, event: Event) -> None:
        if isinstance(event, VerseCreated):
            verse = Verse(event.verse, event.slug, _or_none(event.parent))
            self.by_number[verse.verse] = self.by_slug[verse.slug] = verse
        elif isinstance(event, VerseHalted):
            halt = VerseHalt(event.pause_id, event.level, event.until_ns, event.reason)
            self.by_number[event.verse].halt = halt
        elif isinstance(event, VerseResumePending):
            pending = self.by_number[event.verse].halt
            if pending is not None:
                pending.pending, pending.pending_until_ns = event.principal, event.until_ns
        elif isinstance(event, VerseResumed):
            self.by_number[event.verse].halt = None
        elif isinstance(event, VerseMoved):
            self.by_number[event.verse].parent = _or_none(event.parent)
        elif isinstance(event, MarketLinked):
            previous = self.of_market.pop(event.market, None)
            if previous is not None:
                self.by_number[previous].markets.remove(event.market)
            if event.verse != NO_VERSE:
                self.of_market[event.market] = event.verse
                self.by_number[event.verse].markets.append(event.market)

    def upwards(self, verse: int) -> list[Verse]:
        """This verse and those above it, the nearest first."""
        found, at = [], _or_none(verse)
        while at is not None:
            found.append(self.by_number[at])
            at = self.by_number[at].parent
        return found

    def depth(self, verse: int) -> int:
        """Levels from a root down to this verse, itself included."""
        return len(self.upwards(verse))


def _or_none(verse: int) -> int | None:
    return None if verse == NO_VERSE else verse
