"""The console answers only to names and pages of this machine."""

from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from tradewind.dashboard.guard import LoopbackGuard


async def page(_: object) -> PlainTextResponse:
    return PlainTextResponse("console")


async def socket(connection: WebSocket) -> None:
    await connection.accept()
    await connection.send_text("hello")
    await connection.close()


APP = LoopbackGuard(
    Starlette(routes=[Route("/", page, methods=["GET", "POST"]), WebSocketRoute("/ws", socket)])
)


def client(host: str = "localhost:8000") -> TestClient:
    return TestClient(APP, base_url=f"http://{host}")


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8000", "127.0.0.1:8000", "[::1]:8000", "LOCALHOST:8000"]
)
def test_names_of_this_machine_are_served(host: str) -> None:
    assert client().get("/", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example:8000", "0.0.0.0:8000", "10.0.0.1", ""],
)
def test_foreign_names_are_refused_against_dns_rebinding(host: str) -> None:
    assert client().get("/", headers={"host": host}).status_code == 421


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "null", "http://localhost:9999", "file://", "http://localhost:8000.evil.example"],
)
def test_foreign_origins_are_refused_for_every_method(origin: str) -> None:
    for method in ("GET", "POST"):
        assert client().request(method, "/", headers={"origin": origin}).status_code == 403


def test_own_origin_is_served() -> None:
    assert client().post("/", headers={"origin": "http://localhost:8000"}).status_code == 200


def test_foreign_pages_cannot_open_the_web_socket() -> None:
    own = "ws://localhost:8000/ws"
    refused = ((own, {"origin": "http://evil.example"}), ("ws://evil.example/ws", {}))
    for url, headers in refused:
        with pytest.raises(WebSocketDisconnect), client().websocket_connect(url, headers=headers) as opened:
            opened.receive_text()
    with client().websocket_connect(own, headers={"origin": "http://localhost:8000"}) as opened:
        assert opened.receive_text() == "hello"


def test_pages_forbid_frames_and_foreign_sources() -> None:
    headers = client().get("/").headers
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert "default-src 'self'" in headers["content-security-policy"]
    assert "http:" not in headers["content-security-policy"]
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"


def test_an_extra_name_may_be_allowed() -> None:
    app = LoopbackGuard(Starlette(routes=[Route("/", page)]), extra_hosts=["desk.example"])
    assert TestClient(app, base_url="http://desk.example").get("/").status_code == 200
