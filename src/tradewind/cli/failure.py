"""A verb that cannot do its work raises this; `main` turns it into one message and one exit status."""

from __future__ import annotations

from typing import Any

from tradewind.cli.exit_codes import ExitCode


class CommandFailure(Exception):
    """`code` is stable and machine-readable; `details` are extra fields of the JSON form."""

    def __init__(self, exit_code: ExitCode, code: str, message: str, **details: Any) -> None:
        super().__init__(message)
        self.exit_code = exit_code
        self.code = code
        self.message = message
        self.details = details

    def as_dict(self) -> dict[str, Any]:
        """The body of the JSON form."""
        return {"code": self.code, "message": self.message, **self.details}


def not_running(data: object) -> CommandFailure:
    """Nothing serves this data directory."""
    return CommandFailure(
        ExitCode.NOT_RUNNING,
        "NOT_RUNNING",
        f"nothing serves {data}; start it with: tradewind up --data {data}",
    )


def not_built(what: str) -> CommandFailure:
    """The verb exists in the contract, but not in this build; it never pretends."""
    return CommandFailure(ExitCode.CANNOT, "NOT_BUILT", f"{what} is not built yet")
