"""Blocks of the log as rows for people and other tools."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Final

from tradewind.cli.convert import plain
from tradewind.cli.exit_codes import ExitCode
from tradewind.cli.failure import CommandFailure

EXPORT_COLUMNS: Final = ("type", "block", "seq", "time_ns", "name", "fields")
NANOSECONDS: Final = 1_000_000_000
NO_HANDLE: Final = 0xFFFF_FFFF


def event_rows(batch: Any) -> Iterator[dict[str, Any]]:
    """Rejected commands, events and records of a block, as they happened."""
    from tradewind.core.events import decode_notes, decode_results

    for result in decode_results(batch.results):
        if not result.accepted:
            fields = {"code": result.code, "bound": result.bound, "given": result.given}
            yield _row("reject", batch, result.seq, batch.time_ns, result.name, fields)
    yield from _events(batch)
    for note in decode_notes(batch.notes):
        yield _row(
            "record", batch, batch.last_seq, batch.time_ns, f"stream {note.stream}", _note_fields(note)
        )


def _events(batch: Any) -> Iterator[dict[str, Any]]:
    from tradewind.core.events import decode_events

    for event in decode_events(batch):
        fields = {key: value for key, value in plain(event).items() if key not in ("seq", "time_ns")}
        yield _row("event", batch, event.seq, event.time_ns, type(event).__name__, fields)


def export_rows(batch: Any) -> Iterator[dict[str, Any]]:
    """Everything of a block: commands with their results, events with postings, records."""
    from tradewind.core.commands import COMMAND_SIZE
    from tradewind.core.events import decode_notes, decode_results

    commands = batch.commands
    for number, result in enumerate(decode_results(batch.results)):
        row = command_row(commands[number * COMMAND_SIZE : (number + 1) * COMMAND_SIZE])
        answer = {"accepted": result.accepted, "code": result.name, "value": result.value}
        yield _row(
            "command", batch, result.seq, row.pop("time_ns"), row.pop("name"), {**row, "result": answer}
        )
    yield from _events(batch)
    for note in decode_notes(batch.notes):
        yield _row(
            "record", batch, batch.last_seq, batch.time_ns, f"stream {note.stream}", _note_fields(note)
        )


def _row(  # noqa: PLR0917 the columns of a row, in their order
    kind: str, batch: Any, seq: int, time_ns: int, name: str, fields: dict[str, Any]
) -> dict[str, Any]:
    return {
        "type": kind,
        "block": batch.block,
        "seq": seq,
        "time_ns": time_ns,
        "name": name,
        "fields": fields,
    }


def _note_fields(note: Any) -> dict[str, Any]:
    """The trader's records are JSON; anything else is shown as hexadecimal."""
    try:
        content = json.loads(note.payload)
    except ValueError:
        content = note.payload.hex()
    return {"kind": note.kind, "content": content}


@cache
def _kinds() -> dict[tuple[int, int], tuple[str, str]]:
    from tradewind.core.hashing import command_names

    return command_names()


def command_row(command: bytes | memoryview) -> dict[str, Any]:
    """A command record with its payload by field name."""
    from tradewind.core.records import codec

    envelope = codec("Command").unpack(command)
    name, payload = _kinds().get((envelope["kind"], envelope["op"]), ("unknown", ""))
    row = {"name": name, "seq": envelope["seq"], "time_ns": envelope["time_ns"], "sub": envelope["sub"]}
    row |= {key: envelope[key].hex() for key in ("principal", "account", "client_key")}
    if payload and codec(payload).fields:
        fields = codec(payload).unpack(envelope["payload"][: codec(payload).size])
        row["payload"] = {
            key: plain(value) for key, value in fields.items() if not key.startswith("reserved")
        }
    return row


def render_line(row: dict[str, Any], *, as_json: bool) -> str:
    """One line of `tail`."""
    if as_json:
        return json.dumps(row, separators=(",", ":"))
    moment = datetime.fromtimestamp(row["time_ns"] / NANOSECONDS, UTC).strftime("%H:%M:%S.%f")[:-3]
    shown = {key: value for key, value in row["fields"].items() if not _is_noise(key, value)}
    fields = " ".join(f"{key}={value}" for key, value in shown.items())
    return f"{moment} {row['seq']:>8} {row['name']:<20} {fields}"


def _is_noise(key: str, value: Any) -> bool:
    """Fields that say nothing to a person: the envelope's bookkeeping, and "none" written as a number."""
    absent = {"market": NO_HANDLE, "account": NO_HANDLE, "order": 0, "sub": 0}
    return key in ("postings", "shard", "event_index") or (key in absent and value == absent[key])


@contextmanager
def open_writer(output: Path | None, format: str) -> Iterator[Callable[[dict[str, Any]], None]]:
    """Yields a function that writes one row; a new file never replaces an old one."""
    try:
        file = sys.stdout if output is None else output.open("x", encoding="utf-8", newline="")
    except FileExistsError:
        raise CommandFailure(ExitCode.CANNOT, "FILE_EXISTS", f"{output} exists already") from None
    try:
        if format == "csv":
            table = csv.writer(file)
            table.writerow(EXPORT_COLUMNS)
            yield lambda row: table.writerow(
                [row[name] if name != "fields" else json.dumps(row[name]) for name in EXPORT_COLUMNS]
            )
        else:

            def write(row: dict[str, Any]) -> None:
                file.write(json.dumps(row, separators=(",", ":")) + "\n")

            yield write
        file.flush()
    finally:
        if output is not None:
            file.close()
