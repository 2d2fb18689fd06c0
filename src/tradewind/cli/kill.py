"""`tradewind halt|flatten|resume`: the kill switch. Exit 0 only when the effect was read back."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from tradewind.cli.answers import show
from tradewind.cli.client import Client
from tradewind.cli.output import DEFAULT_DATA, DataDirectory, Json

Reason = Annotated[str, Parameter(help="why; it goes into the log")]
By = Annotated[str, Parameter(name="--by", help="who acts; it goes into the log")]


def halt(
    reason: Reason, *, by: By = "operator", data: DataDirectory = DEFAULT_DATA, json: Json = False
) -> int:
    """No new risk; cancel every working order; keep positions. May be repeated."""
    return _pull("halt", reason, by, data, json)


def flatten(
    reason: Reason, *, by: By = "operator", data: DataDirectory = DEFAULT_DATA, json: Json = False
) -> int:
    """Halt, then reduce every position to zero in slices within the collar."""
    return _pull("flatten", reason, by, data, json)


def resume(
    reason: Reason, *, by: By = "operator", data: DataDirectory = DEFAULT_DATA, json: Json = False
) -> int:
    """Leave the halt: needs a reason, a clean reconciliation and the cool-down."""
    return _pull("resume", reason, by, data, json)


def _pull(act: str, reason: str, by: str, data: DataDirectory, json: bool) -> int:
    answer = Client(data).post(f"/kill/{act}", {"reason": reason, "actor": by})
    return show(answer, json=json, title=f"{act}: {answer['outcome']}")
