"""Runs unmodified third-party clients in an environment of their own; without one the tests skip, loudly.

`make test` makes it (tools/bootstrap.py) from the pinned versions of clients.txt.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
HERE = Path(__file__).parent
INTERPRETER = "TRADEWIND_CLIENTS_PYTHON"
TIMEOUT_S = 120

RunClient = Callable[..., Awaitable[str]]


@pytest.fixture(scope="session")
def client_python() -> str:
    """The interpreter that has the clients: the environment variable, else `.venv-clients`."""
    named = os.environ.get(INTERPRETER)
    found = Path(named) if named else ROOT / ".venv-clients" / "bin" / "python"
    if not found.is_file():
        pytest.skip(
            f"no environment with third-party clients: {found} (`make test-tools`, or set {INTERPRETER})"
        )
    return str(found)


@pytest.fixture
def run_client(client_python: str) -> RunClient:
    """`await run_client("kraken_ccxt.py", *arguments, NAME="value")`: the script's output; it must succeed.

    Keyword arguments are its whole environment besides PATH and HOME: nothing of ours is imported.
    """

    async def run(script: str, *arguments: str, **environment: str) -> str:
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        process = await asyncio.create_subprocess_exec(
            client_python, "-I", str(HERE / script), *arguments, env=kept | environment, cwd=str(HERE),
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        try:
            output, _ = await asyncio.wait_for(process.communicate(), TIMEOUT_S)
        except TimeoutError:
            process.kill()
            output, _ = await process.communicate()
            pytest.fail(f"{script} took more than {TIMEOUT_S} s:\n{output.decode(errors='replace')[-4_000:]}")
        text = output.decode(errors="replace")
        assert process.returncode == 0, f"{script} failed:\n{text[-6_000:]}"
        return text

    return run
