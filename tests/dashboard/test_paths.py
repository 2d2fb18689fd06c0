"""The console is one page: what is not it is refused before NiceGUI is even loaded."""

from __future__ import annotations

import sys

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from tradewind.dashboard.app import mount
from tradewind.observe.view import PlatformView


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nosuch", 404), ("POST", "/halt", 404), ("POST", "/", 405), ("DELETE", "/", 405)],
)
def test_a_path_or_method_that_is_not_the_page_is_no_success(method: str, path: str, status: int) -> None:
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    mount(app, lambda: PlatformView(taken_ns=0, env="paper", version="test"))
    loaded = "nicegui" in sys.modules
    answer = TestClient(app, base_url="http://localhost").request(method, path)
    assert answer.status_code == status
    assert ("nicegui" in sys.modules) is loaded
