"""Puts the module built with disk faults in the place of `tradewind._core`, here and in child processes.

Python imports this file by its name when this folder is on PYTHONPATH; `make test` runs the tests marked
`faults` that way. The module that is shipped has no fault hooks, so the two can never be mistaken.
"""

from __future__ import annotations

import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ExtensionFileLoader, ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path

NAME = "tradewind._core"
MODULE = Path(__file__).resolve().parents[2] / "target" / "faults" / "_core.abi3.so"


class FaultsFinder(MetaPathFinder):
    """Answers for one name only."""

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if fullname != NAME:
            return None
        return spec_from_file_location(NAME, MODULE, loader=ExtensionFileLoader(NAME, str(MODULE)))


sys.meta_path.insert(0, FaultsFinder())
