"""security-error-leakage: what a failure says to a stranger, in answers and in log lines."""

from __future__ import annotations

import json
import re
import secrets
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from tradewind.readiness.errors import CannotMeasureError
from tradewind.readiness.probe import ProbeContext, count
from tradewind.readiness.probes.child import Platform, Reply, platform
from tradewind.readiness.probes.drill import Facts, drill
from tradewind.readiness.record import MeasuredValue

OPERATIONS_PATH: Final = "/api/openapi.json"
STABLE_NAME: Final = re.compile(r"[A-Z][A-Z0-9_]{2,63}")
TRACES: Final = re.compile(
    r'Traceback \(most recent|File "[^"]+", line \d+|\b[\w/]+\.(?:py|rs):\d+|site-packages'
    r"|object at 0x[0-9a-f]+|\bSELECT .+ FROM\b|panicked at"
)
DEPTH: Final = 60
BAD_BODIES: Final[dict[str, bytes]] = {
    "no JSON": b"{",
    "no object": b"[]",
    "a number": b"1",
    "not UTF-8": b'{"account": "\xff\xfe"}',
    "unknown field": b'{"no_such_field": 1}',
    "nothing": b"{}",
    "null for text": b'{"account": null, "market": null, "amount": null, "reason": null}',
    "number for text": b'{"account": 1, "market": 2, "amount": 3, "symbol": 4, "reason": 5}',
    "deep": b'{"a":' * DEPTH + b"1" + b"}" * DEPTH,
    "long": b'{"account": "' + b"a" * 20_000 + b'"}',
    "too long": b'{"account": "' + b"a" * 70_000 + b'"}',
    "unknown names": b'{"account": "nobody", "market": "NO/NO", "symbol": "NO", "asset": "NO", "side": "buy",'
    b' "amount": "1", "price": "1", "quantity": "1", "reason": "drill", "to_sub": 1, "level": "full",'
    b' "principal": "zz", "role": "NO", "address": "zz", "index": 1}',
    "not a number": b'{"market": "BTC/USDT", "asset": "USDT", "side": "buy", "price": "NaN",'
    b' "quantity": "Infinity", "amount": "1e999", "reason": "drill"}',
    "negative": b'{"market": "BTC/USDT", "asset": "USDT", "side": "sell", "price": "-1",'
    b' "quantity": "-1", "amount": "-1", "reason": "drill"}',
    "control characters": b'{"account": "a\\u0000b", "market": "\\u202e", "reason": "\\r\\nX: y"}',
    "quotes": b'{"account": "\' OR 1=1 --", "market": "<script>alert(1)</script>", "reason": "${7*7}"}',
    "order off the tick": b'{"market": "BTC/USDT", "side": "buy", "price": "1.0000000001", "quantity": "1"}',
    "order off the lot": b'{"market": "BTC/USDT", "side": "buy", "price": "60000", "quantity": "1e-10"}',
    "order beyond the funds": b'{"market": "BTC/USDT", "side": "buy", "price": "60000", "quantity": "1000"}',
}
BAD_PLACES: Final = (
    "nobody",
    "0",
    "-1",
    "99999999999999999999",
    "%00",
    "..%2f..%2fetc%2fpasswd",
    "%F0%9F%92%A9",
)


def _operations(child: Platform) -> list[tuple[str, str]]:
    reply = child.request("GET", OPERATIONS_PATH)
    if reply.status != 200:
        raise CannotMeasureError(f"the API's description answers {reply.status}")
    paths = json.loads(reply.body)["paths"]
    return sorted((method.upper(), path) for path, methods in paths.items() for method in methods)


def _requests(
    method: str, path: str, token: str, wrong: str
) -> Iterator[tuple[str, bytes | None, Mapping[str, str]]]:
    """Path, body and headers of every negative case of one operation."""
    own = {"Authorization": f"Bearer {token}"}
    place = re.sub(r"\{[^}]+\}", "nobody", path)
    body = b"{}" if method == "POST" else None
    yield place, body, {}
    yield place, body, {"Authorization": f"Bearer {wrong}"}
    yield place, body, {"Authorization": f"Basic {wrong}"}
    yield place, body, {"Authorization": "Bearer " + "x" * 600}
    if method == "POST":
        for content in BAD_BODIES.values():
            yield place, content, own
            yield re.sub(r"\{[^}]+\}", "1", path), content, own
    if "{" in path:
        for bad in BAD_PLACES:
            yield re.sub(r"\{[^}]+\}", bad, path), body, own
    for query in (
        "limit=0",
        "limit=x",
        "depth=-1",
        "account=nobody",
        "market=NO%2FNO",
        "interval=1y",
        "limit=1e9",
    ):
        yield f"{place}?{query}", body, own
    yield f"{place}/nothing/here", body, own


