"""Every route names the permission that it wants, and is refused without it."""

from __future__ import annotations

import stat
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi.routing import APIRoute

from tradewind.api import app as application
from tradewind.api.permissions import (
    EVERYTHING,
    PERMISSIONS,
    READ_ONLY,
    TRADING,
    Permission,
    UndeclaredRouteError,
    declared,
    permission_of,
)
from tradewind.api.token import SCOPED_FILES, Tokens, open_token, open_tokens

from .conftest import READ_TOKEN, TOKEN, TRADE_TOKEN, ApiWorld

SCOPES = {TOKEN: EVERYTHING, READ_TOKEN: READ_ONLY, TRADE_TOKEN: TRADING}


def _routes(api: ApiWorld) -> list[str]:
    """Method and path below the prefix of every route that the application serves there."""
    routes = [one for one in api.app.router.routes if isinstance(one, APIRoute)]
    return [f"{method} {one.path.removeprefix('/api/v1')}" for one in routes for method in one.methods or ()]


def _url(route: str) -> tuple[str, str]:
    method, _, path = route.partition(" ")
    for name in ("{name:path}", "{name}"):
        path = path.replace(name, "x")
    return method, f"/api/v1{path.replace('{number:int}', '1')}"


async def test_the_table_has_exactly_the_routes_that_are_served(api: ApiWorld) -> None:
    routes = _routes(api)
    assert len(routes) == len(set(routes)) > 130
    assert set(routes) == set(PERMISSIONS)


async def test_openapi_tells_the_permission_of_every_operation(api: ApiWorld) -> None:
    paths = (await api.http.get("/api/openapi.json")).json()["paths"]
    told = [one["x-permission"] for methods in paths.values() for one in methods.values()]
    assert sorted(told) == sorted(PERMISSIONS.values())


@pytest.mark.parametrize("token", SCOPES)
async def test_a_token_reaches_what_its_permissions_allow_and_nothing_else(api: ApiWorld, token: str) -> None:
    await api.market()
    before = await api.state_hash()
    for route, wanted in PERMISSIONS.items():
        method, url = _url(route)
        # No command takes a list: what passes the guard is refused for its form, and nothing is done.
        body = b"[]" if method == "POST" else b""
        headers = {"Authorization": f"Bearer {token}"}
        answer = await api.http.request(method, url, content=body, headers=headers)
        refused = answer.status_code == 403 and answer.json()["name"] == "INSUFFICIENT_SCOPE"
        assert refused == (wanted not in SCOPES[token]), (route, answer.status_code)
        if not refused and method == "POST":
            assert (answer.status_code, answer.json()["name"]) == (400, "MALFORMED_REQUEST"), route
    assert await api.state_hash() == before


async def test_a_refusal_comes_before_the_body_is_looked_at_and_does_nothing(api: ApiWorld) -> None:
    await api.market()
    before = await api.state_hash()
    headers = {"Authorization": f"Bearer {READ_TOKEN}"}
    for path, body in (("/assets", {"symbol": "NEW"}), ("/orders/cancel-all", {"account": "alice"})):
        answer = await api.http.post(f"/api/v1{path}", json=body, headers=headers)
        assert (answer.status_code, answer.json()["name"]) == (403, "INSUFFICIENT_SCOPE")
    large = await api.http.post("/api/v1/assets", content=b"x" * 100_000, headers=headers)
    assert large.status_code == 403
    assert await api.state_hash() == before


async def test_without_the_guard_in_front_a_route_grants_nothing(api: ApiWorld) -> None:
    request: Any = SimpleNamespace(scope={})
    for permission in Permission:
        with pytest.raises(application.ApiFailure) as refusal:
            application.require(request, permission)
        assert refusal.value.problem.status == 403


async def test_a_route_that_is_not_declared_keeps_the_api_from_starting(api: ApiWorld) -> None:
    with pytest.raises(UndeclaredRouteError, match="no permission"):
        permission_of("POST", "/self-destruct")

    async def endpoint() -> dict[str, str]:
        return {}

    application.refuse_undeclared(api.app)
    api.app.add_api_route("/api/v1/self-destruct", endpoint, methods=["POST"])
    with pytest.raises(UndeclaredRouteError, match="self-destruct"):
        application.refuse_undeclared(api.app)


def test_a_route_is_declared_once() -> None:
    with pytest.raises(UndeclaredRouteError, match="wants read and admin"):
        declared({Permission.READ: ("GET /x",), Permission.ADMIN: ("GET /x",)})


# They change nothing: what would happen, and what a chain would cost.
COMPUTES = ("POST /chains/quote", "POST /positions/simulate")


def test_no_reading_route_changes_and_no_command_is_a_reading_route_that_is_no_computation() -> None:
    for route, permission in PERMISSIONS.items():
        # What rests in the dark is nobody's to read but its owners' (P16.3).
        reads = route.startswith("GET ") and route != "GET /dark/orders"
        reads = reads or route in COMPUTES
        assert (permission is Permission.READ) == reads, route


def test_every_token_has_a_file_of_its_own_that_only_its_owner_reads(tmp_path: Path) -> None:
    tokens = open_tokens(tmp_path)
    texts = {name: open_token(tmp_path, name) for name in SCOPED_FILES}
    assert len(set(texts.values())) == 3
    for name, text in texts.items():
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
        assert tokens.granted(f"Bearer {text}") == SCOPED_FILES[name]
    assert Tokens({}).granted(f"Bearer {TOKEN}") is None
