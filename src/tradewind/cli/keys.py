"""`tradewind keys`: venue keys of this installation and their nonces. Secrets are never read or shown."""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import App, Parameter

from tradewind.cli.answers import show, show_rows
from tradewind.cli.exit_codes import ExitCode
from tradewind.cli.failure import CommandFailure
from tradewind.cli.output import DEFAULT_DATA, DataDirectory, Json

keys = App(name="keys", help="Venue keys: list, reseed lost nonces, release, migrate to nanoseconds.")
Fingerprint = Annotated[str, Parameter(help="fingerprint of the key, from: tradewind keys list")]
COLUMNS = [
    "fingerprint",
    "venue",
    "label",
    "purpose",
    "unit",
    "used",
    "high water",
    "epoch",
    "holder",
    "fault",
    "quarantined",
]


@keys.command(name="list")
def list_keys(*, data: DataDirectory = DEFAULT_DATA, json: Json = False) -> int:
    """Every key with its mark, who uses it now, and what is wrong. Exit 1 when one is unusable."""
    from tradewind.venues.transport.keys import KeyFolder

    folder = KeyFolder(data)
    rows = [folder.status(one.fingerprint) for one in folder.records()]
    show_rows(rows, COLUMNS, json=json, title="Venue keys", empty="no keys are registered", name="keys")
    return ExitCode.RED if any(row["fault"] for row in rows) else ExitCode.OK


@keys.command
def reseed(
    fingerprint: Fingerprint,
    *,
    ahead_s: Annotated[int, Parameter(help="seconds ahead of now, 60 to 3600")],
    reason: Annotated[str, Parameter(help="why the mark was lost; it is written down")],
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Give a key whose nonce mark was lost or damaged a new one, ahead of anything that it may have sent.

    Only when no process uses the key (exit 75 otherwise). Find out first why it was lost.
    """
    return _change(
        fingerprint, data, lambda folder: folder.reseed(fingerprint, ahead_s, reason), json, "reseeded"
    )


@keys.command
def release(
    fingerprint: Fingerprint,
    *,
    reason: Annotated[str, Parameter(help="why it may be used again; it is written down")],
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Let a key be used again that was put out of use (quarantined).

    Only when no process uses the key (exit 75 otherwise). Find out first why it was: `tradewind venue
    diagnose`, docs/runbooks/venue-trouble.md.
    """
    return _change(fingerprint, data, lambda folder: folder.release(fingerprint, reason), json, "released")


@keys.command(name="migrate-unit")
def migrate_unit(fingerprint: Fingerprint, *, data: DataDirectory = DEFAULT_DATA, json: Json = False) -> int:
    """Let a key count nonces in nanoseconds instead of microseconds. Once; there is no way back."""
    return _change(fingerprint, data, lambda folder: folder.migrate(fingerprint), json, "counts in ns")


def _change(fingerprint: str, data: Any, act: Any, json: bool, done: str) -> int:
    from tradewind.venues.transport.keys import KeyFolder, UnknownKey

    folder = KeyFolder(data)
    try:
        act(folder)
    except (UnknownKey, ValueError) as error:
        code = getattr(error, "code", "BAD_VALUE")
        raise CommandFailure(ExitCode.CANNOT, code, str(error)) from error
    return show(folder.status(fingerprint), json=json, title=f"Key {fingerprint} {done}")
