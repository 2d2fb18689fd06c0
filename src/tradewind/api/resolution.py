"""Resolution of outcome markets, redemption and verses over HTTP: requests, commands, views, routes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Literal

from fastapi import Request as HttpRequest

from tradewind.api.desk import SECOND_NS
from tradewind.api.desk_base import Done
from tradewind.api.exchange_desk import ExchangeDesk
from tradewind.api.numbers import amount_text, parse_amount
from tradewind.api.payouts import payout_fields, payout_text
from tradewind.api.problems import ApiFailure, failure_of
from tradewind.api.question_desk import payout_at
from tradewind.api.requests import Number, Request
from tradewind.api.route import CommandRoute
from tradewind.core.enums import Line, MarketStatus
from tradewind.core.errors import Rejected, reject
from tradewind.core.hashing import blake3
from tradewind.node.archive import archive_path, write_archive
from tradewind.node.projections.resolution import (
    DISPUTED,
    NO_VERSE,
    STAGES,
    VERDICTS,
    Claim,
    Listing,
    Resolution,
    Verse,
    VerseHalt,
)

MAX_ROWS: Final = 1_000
DEFAULT_BOND: Final = "1000"
MAX_EVIDENCE: Final = 100
NONE: Final = "none"


class ClaimPayout(Request, kw_only=True):
    """What a market pays (`2`, `invalid`, `0+3`, `0=250000,2=750000`), backed by a bond of the account.

    `bond` is the most that may be taken; `evidence` are 1 to 100 texts or references, whose hash is logged.
    """

    account: str
    sub: int = 0
    payout: str
    evidence: list[str]
    bond: Number | None = None
    round: int | None = None


class VotePayout(Request, kw_only=True):
    """An arbiter's vote in the round under dispute."""

    payout: str
    round: int | None = None


class Finalise(Request, kw_only=True):
    """Makes what stands final once its window is over."""


class Redeem(Request, kw_only=True):
    """Pays out every claim of an account on a settled market."""

    account: str
    sub: int = 0


class Prune(Request, kw_only=True):
    """Archives a settled market and releases it."""


class CreateVerse(Request, kw_only=True):
    """A group of markets below another one, or a root."""

    slug: str
    parent: str | None = None


class MoveVerse(Request, kw_only=True):
    """Another parent for a verse; `none` makes it a root."""

    parent: str


class HaltVerse(Request, kw_only=True):
    """Pauses every market below a verse. `partial`: no new risk, ends by itself; `full`: until two end it.

    `for_s` is at most 72 h.
    """

    level: Literal["partial", "full"] = "partial"
    for_s: int = 3_600
    reason: str


class ResumeVerse(Request, kw_only=True):
    """One of two approvals to end a halt; `pause_id` is that of the present halt when absent."""

    pause_id: int | None = None


class LinkMarket(Request, kw_only=True):
    """The verse of a market; `none` takes it out."""

    verse: str


def evidence_of(items: list[str]) -> dict[str, int | bytes]:
    """Fields `evidence` and `evidence_items`: the hash over the hashes of all items.

    Raises:
        ApiFailure: EVIDENCE_LIMIT above 100 items.
    """
    given = [item for item in items if item.strip()]
    if len(given) > MAX_EVIDENCE:
        raise failure_of(reject("EVIDENCE_LIMIT", bound=MAX_EVIDENCE, given=len(given)))
    root = blake3(b"".join(blake3(item.encode()) for item in given)) if given else bytes(32)
    return {"evidence": root, "evidence_items": len(given)}


