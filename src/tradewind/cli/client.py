"""Talks to the running platform of a data directory over its loopback API. Standard library only: it starts
fast.
"""

from __future__ import annotations

import http.client
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

from tradewind.cli.exit_codes import ExitCode
from tradewind.cli.failure import CommandFailure, not_running

RUN_FILE: Final = "run.json"
TOKEN_FILE: Final = "api.token"  # noqa: S105 a file name
LOOPBACK: Final = "127.0.0.1"
TIMEOUT_S: Final = 30.0
MAX_ANSWER_BYTES: Final = 64 << 20
PROBLEM_DETAILS: Final = frozenset(
    {"status", "bound", "given", "retryable", "nearest", "suggestions", "codes", "result"}
)


class Client:
    """One connection per request. Raises `CommandFailure` for every answer that is not a success."""

    def __init__(self, data: Path) -> None:
        self.data = data
        run = _read_json(data / RUN_FILE)
        token = _read_text(data / TOKEN_FILE)
        if run is None or token is None or not isinstance(run.get("port"), int):
            raise not_running(data)
        self.port: int = run["port"]
        self._token = token

    def get(self, path: str, query: Mapping[str, Any] | None = None) -> Any:
        """The JSON document at `path` below `/api/v1`."""
        wanted = {key: value for key, value in (query or {}).items() if value is not None}
        return self._request("GET", path + (f"?{urlencode(wanted)}" if wanted else ""), None)

    def post(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Sends a command; absent values are left out."""
        return self._request("POST", path, {k: v for k, v in (body or {}).items() if v is not None})

    def _request(self, method: str, path: str, body: Mapping[str, Any] | None) -> Any:
        connection = http.client.HTTPConnection(LOOPBACK, self.port, timeout=TIMEOUT_S)
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        try:
            payload = None if body is None else json.dumps(body).encode()
            connection.request(method, f"/api/v1{path}", payload, headers)
            answer = connection.getresponse()
            content = answer.read(MAX_ANSWER_BYTES)
        except ConnectionRefusedError:
            raise not_running(self.data) from None
        except (OSError, http.client.HTTPException) as error:
            message = (
                f"no answer from port {self.port}: {error}; whether the command had its effect is unknown"
            )
            raise CommandFailure(ExitCode.CANNOT, "UNKNOWN_OUTCOME", message) from error
        finally:
            connection.close()
        return _decode(answer.status, content)


def segment(text: str) -> str:
    """One path segment; a symbol's slash is escaped."""
    return quote(text, safe="")


def _decode(status: int, content: bytes) -> Any:
    try:
        document = json.loads(content) if content else {}
    except ValueError:
        raise CommandFailure(
            ExitCode.CANNOT, "UNREADABLE_ANSWER", f"status {status} without a JSON document"
        ) from None
    if status < http.HTTPStatus.BAD_REQUEST:
        return document
    details = {key: value for key, value in document.items() if key in PROBLEM_DETAILS}
    if not details.get("bound") and not details.get("given"):
        details = {key: value for key, value in details.items() if key not in ("bound", "given")}
    name = document.get("name", f"HTTP_{status}")
    unable = status in (http.HTTPStatus.UNAUTHORIZED, http.HTTPStatus.NOT_IMPLEMENTED)
    exit_code = ExitCode.CANNOT if unable else ExitCode.RED
    raise CommandFailure(exit_code, name, document.get("detail", f"status {status}"), **details)


def _read_json(path: Path) -> dict[str, Any] | None:
    text = _read_text(path)
    try:
        document = None if text is None else json.loads(text)
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


def _read_text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return None
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise CommandFailure(ExitCode.CANNOT, "UNREADABLE", f"{path}: {reason}") from error
