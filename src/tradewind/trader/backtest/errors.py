"""What can be wrong with a back-test before or while it runs. `code` is stable."""

from __future__ import annotations


class BacktestRefused(Exception):
    """A back-test that was not run, or not finished, with the reason. Nothing of a report was written."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class DataRefused(BacktestRefused):
    """Data that cannot be replayed as it is: missing, empty, torn, out of order, with a gap."""
