"""An outcome market from creation to the last redemption, on a real engine behind the HTTP application."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tradewind.api.payouts import payout_fields, payout_text
from tradewind.api.problems import ApiFailure
from tradewind.core import commands as build
from tradewind.core.enums import Line
from tradewind.core.hashing import blake3
from tradewind.core.market_record import read_records
from tradewind.node.archive import archive_path
from tradewind.node.projections.exchange import ExchangeViews
from tradewind.node.projections.resolution import equal_shares

from .conftest import ApiWorld, Clock, api_world

HOUR_S = 3_600
ARBITERS = ("arbiter", "arbiter_2", "arbiter_3")
OWNERS = ("alice", "bob", "carol")


class Question:
    """A market of three outcomes in which alice and bob hold complete sets."""

    def __init__(self, api: ApiWorld, clock: Clock) -> None:
        self.api, self.clock, self.market = api, clock, 0
        self.keys = 0

    def _key(self) -> bytes:
        self.keys += 1
        return self.keys.to_bytes(16, "little")

    async def submit(self, name: str, owner: str, **fields: Any) -> int:
        """A command that has no route of this test's concern."""
        principal = self.api.identities.key(owner)
        account = self.api.views.accounts.by_owner.get(principal)
        account_id = bytes(32) if account is None else account.account_id
        record = build.build(name, principal=principal, account=account_id, client_key=self._key(), **fields)
        (result,) = await self.api.node.submit(record)
        assert result.accepted, result.error()
        return int(result.value)

    async def open(self) -> None:
        await self.api.done("/assets", {"symbol": "USDC"})
        for name in (*OWNERS, "operator"):
            await self.api.done("/accounts", {"name": name})
            body = {"account": name, "asset": "USDC", "amount": "100000", "external_id": name}
            await self.api.done("/deposits", body)
        settle_time_ns = self.api.node.now_ns() + 2 * HOUR_S * 10**9
        self.market = await self.submit(
            "CreateMarket", "operator", nonce=1, market_kind=2, outcome_count=3, base=0, quote=0,
            tick_size=1_000, lot_size=1_000, settle_time_ns=settle_time_ns, band_bp=1_000, slippage_bp=100,
            min_notional=1, max_notional=10**12,
        )  # fmt: skip
        for owner, lots in (("alice", 700), ("bob", 300)):
            await self.submit("MintSet", owner, market=self.market, lots=lots)

    async def pass_hours(self, hours: float) -> None:
        """Time passes, with the Ticks of the node."""
        while hours > 0:
            step = min(hours, 0.9)
            hours -= step
            self.clock.pass_s(step * HOUR_S)
            await asyncio.sleep(0.25)

    async def closed(self) -> None:
        await self.pass_hours(2.01)
        for _ in range(50):
            if (await self.show())["status"] == "closed":
                return
            await asyncio.sleep(0.1)
        raise AssertionError("the market did not close at its settle time")

    async def show(self) -> dict[str, Any]:
        answer = await self.api.get(f"/markets/{self.market}/resolution")
        assert answer.status_code == 200, answer.text
        document: dict[str, Any] = answer.json()
        return document

    async def act(self, verb: str, **body: Any) -> dict[str, Any]:
        return await self.api.done(f"/markets/{self.market}/{verb}", body)

    async def refused(self, verb: str, code: str, **body: Any) -> None:
        before = await self.api.state_hash()
        answer = await self.api.post(f"/markets/{self.market}/{verb}", body)
        assert answer.json()["name"] == code, answer.text
        assert await self.api.state_hash() == before

    def free(self, owner: str) -> int:
        account = self.api.views.accounts.by_owner[self.api.identities.key(owner)]
        return self.api.views.ledger.line(account.account, 0)

    def system(self, line: Line) -> int:
        return self.api.views.ledger.system_line(line, 0, self.market + 1)


@pytest.fixture
async def question(tmp_path: Path) -> AsyncIterator[Question]:
    clock = Clock()
    async with api_world(tmp_path, clock) as api:
        world = Question(api, clock)
        await world.open()
        yield world


