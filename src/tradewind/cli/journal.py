"""`tradewind journal`: read, check, prove and replay the log of a data directory, with or without a running
platform.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from cyclopts import App, Parameter

from tradewind.cli.exit_codes import ExitCode
from tradewind.cli.failure import CommandFailure
from tradewind.cli.output import DEFAULT_DATA, DataDirectory, Json, print_fields, print_json, progress

journal = App(name="journal", help="The log: verify, tail, export, prove, snapshot, replay.")

JOURNAL_FOLDER: Final = "journal"
FOLLOW_INTERVAL_S: Final = 0.1
MAX_TAIL_BLOCKS: Final = 10_000
PROOF_SUFFIX: Final = ".proof"


def journal_path(data: Path) -> Path:
    """The journal of a data directory. Raises `CommandFailure` when there is none."""
    from tradewind.core import journal as log

    path = data / JOURNAL_FOLDER
    if any(path.glob("*.twj")) and not log.exists(path):
        raise CommandFailure(
            ExitCode.RED, "JOURNAL_CORRUPT", f"{path / 'genesis'} is missing although segments exist"
        )
    if not path.is_dir() or not log.exists(path):
        raise CommandFailure(ExitCode.CANNOT, "NO_JOURNAL", f"{path} holds no journal")
    return path


@journal.command
def verify(*, data: DataDirectory = DEFAULT_DATA, json: Json = False) -> int:
    """Check every byte: checksums, hashes, chain, footers. Exit 1 names the first damaged block."""
    from tradewind.cli.convert import plain
    from tradewind.core import journal as log

    path = journal_path(data)
    with progress("verifying", quiet=json) as tell:
        report = log.verify(path, tell)
    document = {"verified": True, **plain(report)}
    if json:
        print_json(document)
    else:
        print_fields(document, title=f"Journal {path}: whole")
    return ExitCode.OK


@journal.command
def tail(
    *,
    data: DataDirectory = DEFAULT_DATA,
    lines: Annotated[int, Parameter(name=("--lines", "-n"), help="blocks from the end to begin with")] = 10,
    follow: Annotated[bool, Parameter(name=("--follow", "-f"), negative="", help="wait for more")] = False,
    json: Json = False,
) -> int:
    """Print the newest events, one per line; with --follow until interrupted."""
    from tradewind.cli.records import event_rows, render_line
    from tradewind.core import journal as log

    if not 1 <= lines <= MAX_TAIL_BLOCKS:
        raise CommandFailure(
            ExitCode.CANNOT, "BAD_LINES", f"--lines {lines} must be from 1 to {MAX_TAIL_BLOCKS}"
        )
    path = journal_path(data)
    reader = log.reader(path, _first_seq_of_tail(path, lines))
    try:
        while True:
            batch = reader.next()
            if batch is None:
                if not follow:
                    return ExitCode.OK
                time.sleep(FOLLOW_INTERVAL_S)
                continue
            for row in event_rows(batch):
                sys.stdout.write(render_line(row, as_json=json) + "\n")
            sys.stdout.flush()
    except KeyboardInterrupt:
        return ExitCode.OK


def _first_seq_of_tail(path: Path, blocks: int) -> int:
    """Sequence number with which the last `blocks` blocks begin; 0 for the whole log."""
    from collections import deque

    from tradewind.core import journal as log

    newest = log.snapshots(path)
    # Only the part behind the newest snapshot is read, unless that is shorter than what was asked for.
    for start in ([newest[0].seq] if newest else []) + [0]:
        firsts = deque((batch.first_seq for batch in log.batches(path, start)), maxlen=blocks)
        if len(firsts) == blocks or start == 0:
            return firsts[0] if firsts else 0
    return 0


@journal.command
def export(
    output: Annotated[Path | None, Parameter(help="file to write; standard output when absent")] = None,
    *,
    data: DataDirectory = DEFAULT_DATA,
    format: Annotated[Literal["jsonl", "csv"], Parameter(help="one JSON object per line, or CSV")] = "jsonl",
    from_seq: Annotated[int, Parameter(help="begin with the block that holds this sequence number")] = 0,
    json: Json = False,
) -> int:
    """Write commands, results, events and records of the whole log in a form for other tools."""
    from tradewind.cli.records import export_rows, open_writer
    from tradewind.core import journal as log

    if from_seq < 0:
        raise CommandFailure(ExitCode.CANNOT, "BAD_SEQ", f"--from-seq {from_seq} must be at least 0")
    path = journal_path(data)
    blocks = log.root(path)[0]
    rows = 0
    with open_writer(output, format) as write, progress("exporting", quiet=json or output is None) as tell:
        for done, batch in enumerate(log.batches(path, from_seq), 1):
            for row in export_rows(batch):
                write(row)
                rows += 1
            tell(done, blocks)
    if output is not None:
        document = {"file": str(output), "format": format, "rows": rows, "blocks": blocks}
        if json:
            print_json(document)
        else:
            print_fields(document, title="Export")
    return ExitCode.OK


@journal.command
def prove(
    seq: Annotated[int | None, Parameter(help="sequence number of the command to prove")] = None,
    *,
    data: DataDirectory = DEFAULT_DATA,
    output: Annotated[Path | None, Parameter(help="write the proof into this file")] = None,
    check: Annotated[Path | None, Parameter(help="check this proof file instead of making one")] = None,
    root: Annotated[
        str | None, Parameter(help="published root, 64 hexadecimal digits, to check against")
    ] = None,
    json: Json = False,
) -> int:
    """Make a proof that a command is in the log and check it, or check a proof against a published root.

    Checking with --check and --root needs no journal: a stranger can do it.
    """
    if check is not None:
        document = _check_proof(check.read_bytes() if check.is_file() else b"", root, check)
    elif seq is None:
        raise CommandFailure(ExitCode.CANNOT, "NO_SEQ", "name the sequence number to prove, or --check FILE")
    else:
        document = _make_proof(journal_path(data), seq, output, root)
    if json:
        print_json(document)
    else:
        print_fields(document, title="Inclusion proof: " + ("valid" if document["valid"] else "NOT valid"))
    return ExitCode.OK if document["valid"] else ExitCode.RED


def _make_proof(path: Path, seq: int, output: Path | None, root: str | None) -> dict[str, Any]:
    from tradewind.core import journal as log

    if seq < 1:
        raise CommandFailure(ExitCode.CANNOT, "BAD_SEQ", f"sequence number {seq} must be at least 1")
    proof = log.prove(path, seq)
    target = output or Path(f"command-{seq}{PROOF_SUFFIX}")
    target.write_bytes(proof)
    document = _check_proof(proof, root or log.root(path)[1].hex(), target)
    return {"file": str(target), **document}


def _check_proof(proof: bytes, root: str | None, path: Path) -> dict[str, Any]:
    from tradewind.cli.convert import plain
    from tradewind.cli.records import command_row
    from tradewind.core import journal as log

    if not proof:
        raise CommandFailure(ExitCode.CANNOT, "NO_PROOF", f"{path} is no proof file")
    try:
        wanted = bytes.fromhex(root or "")
    except ValueError:
        wanted = b""
    if len(wanted) != 32:
        raise CommandFailure(ExitCode.CANNOT, "BAD_ROOT", "--root must be 64 hexadecimal digits")
    report = log.check_proof(proof, wanted)
    command = report.pop("command")
    return {**plain(report), "command": None if command is None else command_row(command)}


@journal.command
def snapshot(*, data: DataDirectory = DEFAULT_DATA, json: Json = False) -> int:
    """Record a snapshot: through the running platform, or offline when none runs."""
    from tradewind.cli.client import Client

    try:
        client = Client(data)
    except CommandFailure as failure:
        if failure.exit_code is not ExitCode.NOT_RUNNING:
            raise
        document = _snapshot_offline(journal_path(data))
    else:
        document = client.post("/journal/snapshot")
    if json:
        print_json(document)
    else:
        print_fields(document, title="Snapshot")
    return ExitCode.OK


def _snapshot_offline(path: Path) -> dict[str, Any]:
    from tradewind.cli.convert import plain
    from tradewind.core import journal as log

    report = log.snapshot_offline(path)
    document: dict[str, Any] = plain(report)
    return document


@journal.command
def replay(
    *,
    data: DataDirectory = DEFAULT_DATA,
    into: Annotated[
        str | None, Parameter(help="also rebuild this SQL database, e.g. sqlite:///ledger.db")
    ] = None,
    json: Json = False,
) -> int:
    """Run the whole log again from genesis and compare every result, event and state hash."""
    from tradewind.cli.convert import plain
    from tradewind.core import journal as log

    path = journal_path(data)
    with progress("replaying", quiet=json) as tell:
        report = log.replay(path, tell)
    document = {"equal": True, **plain(report), **_rate(report.replayed_commands, report.elapsed_ns)}
    document.update(_compare_with_running(data, report.state_hash.hex(), report.next_seq))
    if into is not None:
        document["projection"] = _project(path, into, quiet=json)
    if json:
        print_json(document)
    else:
        print_fields(document, title=f"Replay of {path}: equal")
    return ExitCode.OK


def _rate(commands: int, elapsed_ns: int) -> dict[str, Any]:
    return {"commands_per_second": commands * 1_000_000_000 // elapsed_ns if elapsed_ns > 0 else None}


def _compare_with_running(data: Path, state_hash: str, next_seq: int) -> dict[str, Any]:
    """The running platform's state hash, when it stands at the same sequence number."""
    from tradewind.cli.client import Client

    try:
        head = Client(data).get("/head")
    except CommandFailure:
        return {"running": None}
    if head.get("next_seq") != next_seq:
        return {"running": f"stands at {head.get('next_seq')}; the log grew during the replay"}
    if head.get("state_hash") != state_hash:
        message = f"the running platform has state {head.get('state_hash')}, the log gives {state_hash}"
        raise CommandFailure(ExitCode.RED, "REPLAY_MISMATCH", message)
    return {"running": "same state hash"}


def _project(path: Path, url: str, *, quiet: bool) -> dict[str, Any]:
    from tradewind.core import journal as log

    try:
        from tradewind.node.projections.sql import SqlProjection
    except ImportError as error:
        message = f"--into needs the extra: pip install 'tradewind[ops]' ({error.name} is missing)"
        raise CommandFailure(ExitCode.CANNOT, "MISSING_EXTRA", message) from error
    from sqlalchemy.exc import SQLAlchemyError

    last_seq = log.verify(path).last_seq or 0
    try:
        with progress("projecting", quiet=quiet) as tell:
            applied = SqlProjection(url).rebuild(path, lambda seq: tell(seq, last_seq))
    except ImportError as error:
        message = f"no driver for {url.partition(':')[0]} is installed ({error.name} is missing)"
        raise CommandFailure(ExitCode.CANNOT, "MISSING_EXTRA", message) from error
    except SQLAlchemyError as error:
        raise CommandFailure(ExitCode.CANNOT, "NO_DATABASE", f"{type(error).__name__}: {error}") from error
    return {"url": redacted(url), "applied_seq": applied}


def redacted(url: str) -> str:
    """A database address without its password."""
    from sqlalchemy import make_url

    return make_url(url).render_as_string(hide_password=True)
