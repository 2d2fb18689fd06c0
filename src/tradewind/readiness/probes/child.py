"""A real `tradewind up` as a child process, for the probes which measure a running platform."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tradewind.readiness.errors import CannotMeasureError

LOOPBACK: Final = "127.0.0.1"
START_DEADLINE_S: Final = 45.0
STOP_DEADLINE_S: Final = 30.0
REQUEST_TIMEOUT_S: Final = 30.0
POLL_S: Final = 0.05
MAX_ANSWER_BYTES: Final = 64 << 20
START: Final = "from tradewind.cli import main; main()"


@dataclass(frozen=True, slots=True)
class Reply:
    """What an HTTP request was answered with."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Platform:
    """A started platform. ``prelude`` is Python that runs in the child first: where a mutation breaks it."""

    def __init__(self, data: Path, options: Sequence[str], prelude: str = "") -> None:
        self.data = data
        self.output = data.with_name(f"{data.name}.out")
        arguments = [sys.executable, "-c", f"{prelude}\n{START}", "up", "--data", str(data), *options]
        self.started_s = time.monotonic()
        with self.output.open("ab") as output:
            # The interpreter is ours, the arguments are constants of probes.
            self.process = subprocess.Popen(  # noqa: S603 - see above
                arguments, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
            )
        self._connection: http.client.HTTPConnection | None = None

    @property
    def run(self) -> dict[str, Any]:
        """The run file: port and process id."""
        content: dict[str, Any] = json.loads((self.data / "run.json").read_text())
        return content

    @property
    def token(self) -> str:
        """The API token of this data directory."""
        return (self.data / "api.token").read_text().strip()

    def wait(self, what: str, condition: Any) -> None:
        """Until ``condition()``. Raises CannotMeasureError when the child ends or takes too long."""
        deadline_s = time.monotonic() + START_DEADLINE_S
        while not condition():
            if self.process.poll() is not None or time.monotonic() > deadline_s:
                tail = self.output.read_text(errors="replace")[-400:]
                raise CannotMeasureError(f"the platform is not {what}: {tail}")
            time.sleep(POLL_S)

    def serving(self) -> Platform:
        """Waits until requests are answered. Raises CannotMeasureError."""
        self.wait("serving", (self.data / "run.json").exists)
        return self

    def trading(self) -> Platform:
        """Waits until the book is mirrored and the trader runs. Raises CannotMeasureError."""
        self.serving()
        self.wait("trading", self._online)
        return self

    def _online(self) -> bool:
        reply = self.request("GET", "/api/v1/venue")
        known = json.loads(reply.body).get("status", {}) if reply.status == http.HTTPStatus.OK else {}
        return set(known.get("symbols", {}).values()) == {"online"}

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """One request with the platform's token, unless ``headers`` are given. Raises OSError."""
        sent = {"Authorization": f"Bearer {self.token}"} if headers is None else dict(headers)
        if body is not None:
            sent.setdefault("Content-Type", "application/json")
        for attempt in (1, 2):
            if self._connection is None:
                port = int(self.run["port"])
                self._connection = http.client.HTTPConnection(LOOPBACK, port, timeout=REQUEST_TIMEOUT_S)
            try:
                self._connection.request(method, path, body, sent)
                answer = self._connection.getresponse()
                content = answer.read(MAX_ANSWER_BYTES)
                return Reply(answer.status, dict(answer.getheaders()), content)
            except (OSError, http.client.HTTPException):
                # The server may close a kept connection; once more on a fresh one.
                self._connection.close()
                self._connection = None
                if attempt == 2:
                    raise
        raise AssertionError("the loop returns or raises")

    def resident_mb(self) -> float:
        """Resident memory of the child in MB (10^6 bytes)."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        line = next(row for row in status.splitlines() if row.startswith("VmRSS:"))
        return int(line.split()[1]) * 1_024 / 1e6

    def stop(self) -> int:
        """An orderly stop; its exit status."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(STOP_DEADLINE_S)

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait(STOP_DEADLINE_S)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.data / "run.json")


@contextlib.contextmanager
def platform(data: Path, *options: str, prelude: str = "") -> Iterator[Platform]:
    """A generated market on a free port unless ``options`` say otherwise; ended at the end."""
    usual = () if "--port" in options else ("--port", "0")
    child = Platform(data, [*usual, "--feed", "generated", *options], prelude)
    try:
        yield child
    finally:
        if child.process.poll() is None:
            child.process.kill()
            child.process.wait(STOP_DEADLINE_S)
