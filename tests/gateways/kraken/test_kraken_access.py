"""Who may ask the Kraken gateway what, and how often: signatures, nonces, rights, counters."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from gateway_world import opened
from kraken_world import Client, World, served, sign

from tradewind.gateways.keys import Right

# ---- who asks --------------------------------------------------------------------------------------------


async def test_form_json_and_query_bodies_are_all_verified(world: World) -> None:
    assert await world.demo.private("Balance") == await world.demo.private("Balance", as_json=True)
    world.demo.nonce += 1
    nonce = str(world.demo.nonce)
    query = f"nonce={nonce}&asset=ZUSD"
    headers = {
        "API-Key": world.demo.key.key,
        "API-Sign": sign(world.demo.key.secret, "/0/private/TradeBalance", nonce, query.encode()),
    }
    status, body = await world.demo.raw("POST", f"/0/private/TradeBalance?{query}", headers=headers)
    assert status == 200 and json.loads(body)["error"] == []


async def test_fields_beside_the_signed_body_are_not_read(world: World) -> None:
    world.demo.nonce += 1
    nonce = str(world.demo.nonce)
    body = f"nonce={nonce}&txid=OAAAAA-AAAAA-AAAAAA".encode()
    headers = {
        "API-Key": world.demo.key.key,
        "API-Sign": sign(world.demo.key.secret, "/0/private/CancelAll", nonce, body),
        "Content-Type": "application/x-www-form-urlencoded",
    }
    _, answer = await world.demo.raw("POST", "/0/private/CancelOrder?txid=x", data=body, headers=headers)
    assert json.loads(answer) == {"error": ["EAPI:Invalid signature"]}, "a signature is for one path only"


async def test_each_flipped_byte_of_a_signed_body_is_refused(world: World) -> None:
    body = b"nonce=%d&pair=XBTUSD"
    for place in range(6, 20, 5):
        client = world.client("demo")
        client.nonce = 10**15
        spoiled = bytearray(body % (10**15 + 1))
        spoiled[place] ^= 1
        [error] = await client.errors("TradeVolume", {"pair": "XBTUSD"}, spoil=bytes(spoiled))
        assert error in ("EAPI:Invalid signature", "EGeneral:Invalid arguments")


async def test_keys_signatures_and_nonces_are_enforced_in_this_order(world: World) -> None:
    demo = world.demo
    assert await demo.errors("Balance", key="nobody", secret=b"wrong", nonce=0) == ["EAPI:Invalid key"]
    assert await demo.errors("Balance", key="") == ["EAPI:Invalid key"]
    assert await demo.errors("Balance", secret=b"wrong", nonce=10**9) == ["EAPI:Invalid signature"]
    await demo.private("Balance", nonce=500)
    for nonce in (500, 499, "", "-1", "abc", str(2**64), "5e2"):
        assert await demo.errors("Balance", nonce=nonce) == ["EAPI:Invalid nonce"], nonce
    await demo.private("Balance", nonce=501)


async def test_a_nonce_is_used_up_even_when_the_call_fails(world: World) -> None:
    assert await world.demo.errors("CancelOrder", {"txid": "x"}, nonce=77) == ["EOrder:Invalid order"]
    assert await world.demo.errors("Balance", nonce=77) == ["EAPI:Invalid nonce"]


async def test_nonces_outlive_the_gateway(tmp_path: Path) -> None:
    async with opened(tmp_path / "data") as exchange:
        async with served(exchange) as first:
            key = first.demo.key
            await first.demo.private("Balance", nonce=1_000)
        async with served(exchange) as second:
            again = Client(second.gateway, key, second.session)
            assert await again.errors("Balance", nonce=1_000) == ["EAPI:Invalid nonce"]
            await again.private("Balance", nonce=1_001)


async def test_requests_at_the_same_time_never_share_a_nonce(world: World) -> None:
    answers = await asyncio.gather(*(world.demo.private_raw("Balance", nonce=9_000) for _ in range(10)))
    assert sum(json.loads(body)["error"] == [] for _, body in answers) == 1


async def test_three_bad_signatures_lock_the_key_and_only_that_key(world: World) -> None:
    for _ in range(3):
        assert await world.demo.errors("Balance", secret=b"wrong") == ["EAPI:Invalid signature"]
    assert await world.demo.errors("Balance") == ["EGeneral:Temporary lockout"]
    await world.other.private("Balance")


async def test_rights_are_per_key(world: World) -> None:
    reader, canceller = world.client("demo", rights=[Right.READ]), world.client("demo", rights=[Right.CANCEL])
    wish = {"pair": "XBTUSD", "type": "buy", "ordertype": "limit", "price": "60000", "volume": "0.001"}
    denied = ["EGeneral:Permission denied"]
    assert await reader.errors("AddOrder", wish) == denied
    assert await reader.errors("CancelAll") == denied
    assert await canceller.errors("AddOrder", wish) == denied
    assert await canceller.errors("Balance") == denied
    txid = await world.demo.order("buy", "60000.0")
    assert await canceller.private("CancelOrder", {"txid": txid}) == {"count": 1}
    assert await reader.private("OpenOrders") == {"open": {}}


async def test_a_removed_key_is_unknown_at_once(world: World) -> None:
    world.exchange.keys.remove(world.demo.key.key)
    assert await world.demo.errors("Balance") == ["EAPI:Invalid key"]


async def test_one_account_never_sees_or_ends_orders_of_another(world: World) -> None:
    txid = await world.demo.order("buy", "60000.0")
    for name, fields in (("QueryOrders", {"txid": txid}), ("CancelOrder", {"txid": txid}),
                         ("AmendOrder", {"txid": txid, "order_qty": "0.002"})):  # fmt: skip
        assert await world.other.errors(name, fields) == ["EOrder:Unknown order"]
    assert (await world.other.private("OpenOrders"))["open"] == {}


# ---- limits ----------------------------------------------------------------------------------------------


async def test_public_calls_are_limited_to_one_a_second_with_a_burst_of_five(exchange: Any) -> None:
    async with served(exchange, limits_public=True) as world:
        answers = [json.loads((await world.demo.raw("GET", "/0/public/Time"))[1])["error"] for _ in range(7)]
        assert answers[:5] == [[]] * 5 and ["EAPI:Rate limit exceeded"] in answers[5:]


async def test_private_calls_of_a_key_are_limited_by_its_tier(exchange: Any) -> None:
    async with served(exchange, tier="starter") as world:
        passed = 0
        while (await world.demo.private_raw("TradesHistory"))[1].startswith(b'{"error":[]'):
            passed += 1
            assert passed < 20
        assert 7 <= passed <= 9, "15 points of 2 each, and what decays meanwhile"
        assert await world.demo.errors("TradesHistory") == ["EAPI:Rate limit exceeded"]
        await world.demo.order("buy", "60000.0")  # trading is not counted here
        await world.other.private("Balance")


async def test_fast_cancels_exhaust_the_engine_counter_of_one_pair_only(exchange: Any) -> None:
    async with served(exchange, tier="starter") as world:
        seen = []
        for _ in range(9):
            txid = await world.demo.order("buy", "50000.0")
            seen.append(json.loads((await world.demo.private_raw("CancelOrder", {"txid": txid}))[1])["error"])
            if seen[-1]:
                break
        assert seen[:6] == [[]] * 6 and seen[-1] == ["EOrder:Rate limit exceeded"], "60 points, 9 each"
        other = await world.demo.order("buy", "2500.00", "0.01", "ETHUSD")
        assert await world.demo.private("CancelOrder", {"txid": other}) == {"count": 1}
        assert (await world.demo.private("CancelAll"))["count"] >= 1, (
            "a cancel of everything is never held back"
        )