async def test_from_minting_over_a_dispute_to_the_last_redemption_nothing_is_left_in_escrow(
    question: Question, tmp_path: Path
) -> None:
    one = question
    claim = {"account": "carol", "payout": "0", "evidence": ["the official result"]}
    await one.refused("resolution/propose", "TOO_EARLY", **claim)
    await one.closed()
    await one.refused("resolution/propose", "INVALID_PAYOUT_VECTOR", **{**claim, "payout": "7"})
    await one.refused("resolution/propose", "EVIDENCE_INVALID", **{**claim, "evidence": []})
    await one.refused("resolution/propose", "BOND_TOO_LOW", **{**claim, "bond": "999.999999"})
    before = {owner: one.free(owner) for owner in OWNERS}
    await one.act("resolution/propose", **claim)
    shown = await one.show()
    assert (shown["stage"], shown["status"], shown["payout"], shown["bonds"]) == (
        "proposed", "resolving", "0", "1000",
    )  # fmt: skip
    await one.refused("resolution/propose", "ALREADY_PROPOSED", **claim)
    await one.refused("resolution/finalise", "DISPUTE_WINDOW_OPEN")
    await one.refused("redeem", "NOT_RESOLVED", account="alice")
    against = {"account": "bob", "payout": "1=400000,2=600000", "evidence": ["a correction", "its source"]}
    await one.act("resolution/dispute", **against)
    await one.refused("resolution/finalise", "QUORUM_NOT_MET")
    for arbiter in ARBITERS[:2]:
        await one.act("resolution/vote", payout="1=400000,2=600000", actor=arbiter)
    await one.refused("resolution/vote", "ALREADY_VOTED", payout="0", actor="arbiter_2")
    done = await one.act("resolution/vote", payout="1=400000,2=600000", actor=ARBITERS[2])
    assert done["effect"] == {"decided": True}
    shown = await one.show()
    assert (shown["stage"], shown["round"], shown["next_bond"]) == ("proposed", 1, "2000")
    assert shown["payout_ppm"] == [0, 400_000, 600_000]
    assert [row["verdict"] for row in shown["decisions"]] == ["overturned"]
    await one.pass_hours(4.01)
    await one.refused(
        "resolution/dispute", "DISPUTE_WINDOW_CLOSED", **{**against, "account": "alice", "payout": "0"}
    )
    await one.act("resolution/finalise")
    await one.refused("resolution/finalise", "ALREADY_FINAL")
    shown = await one.show()
    assert (shown["status"], shown["stage"], shown["bonds"]) == ("settled", "final", "0")
    assert [row["to_insurance"] for row in shown["claims"]] == ["500", "0"]
    paid = [(await one.act("redeem", account=owner))["effect"]["amount"] for owner in ("alice", "bob")]
    assert paid == ["0.7", "0.3"]
    await one.refused("redeem", "NOTHING_TO_REDEEM", account="alice")
    await one.refused("redeem", "NOTHING_TO_REDEEM", account="carol")
    bond = 1_000_000_000
    assert one.free("alice") - before["alice"] == 700_000
    assert one.free("bob") - before["bob"] == 300_000 + bond // 2
    assert one.free("carol") - before["carol"] == -bond
    assert (one.system(Line.SET_ESCROW), one.system(Line.BOND_ESCROW)) == (0, 0)
    one.api.views.ledger.check()
    # The log alone tells the same.
    rebuilt = ExchangeViews()
    await one.api.node.attach(rebuilt.apply, name="again")
    assert rebuilt.resolutions.by_market == one.api.views.resolutions.by_market


def content(path: Path) -> bytes:
    return path.read_bytes()


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


async def test_a_settled_market_is_archived_read_back_and_pruned_after_two_days(
    question: Question, tmp_path: Path
) -> None:
    one = question
    await one.refused("prune", "INVALID_TRANSITION")
    await one.closed()
    await one.act("resolution/propose", account="carol", payout="1", evidence=["the official result"])
    await one.pass_hours(2.01)
    await one.act("resolution/finalise")
    await one.refused("prune", "TOO_EARLY")
    for _ in range(49):
        one.clock.pass_s(HOUR_S - 10)
        await one.api.node.submit(build.tick(principal=one.api.node.system_principal))
    await one.refused("prune", "MARKET_HAS_OPEN_INTEREST")
    for owner in ("alice", "bob"):
        await one.act("redeem", account=owner)
    before = await one.show()
    done = await one.act("prune")
    market_id = one.api.views.markets.by_handle[one.market].market_id
    archive = archive_path(tmp_path, market_id)
    assert done["effect"] == {"archive": str(archive), "hash": blake3(content(archive)).hex()}
    (record,) = read_records(content(archive))
    assert (record["winner"], record["prices"]) == (1, [0, 1_000_000, 0])
    assert (record["settle_time_ns"], record["resolution_time_ns"]) == (
        before["settle_time_ns"], before["final_ns"],
    )  # fmt: skip
    assert mode(archive) == 0o600
    # Its history can still be read, and nothing happens to it any more.
    assert await one.show() == {**before, "status": "pruned"}
    await one.refused("prune", "INVALID_TRANSITION")
    await one.refused("redeem", "NOT_RESOLVED", account="alice")
    rebuilt = ExchangeViews()
    await one.api.node.attach(rebuilt.apply, name="again")
    assert rebuilt.resolutions.by_market == one.api.views.resolutions.by_market