class ResolutionDesk:
    """Commands about resolutions and verses; as everywhere, one record in the log each."""

    def __init__(self, desk: ExchangeDesk) -> None:
        self._desk = desk
        self._directory, self._views = desk.directory, desk.views

    def _state(self, market: int) -> Resolution | None:
        return self._views.resolutions.by_market.get(market)

    async def propose(self, name: str, one: ClaimPayout) -> Done:
        """Says what a closed market pays; the account's owner."""
        return await self._claim("ProposeResolution", name, one, 0, one.bond or DEFAULT_BOND)

    async def dispute(self, name: str, one: ClaimPayout) -> Done:
        """Says that a market pays something else; the account's owner. The usual `bond` is the round's."""
        state = self._state(self._directory.market(name).handle)
        usual = DEFAULT_BOND if state is None else amount_text(state.next_bond)
        present = 0 if state is None else state.round
        return await self._claim("DisputeResolution", name, one, present, one.bond or usual)

    async def _claim(self, command: str, name: str, one: ClaimPayout, present: int, bond: Any) -> Done:
        return await self._desk._send(
            command,
            one,
            None,
            **self._desk._owner(one.account, one.sub),
            market=self._directory.market(name).handle,
            round=present if one.round is None else one.round,
            bond=parse_amount(bond),
            **self._payout(name, one.payout),
            **evidence_of(one.evidence),
        )

    def _payout(self, name: str, text: str) -> dict[str, int | bytes]:
        """Fields of a payout; `value=3.2` names the number of a distribution market.

        Raises:
            ApiFailure: INVALID_PAYOUT_VECTOR; POOL_NOT_FOUND for a number in a market that has no bounds.
        """
        form, _, value = text.partition("=")
        if form.strip().lower() != "value":
            return payout_fields(text)
        market = self._directory.market(name).handle
        question = self._views.questions.by_market.get(market)
        if question is None:
            raise failure_of(reject("POOL_NOT_FOUND", given=market))
        return payout_fields(payout_at(question, value.strip()))

    async def vote(self, name: str, one: VotePayout) -> Done:
        """A vote; ARBITER."""
        market = self._directory.market(name).handle
        state = self._state(market)
        present = 0 if state is None else state.round
        done = await self._desk._send(
            "VoteResolution",
            one,
            "arbiter",
            market=market,
            round=present if one.round is None else one.round,
            **self._payout(name, one.payout),
        )
        after = self._state(market)
        done.effect = {"decided": after is not None and after.stage != DISPUTED}
        return done

    async def finalise(self, name: str, one: Finalise) -> Done:
        """Sets the payout once and for all; anyone."""
        return await self._desk._send(
            "FinaliseResolution", one, "system", market=self._directory.market(name).handle
        )

    async def prune(self, name: str, one: Prune) -> Done:
        """Archives a settled market, reads the archive back, and releases the market; SYSTEM.

        `effect.archive` is the file, `effect.hash` what the log keeps of it.
        """
        market = self._directory.market(name)
        market_id = market.market.market_id
        archive_hash, effect = bytes(32), {}
        # Without records there is nothing to archive: the engine says why.
        records = await self._desk._desk.node.market_archive(market.handle)
        if records is not None:
            path = archive_path(self._desk._desk.identities.directory.parent, market_id)
            try:
                archive_hash = await asyncio.to_thread(write_archive, path, records, market_id)
            except (OSError, Rejected) as error:
                raise _not_archived(error, path) from error
            effect = {"archive": str(path), "hash": archive_hash.hex()}
        done = await self._desk._send(
            "PruneMarket", one, "system", market=market.handle, archive_hash=archive_hash
        )
        done.effect = effect
        return done

    async def redeem(self, name: str, one: Redeem) -> Done:
        """Turns the claims of an account into money; its owner. `effect.amount` is what was paid."""
        owner = self._desk._owner(one.account, one.sub)
        market = self._directory.market(name).handle
        done = await self._desk._send("Redeem", one, None, **owner, market=market)
        done.effect = {"amount": amount_text(done.value)}
        return done

    def _verse(self, name: str) -> int:
        if name.lower() == NONE:
            return NO_VERSE
        return verse_of(self._views, name).verse

    async def create_verse(self, one: CreateVerse) -> Done:
        """A new verse; OPERATOR."""
        parent = NO_VERSE if one.parent is None else self._verse(one.parent)
        return await self._desk._send("CreateVerse", one, "operator", slug=one.slug, parent=parent)

    async def move_verse(self, name: str, one: MoveVerse) -> Done:
        """Another parent; OPERATOR."""
        verse, parent = verse_of(self._views, name).verse, self._verse(one.parent)
        return await self._desk._send("MoveVerse", one, "operator", verse=verse, parent=parent)

    async def halt(self, name: str, one: HaltVerse) -> Done:
        """Halts a verse; EMERGENCY. `effect.markets` are the markets below it."""
        found = verse_of(self._views, name)
        until_ns = self._desk._desk.node.now_ns() + one.for_s * SECOND_NS
        level = {"partial": 1, "full": 2}[one.level]
        done = await self._desk._send(
            "HaltVerse",
            one,
            "emergency",
            verse=found.verse,
            level=level,
            until_ns=until_ns,
            reason=one.reason,
        )
        verses = self._views.verses
        below = [one for one in verses.of_market.values() if found in verses.upwards(one)]
        done.effect = {"markets": len(below)}
        return done

    async def resume(self, name: str, one: ResumeVerse) -> Done:
        """Approves the end of a halt; RESUMER. `effect.resumed` tells whether it was the second approval."""
        found = verse_of(self._views, name)
        present = 0 if found.halt is None else found.halt.pause_id
        pause_id = present if one.pause_id is None else one.pause_id
        done = await self._desk._send("ResumeVerse", one, "resumer_1", verse=found.verse, pause_id=pause_id)
        done.effect = {"resumed": verse_of(self._views, name).halt is None}
        return done

    async def link(self, name: str, one: LinkMarket) -> Done:
        """Puts a market into a verse; OPERATOR."""
        market = self._directory.market(name).handle
        return await self._desk._send(
            "LinkMarket", one, "operator", market=market, verse=self._verse(one.verse)
        )


