"""The probe of the API's routes sees a check that is gone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tradewind.readiness.errors import CannotMeasureError
from tradewind.readiness.probe import ProbeContext
from tradewind.readiness.probes.routes import http_routes, is_tested, unauthorised

ALWAYS_TRUE = """
import tradewind.api.app as application
application.require = lambda request, wanted: None
"""


def test_a_permission_check_that_is_always_true_is_seen_at_every_route(tmp_path: Path) -> None:
    try:
        rows = http_routes(ProbeContext("paper", tmp_path, None, tmp_path), ALWAYS_TRUE)
    except CannotMeasureError as error:
        pytest.skip(str(error))
    for row in rows:
        # Who reads may read; every other permission is now the read token's too.
        assert ("api.read.token" in unauthorised(row)) == (row["permission"] != "read"), row
        assert is_tested(row)


def test_a_route_without_a_permission_counts_as_untested_and_may_let_nobody_in() -> None:
    row = {
        "permission": None,
        "expected": {"api.token": "INSUFFICIENT_SCOPE"},
        "told": {"api.token": ""},
    }
    assert not is_tested(row)
    assert unauthorised(row) == ["api.token"]