def failing(_: int) -> None:
    raise OSError(28, "No space left on device")


async def test_an_archive_that_cannot_be_written_or_read_back_prunes_nothing(
    question: Question, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = question
    await one.closed()
    await one.act("resolution/propose", account="carol", payout="1", evidence=["the official result"])
    await one.pass_hours(2.01)
    await one.act("resolution/finalise")
    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", failing)
        await one.refused("prune", "ARCHIVE_NOT_WRITTEN")
    monkeypatch.setattr(Path, "read_bytes", lambda _: b"something else")
    await one.refused("prune", "EVIDENCE_INVALID")


async def test_a_vote_needs_the_role_and_no_bond(question: Question) -> None:
    await question.closed()
    await question.act("resolution/propose", account="carol", payout="invalid", evidence=["void"])
    assert (await question.show())["payout"] == "invalid"
    await question.act("resolution/dispute", account="bob", payout="0+1", evidence=["a tie"])
    await question.refused("resolution/vote", "PERMISSION_DENIED", payout="0+1", actor="operator")
    await question.refused("resolution/vote", "NOT_IN_RESOLUTION", payout="0+1", round=1)


async def test_verses_are_made_moved_linked_and_shown(question: Question) -> None:
    api = question.api
    await api.done("/verses", {"slug": "us-2028"})
    await api.done("/verses", {"slug": "senate", "parent": "us-2028"})
    await question.act("verse", verse="senate")
    shown = (await api.get("/verses/senate")).json()
    assert (shown["parent"], shown["depth"], shown["markets"]) == ("us-2028", 2, [question.market])
    assert (await api.get("/verses/us-2028")).json()["children"] == ["senate"]
    circle = await api.post("/verses/us-2028/move", {"parent": "senate"})
    assert circle.status_code == 422 and "VERSE_CYCLE" in circle.text
    await api.done("/verses/senate/move", {"parent": "none"})
    await question.act("verse", verse="none")
    rows = (await api.get("/verses")).json()["verses"]
    assert [(row["slug"], row["parent"], row["market_count"]) for row in rows] == [
        ("us-2028", None, 0), ("senate", None, 0),
    ]  # fmt: skip
    assert (await api.get("/verses/nowhere")).status_code == 404
    assert "PARAMETER_OUT_OF_BOUNDS" in (await api.post("/verses", {"slug": "Upper Case"})).text


@pytest.mark.parametrize("text", ["0", "63", "invalid", "0+3+4", "0=250000,2=750000"])
def test_a_payout_is_written_as_it_is_read(text: str) -> None:
    fields = payout_fields(text)
    ppm = [0] * 64
    if text == "invalid":
        ppm = equal_shares(list(range(64)), 64)
    elif "=" in text:
        ppm[0], ppm[2] = 250_000, 750_000
        assert (fields["choice"], fields["entries"]) == (0xFD, 2)
    elif "+" in text:
        ppm = equal_shares([0, 3, 4], 64)
        assert int.from_bytes(bytes(fields["packed"]), "little") == 0b11001  # type: ignore[arg-type]
    else:
        ppm[int(text)] = 1_000_000
    assert payout_text(ppm) == text


@pytest.mark.parametrize(
    "text", ["", "yes", "64", "-1", "0=", "0=x", "0=1000001", "0+", "0=1,1=1,2=1,3=1,4=1,5=1,6=1"]
)
def test_what_is_no_payout_is_refused_with_its_code(text: str) -> None:
    with pytest.raises(ApiFailure, match=r"outcome|ppm|parts"):
        payout_fields(text)
