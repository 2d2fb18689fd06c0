"""The vault over HTTP on a real engine: shares, an exit at its cut-off, coverage and the fee."""

from __future__ import annotations

import asyncio
from pathlib import Path

from .conftest import ApiWorld, Clock, api_world

HOUR_S = 3_600


async def open_vault(api: ApiWorld) -> None:
    """A settlement asset, and alice and bob with money."""
    await api.done("/assets", {"symbol": "USDC", "settlement": True})
    for name in ("alice", "bob"):
        await api.done("/accounts", {"name": name})
        body = {"account": name, "asset": "USDC", "amount": "100000", "external_id": name}
        await api.done("/deposits", body)


async def vault(api: ApiWorld, account: str) -> dict[str, object]:
    document: dict[str, object] = (await api.get(f"/vault?account={account}")).json()
    return document


async def let_pass(api: ApiWorld, clock: Clock, hours: int) -> None:
    """Hours of the engine's time, in steps that a node takes without AdvanceTime."""
    for _ in range(2 * hours):
        clock.pass_s(HOUR_S / 2)
        await asyncio.sleep(0.15)


async def test_shares_are_bought_given_back_and_paid_at_the_cut_off(tmp_path: Path) -> None:
    clock = Clock()
    async with api_world(tmp_path, clock) as api:
        await open_vault(api)
        await api.done("/vault/deposit", {"account": "alice", "amount": "1000"})
        await api.done("/vault/deposit", {"account": "bob", "amount": "500"})
        shown = await vault(api, "alice")
        assert (shown["nav"], shown["shares"], shown["account_shares"]) == ("1500", "1500", "1000")
        assert (shown["account_value"], shown["share_price"], shown["stage"]) == ("1000", "1", "BOOTSTRAP")
        ticket = (await api.done("/vault/withdraw", {"account": "alice", "shares": "400"}))["value"]
        early = await api.post("/vault/claim", {"account": "alice", "ticket": ticket})
        assert (early.status_code, early.json()["name"]) == (409, "NOTICE_NOT_ELAPSED")
        await let_pass(api, clock, 26)
        (exit_,) = (await vault(api, "alice"))["exits"]  # type: ignore[misc]
        assert (exit_["to_collect"], exit_["cohort_unserved"]) == ("400", "0")
        await api.done("/vault/claim", {"account": "alice", "ticket": ticket})
        shown = await vault(api, "alice")
        assert (shown["nav"], shown["account_shares"], shown["exits"]) == ("1100", "600", [])


async def test_what_cannot_be_bought_or_given_back_is_refused(api: ApiWorld) -> None:
    missing = await api.get("/vault")
    assert (missing.status_code, missing.json()["name"]) == (404, "ASSET_NOT_FOUND")
    await open_vault(api)
    for path, body, code in (
        ("deposit", {"account": "alice", "amount": "0.5"}, "BELOW_MINIMUM"),
        ("deposit", {"account": "alice", "amount": "-1"}, "INVALID_AMOUNT"),
        ("deposit", {"account": "alice", "amount": "200000"}, "INSUFFICIENT_BALANCE"),
        ("withdraw", {"account": "bob", "shares": "1"}, "INSUFFICIENT_SHARES"),
        ("claim", {"account": "bob", "ticket": 7}, "INSUFFICIENT_SHARES"),
    ):
        answer = await api.post(f"/vault/{path}", body)
        assert answer.json()["name"] == code, answer.text


async def test_coverage_and_fee_are_shown_before_anything_is_at_risk(api: ApiWorld) -> None:
    await open_vault(api)
    await api.done("/vault/deposit", {"account": "alice", "amount": "1000"})
    coverage = (await api.get("/coverage")).json()
    assert (coverage["nav"], coverage["at_risk"], coverage["coverage"]) == ("1000", "0", "infinite")
    assert (coverage["state"], coverage["leverage_cap"], coverage["worst_cases"]) == ("NORMAL", None, [])
    fee = (await api.get("/fee")).json()
    assert (fee["rate_bp"], fee["fee_coverage"], fee["floor_bp"], fee["cap_bp"]) == ("28", "0", "3", "28")
