"""Who may talk to the API, and what the files behind it must look like."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from tradewind.api.identities import ROLES, IdentityError, open_identities
from tradewind.api.permissions import EVERYTHING
from tradewind.api.token import Tokens, open_token
from tradewind.core.engine import GenesisConfig, Grant
from tradewind.core.enums import Role

from .conftest import TOKEN, ApiWorld


async def test_no_route_below_the_prefix_answers_without_the_token(api: ApiWorld) -> None:
    paths = (await api.http.get("/api/openapi.json")).json()["paths"]
    assert len(paths) > 30
    for path, methods in paths.items():
        for method in methods:
            url = path.replace("{name}", "x").replace("{number}", "1")
            for header in ({}, {"Authorization": f"Basic {TOKEN}"}, {"Authorization": "Bearer wrong"}):
                request = api.http.build_request(method, url)
                del request.headers["authorization"]
                request.headers.update(header)
                answer = await api.http.send(request)
                assert (answer.status_code, answer.json()["name"]) == (401, "UNAUTHENTICATED"), (method, url)


async def test_every_command_publishes_the_schema_of_its_body(api: ApiWorld) -> None:
    paths = (await api.http.get("/api/openapi.json")).json()["paths"]
    for path, methods in paths.items():
        if "post" in methods:
            schema = methods["post"]["requestBody"]["content"]["application/json"]["schema"]
            assert schema["additionalProperties"] is False, path


async def test_unknown_paths_and_methods_are_problems_too(api: ApiWorld) -> None:
    assert (await api.get("/nothing")).json()["name"] == "NOT_FOUND"
    answer = await api.http.delete("/api/v1/orders")
    assert (answer.status_code, answer.json()["name"]) == (405, "METHOD_NOT_ALLOWED")


async def test_a_command_on_a_mistyped_path_is_no_success_although_the_console_takes_every_path(
    api: ApiWorld,
) -> None:
    async def everything(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse("the console")(scope, receive, send)

    api.app.mount("/", everything)
    assert (await api.http.get("/")).text == "the console"
    for path in ("/api/v1/halt", "/api/v1/kill/halt/", "/api/v2/kill/halt", "/api/v1", "/api/nothing"):
        answer = await api.http.post(path, json={"reason": "typed at night"})
        assert (answer.status_code, answer.json()["name"]) == (404, "NOT_FOUND"), path
    answer = await api.http.get("/api/v1/kill/halt")
    assert (answer.status_code, answer.json()["name"]) == (405, "METHOD_NOT_ALLOWED")


async def test_read_requests_check_their_parameters(api: ApiWorld) -> None:
    await api.market()
    for path in (
        "/markets/0/book?depth=0",
        "/markets/0/trades?limit=1001",
        "/markets/0/candles?interval=2m",
        "/markets/0/book?depth=-1",
        "/markets/0/book?depth=x",
    ):
        answer = await api.get(path)
        assert (answer.status_code, answer.json()["name"]) == (422, "PARAMETER_OUT_OF_BOUNDS"), path
    assert (await api.get("/orders/5")).status_code == 404
    assert (await api.get("/venue")).status_code == 503


async def test_a_book_shows_sizes_per_level_and_the_tape_shows_trades(api: ApiWorld) -> None:
    await api.market()
    order = {"account": "alice", "market": "BTC/USDT", "side": "buy", "quantity": "0.01", "price": "50000"}
    await api.done("/orders", order)
    await api.done("/orders", {**order, "account": "bob"})
    book = (await api.get("/markets/BTC-USDT/book")).json()
    assert book["bids"] == [{"price": "50000", "size": "0.02", "orders": 2}]
    await api.done("/orders", {**order, "side": "sell", "quantity": "0.005", "account": "bob"})
    [trade] = (await api.get("/markets/BTC%2FUSDT/trades")).json()["trades"]
    assert (trade["price"], trade["size"], trade["side"]) == ("50000", "0.005", "sell")
    [candle] = (await api.get("/markets/0/candles?interval=1s")).json()["candles"]
    assert (candle["open"], candle["close"], candle["volume"]) == ("50000", "50000", "0.005")


async def test_the_head_names_the_state_that_the_engine_has(api: ApiWorld) -> None:
    await api.market()
    head = (await api.get("/head")).json()
    assert head["state_hash"] == (await api.state_hash()).hex()
    assert head["stop_reason"] is None


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer ", f"bearer{TOKEN}", f"Bearer {TOKEN}x", "x" * 1_000]
)
def test_only_the_exact_token_is_accepted(header: str | None) -> None:
    tokens = Tokens({TOKEN: EVERYTHING})
    assert tokens.granted(header) is None
    assert tokens.granted(f"Bearer {TOKEN}") == EVERYTHING


def test_token_and_keys_are_made_once_and_only_their_owner_reads_them(tmp_path: Path) -> None:
    token, identities = open_token(tmp_path), open_identities(tmp_path)
    assert token == open_token(tmp_path)
    assert identities.public == open_identities(tmp_path).public
    secrets = [tmp_path / "api.token", *(tmp_path / "keys").glob("*.key")]
    assert len(secrets) == 1 + len(ROLES)
    assert {stat.S_IMODE(path.stat().st_mode) for path in secrets} == {0o600}
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o700


def test_a_secret_that_others_can_read_refuses_the_start(tmp_path: Path) -> None:
    open_token(tmp_path)
    open_identities(tmp_path)
    (tmp_path / "api.token").chmod(0o644)
    with pytest.raises(IdentityError, match="others may read"):
        open_token(tmp_path)
    (tmp_path / "keys" / "trader.key").chmod(0o640)
    with pytest.raises(IdentityError, match="others may read"):
        open_identities(tmp_path)


def test_damaged_or_half_lost_keys_refuse_the_start(tmp_path: Path) -> None:
    open_identities(tmp_path)
    public = tmp_path / "keys" / "trader.pub"
    text = public.read_text()
    public.write_text("not a key")
    with pytest.raises(IdentityError) as damaged:
        open_identities(tmp_path)
    public.unlink()
    with pytest.raises(IdentityError) as lost:
        open_identities(tmp_path)
    public.write_text(text)
    (tmp_path / "keys" / "trader.key").unlink()
    with pytest.raises(IdentityError) as private:
        open_identities(tmp_path)
    assert {damaged.value.code, lost.value.code, private.value.code} == {"KEY_DAMAGED"}


@pytest.mark.parametrize("name", ["", "../evil", "a/b", "A b", "x" * 40, "1st", "ключ"])
def test_names_cannot_leave_the_key_directory(tmp_path: Path, name: str) -> None:
    identities = open_identities(tmp_path)
    with pytest.raises(IdentityError) as refused:
        identities.create(name)
    assert refused.value.code == "BAD_NAME"


def test_the_standard_grants_are_a_genesis_that_the_engine_accepts(tmp_path: Path) -> None:
    grants = open_identities(tmp_path).grants(1)
    assert GenesisConfig.decode(GenesisConfig(1, [Grant(*one) for one in grants]).encode()).time_ns == 1


def test_the_role_of_the_sequencer_does_not_end_on_an_anniversary(tmp_path: Path) -> None:
    identities = open_identities(tmp_path)
    ends = {(principal, role): expiry for principal, role, expiry in identities.grants(1)}
    assert ends[identities.key("system"), Role.SYSTEM] == 2**63 - 1
    assert all(
        expiry <= 1 + 365 * 86_400 * 10**9 for (_, role), expiry in ends.items() if role != Role.SYSTEM
    )