def _forbidden(child: Platform, wrong: str) -> dict[str, str]:
    """Texts that nobody outside may read, by what they are."""
    texts = {"token": child.token, "given secret": wrong, "data directory": str(child.data)}
    texts["package path"] = str(Path(__file__).resolve().parents[2])
    texts["home"] = str(Path.home())
    for path in sorted(child.data.rglob("*")):
        if path.is_file() and path.stat().st_mode & 0o077 == 0 and path.stat().st_size < 4_096:
            content = path.read_bytes()
            for number, word in enumerate(re.findall(rb"[A-Za-z0-9_+/=-]{32,}", content)[:50]):
                texts[f"{path.name} {number}"] = word.decode()
    # A path of one character, such as the home of a container without users, is in every text.
    return {name: text for name, text in texts.items() if len(text) > 4}


def _leaks(text: str, forbidden: Mapping[str, str]) -> list[str]:
    found = [name for name, secret in forbidden.items() if secret in text]
    match = TRACES.search(text)
    return [*found, *([f"trace: {match[0][:40]}"] if match else [])]


def _judge(reply: Reply, forbidden: Mapping[str, str]) -> list[str]:
    text = reply.body.decode(errors="replace") + "\n".join(f"{k}: {v}" for k, v in reply.headers.items())
    problems = _leaks(text, forbidden)
    try:
        name = json.loads(reply.body).get("name", "")
    except (ValueError, AttributeError):
        name = ""
    if not STABLE_NAME.fullmatch(str(name)):
        problems.append("no stable code")
    return problems


def _log_lines(child: Platform) -> list[str]:
    logs = sorted((child.data / "logs").glob("*.jsonl"))
    lines = [line for path in logs for line in path.read_text(errors="replace").splitlines()]
    return [*lines, *child.output.read_text(errors="replace").splitlines()]


def _judge_line(line: str, forbidden: Mapping[str, str]) -> list[str]:
    problems = _leaks(line, forbidden)
    try:
        content = json.loads(line)
    except ValueError:
        return problems
    failed = isinstance(content, dict) and content.get("log.level") in ("error", "critical")
    return [*problems, *(["no stable code"] if failed and not content.get("error.code") else [])]


def _observe(context: ProbeContext, prelude: str = "") -> Facts:
    wrong = secrets.token_urlsafe(32)
    with platform(context.scratch / "data", "--strategy", "none", prelude=prelude) as child:
        child.trading()
        operations, forbidden = _operations(child), _forbidden(child, wrong)
        # What the start wrote to its own log and terminal is no answer to a negative request.
        before = Counter(_log_lines(child))
        leaking: list[dict[str, Any]] = []
        by_status: dict[str, int] = {}
        failures = 0
        for method, path in operations:
            for place, body, headers in _requests(method, path, child.token, wrong):
                reply = child.request(method, place, body, headers)
                by_status[str(reply.status)] = by_status.get(str(reply.status), 0) + 1
                if reply.status < 400:
                    continue
                failures += 1
                problems = _judge(reply, forbidden)
                if problems:
                    leaking.append(
                        {"operation": f"{method} {path}", "status": reply.status, "problems": problems}
                    )
        child.stop()
        lines = list((Counter(_log_lines(child)) - before).elements())
        bad_lines = [found for line in lines if (found := _judge_line(line, forbidden))]
    return {
        "operations": len(operations),
        "failures": failures,
        "by_status": by_status,
        "leaking": leaking,
        "log_lines": len(lines),
        "leaking_lines": bad_lines,
    }


BROKEN_ANSWER: Final = """
import traceback
import tradewind.api.app as app
from fastapi import Response
async def tell_everything(request, error):
    text = "".join(traceback.format_exception(error))
    return Response(text, status_code=getattr(getattr(error, "problem", None), "status", 500))
app._answer_failure = tell_everything
"""


def _summarise(facts: Facts) -> Mapping[str, MeasuredValue]:
    checked = facts["failures"] + facts["log_lines"]
    return {
        "leaking_responses": count(len(facts["leaking"]) + len(facts["leaking_lines"]), checked),
        "responses_checked": count(facts["failures"], facts["failures"]),
    }


error_leakage = drill(
    "security-error-leakage",
    observe=_observe,
    broken=lambda context: _observe(context, BROKEN_ANSWER),
    summarise=_summarise,
    provenance="emulated",
)