def _not_archived(error: OSError | Rejected, path: Path) -> ApiFailure:
    if isinstance(error, Rejected):
        return failure_of(error)
    return ApiFailure(503, "ARCHIVE_NOT_WRITTEN", f"{path}: {error.strerror}", retryable=True)


def verse_of(views: Any, name: str) -> Verse:
    """A verse by slug or number. Raises `ApiFailure` VERSE_NOT_FOUND."""
    verses = views.verses
    found = verses.by_slug.get(name.lower())
    if found is None and name.isdecimal():
        found = verses.by_number.get(int(name))
    if found is None:
        raise ApiFailure(404, "VERSE_NOT_FOUND", f"no verse {name!r}", code=3801)
    known: Verse = found
    return known


class ResolutionReads:
    """Plain documents; they change nothing."""

    def __init__(self, desk: ExchangeDesk) -> None:
        self._directory, self._views = desk.directory, desk.views
        self._name_of = desk._desk.identities.name_of

    def _account(self, account: int) -> str:
        owner = self._views.accounts.by_handle[account].owner_key
        return self._name_of(owner) or str(account)

    def resolution(self, name: str) -> dict[str, Any]:
        """Where the resolution of a market stands, and every claim, vote and decision of it."""
        market = self._directory.market(name)
        ledger, quote = self._views.ledger, market.market.quote
        escrow = ledger.system_line(Line.SET_ESCROW, quote, market.handle + 1)
        document: dict[str, Any] = {
            "market": market.handle,
            "symbol": market.symbol,
            "status": market.market.status.name.lower(),
            "settle_time_ns": market.market.settle_time_ns,
            "escrow": amount_text(escrow),
            "stage": STAGES[0],
        }
        listing = self._views.resolutions.listings.get(market.handle)
        if listing is not None:
            document["listing"] = self._listing(listing)
        one = self._views.resolutions.by_market.get(market.handle)
        return document if one is None else {**document, **self._state(one)}

    def _listing(self, one: Listing) -> dict[str, Any]:
        return {
            "account": self._account(one.account),
            "bond": amount_text(one.bond),
            "reward": amount_text(one.reward),
            "open": one.open,
            "rewarded": amount_text(one.rewarded),
            "winner": None if one.winner is None else self._account(one.winner),
            "returned": amount_text(one.returned),
            "to_insurance": amount_text(one.to_insurance),
        }

    def _state(self, one: Resolution) -> dict[str, Any]:
        return {
            "stage": STAGES[one.stage],
            "round": one.round,
            "until_ns": one.until_ns or None,
            "payout": payout_text(one.standing),
            "payout_ppm": one.standing,
            "next_bond": amount_text(one.next_bond),
            "bonds": amount_text(one.escrowed),
            "claims": [self._claim(claim, index) for index, claim in enumerate(one.claims)],
            "votes": [
                {
                    "round": vote.round,
                    "arbiter": self._name_of(vote.arbiter) or vote.arbiter.hex(),
                    "payout": payout_text(vote.payout),
                }
                for vote in one.votes
            ],
            "decisions": [
                {
                    "round": row.round,
                    "verdict": VERDICTS[row.verdict],
                    "payout": payout_text(row.payout),
                    "time_ns": row.time_ns,
                }
                for row in one.decisions
            ],
            "final_ns": one.final_ns or None,
            "redeemed": amount_text(one.redeemed),
            "swept_to_insurance": amount_text(one.swept),
        }

    def _claim(self, claim: Claim, index: int) -> dict[str, Any]:
        return {
            "act": "dispute" if index else "proposal",
            "round": claim.round,
            "account": self._account(claim.account),
            "payout": payout_text(claim.payout),
            "bond": amount_text(claim.bond),
            "exposure": amount_text(claim.exposure),
            "evidence": claim.evidence.hex(),
            "evidence_items": claim.evidence_items,
            "time_ns": claim.time_ns,
            "open": claim.open,
            "returned": amount_text(claim.returned),
            "to_winner": amount_text(claim.to_winner),
            "to_insurance": amount_text(claim.to_insurance),
        }

    def verses(self) -> dict[str, Any]:
        """Every verse."""
        tally = self._tally()
        rows = [self._row(one, tally) for one in self._views.verses.by_number.values()]
        return {"verses": rows[:MAX_ROWS], "count": len(rows)}

    def verse(self, name: str) -> dict[str, Any]:
        """One verse with what is directly below it, and its markets."""
        found = verse_of(self._views, name)
        below = [one.slug for one in self._views.verses.by_number.values() if one.parent == found.verse]
        return {**self._row(found, self._tally()), "children": below, "markets": found.markets[:MAX_ROWS]}

    def _tally(self) -> dict[int, tuple[int, int]]:
        """Of each verse with markets in or below it: their number, and how many are settled."""
        verses, markets = self._views.verses, self._views.markets.by_handle
        found: dict[int, tuple[int, int]] = {}
        for market, verse in verses.of_market.items():
            settled = int(markets[market].status >= MarketStatus.SETTLED)
            for above in verses.upwards(verse):
                known = found.get(above.verse, (0, 0))
                found[above.verse] = (known[0] + 1, known[1] + settled)
        return found

    def _row(self, one: Verse, tally: dict[int, tuple[int, int]]) -> dict[str, Any]:
        verses = self._views.verses
        return {
            "verse": one.verse,
            "slug": one.slug,
            "parent": None if one.parent is None else verses.by_number[one.parent].slug,
            "depth": verses.depth(one.verse),
            "status": self._status(one, tally.get(one.verse, (0, 0))),
            "market_count": len(one.markets),
            "halt": None if one.halt is None else self._halt(one.halt),
        }

    def _status(self, one: Verse, counted: tuple[int, int]) -> str:
        """`resolved` when every market below is settled, else `halted` by a halt of it or above it."""
        markets, settled = counted
        if markets and markets == settled:
            return "resolved"
        halted = any(up.halt is not None for up in self._views.verses.upwards(one.verse))
        return "halted" if halted else "active"

    def _halt(self, halt: VerseHalt) -> dict[str, Any]:
        return {
            "pause_id": halt.pause_id,
            "level": ("none", "partial", "full")[halt.level],
            "until_ns": halt.until_ns,
            "reason": halt.reason,
            "approved_by": None
            if halt.pending is None
            else self._name_of(halt.pending) or halt.pending.hex(),
        }


