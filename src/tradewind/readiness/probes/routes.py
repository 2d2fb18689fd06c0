"""Routes of a running platform's API: each names a permission, and each caller without it is refused."""

from __future__ import annotations

import http
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from tradewind.api.permissions import Permission
from tradewind.api.token import SCOPED_FILES
from tradewind.readiness.errors import CannotMeasureError
from tradewind.readiness.probe import ProbeContext
from tradewind.readiness.probes.child import Platform, platform

PREFIX: Final = "/api/v1"
PERMISSION_KEY: Final = "x-permission"
READS: Final = frozenset({"get"})
# No command takes a list: whoever passes the permission is told that the form is wrong, and nothing is done.
NO_COMMAND: Final = b"[]"
# Without any command below the prefix there would be nothing to see.
LEAST_ROUTES: Final = 50


def _operations(child: Platform) -> Iterator[tuple[str, str, str | None]]:
    """Method, path with examples for its names, and declared permission of every operation of the API."""
    paths = json.loads(child.request("GET", "/api/openapi.json").body)["paths"]
    for path, methods in sorted(paths.items()):
        if not path.startswith(PREFIX):
            continue
        example = path.replace("{name}", "x").replace("{number}", "1")
        for method, operation in methods.items():
            yield method, example, operation.get(PERMISSION_KEY)


def _callers(child: Platform) -> dict[str, tuple[Mapping[str, str], frozenset[Permission] | None]]:
    """Headers of every kind of caller, and what it may do; None: it is nobody."""
    callers: dict[str, tuple[Mapping[str, str], frozenset[Permission] | None]] = {
        "nobody": ({}, None),
        "a made-up token": ({"Authorization": f"Bearer {'a' * 43}"}, None),
        "another scheme": ({"Authorization": f"Basic {child.token}"}, None),
    }
    for name, granted in SCOPED_FILES.items():
        token = (child.data / name).read_text().strip()
        callers[name] = ({"Authorization": f"Bearer {token}"}, granted)
    return callers


def _answer(child: Platform, method: str, path: str, headers: Mapping[str, str]) -> str:
    """What the caller is told: "" when the permission was no matter."""
    body = None if method in READS else NO_COMMAND
    reply = child.request(method.upper(), path, body, headers)
    if reply.status == http.HTTPStatus.UNAUTHORIZED:
        return "UNAUTHENTICATED"
    if reply.status == http.HTTPStatus.FORBIDDEN:
        return str(json.loads(reply.body).get("name"))
    return ""


def _expected(granted: frozenset[Permission] | None, wanted: str | None) -> str:
    if granted is None:
        return "UNAUTHENTICATED"
    # A route without a permission has to refuse everybody.
    return "" if wanted in granted else "INSUFFICIENT_SCOPE"


def http_routes(context: ProbeContext, prelude: str = "") -> list[dict[str, Any]]:
    """Each route with its permission and what each caller was told there. Raises CannotMeasureError."""
    rows: list[dict[str, Any]] = []
    with platform(context.scratch / "routes", "--strategy", "none", prelude=prelude) as child:
        child.trading()
        callers = _callers(child)
        for method, path, wanted in _operations(child):
            told = {name: _answer(child, method, path, headers) for name, (headers, _) in callers.items()}
            expected = {name: _expected(granted, wanted) for name, (_, granted) in callers.items()}
            rows.append(
                {"route": f"{method} {path}", "permission": wanted, "told": told, "expected": expected}
            )
    if len(rows) < LEAST_ROUTES:
        raise CannotMeasureError(f"only {len(rows)} routes are described")
    return rows


def is_tested(row: Mapping[str, Any]) -> bool:
    """Whether a route declares a permission that there is, and lets those through that have it."""
    declared = row["permission"] in set(Permission)
    allowed = [row["told"][name] == "" for name, wanted in row["expected"].items() if wanted == ""]
    return declared and bool(allowed) and all(allowed)


def unauthorised(row: Mapping[str, Any]) -> list[str]:
    """Callers who were not refused, or not for what they lack."""
    return [name for name, wanted in row["expected"].items() if wanted and row["told"][name] != wanted]
