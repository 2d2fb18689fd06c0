"""Where the node of a data directory listens, and the token that reads there."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tradewind.cli.client import LOOPBACK, Client
from tradewind.cli.exit_codes import ExitCode
from tradewind.cli.failure import CommandFailure

NATIVE: Final = "native"
READ_TOKEN: Final = "api.read.token"  # noqa: S105 a file name


def address(data: Path, url: str | None) -> tuple[str, str]:
    """Address and token; `url` is another address than that of the running platform.

    Raises:
        CommandFailure: nothing runs, or the token cannot be read.
    """
    found = url or f"http://{LOOPBACK}:{Client(data).port}"
    try:
        return found, (data / READ_TOKEN).read_text(encoding="ascii").strip()
    except (OSError, ValueError) as error:
        message = f"{data / READ_TOKEN} holds no token of a node"
        raise CommandFailure(ExitCode.CANNOT, "NO_TOKEN", message) from error