def resolution_commands(desk: ResolutionDesk) -> list[CommandRoute]:
    """Every command about resolutions and verses."""
    named: list[tuple[str, Any, Callable[[str, Any], Any], str]] = [
        ("/markets/{name:path}/resolution/propose", ClaimPayout, desk.propose, "Propose a payout"),
        ("/markets/{name:path}/resolution/dispute", ClaimPayout, desk.dispute, "Dispute a payout"),
        ("/markets/{name:path}/resolution/vote", VotePayout, desk.vote, "Vote on a payout"),
        ("/markets/{name:path}/resolution/finalise", Finalise, desk.finalise, "Make a payout final"),
        ("/markets/{name:path}/redeem", Redeem, desk.redeem, "Redeem claims"),
        ("/markets/{name:path}/prune", Prune, desk.prune, "Archive and prune a market"),
        ("/markets/{name:path}/verse", LinkMarket, desk.link, "Put a market into a verse"),
        ("/verses/{name}/move", MoveVerse, desk.move_verse, "Move a verse"),
        ("/verses/{name}/halt", HaltVerse, desk.halt, "Halt a verse"),
        ("/verses/{name}/resume", ResumeVerse, desk.resume, "Approve the end of a verse's halt"),
    ]
    create = CommandRoute("/verses", CreateVerse, lambda _, body: desk.create_verse(body), "Create a verse")
    return [CommandRoute(path, body, _named(act), summary) for path, body, act, summary in named] + [create]


def _named(act: Callable[[str, Any], Any]) -> Callable[[HttpRequest, Any], Any]:
    return lambda request, body: act(request.path_params["name"], body)


def resolution_reads(reads: ResolutionReads) -> list[tuple[str, Callable[[HttpRequest], Any], str]]:
    """Every view of resolutions and verses."""
    return [
        (
            "/markets/{name:path}/resolution",
            lambda r: reads.resolution(r.path_params["name"]),
            "Where a market's resolution stands",
        ),
        ("/verses", lambda _: reads.verses(), "Verses"),
        ("/verses/{name}", lambda r: reads.verse(r.path_params["name"]), "One verse"),
    ]
