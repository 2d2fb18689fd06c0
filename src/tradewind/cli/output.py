"""Printing: a table for people, one JSON document for machines. Money is text, right-aligned."""

from __future__ import annotations

import json as json_module
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

DataDirectory = Annotated[Path, Parameter(help="data directory of the installation")]
Json = Annotated[bool, Parameter(negative="", help="print JSON instead of a table")]
DEFAULT_DATA = Path("data")
PIPE_WIDTH = 160
# A number of ns in this range (the years 2001 to 2262) is a moment: as a duration it would be thirty years.
FIRST_MOMENT_NS = 10**18
LAST_MOMENT_NS = 2**63 - 2
# Columns that hold numbers are aligned at their right edge.
NUMERIC = frozenset(
    {
        "amount",
        "ask",
        "base",
        "best ask",
        "best bid",
        "bid",
        "bytes",
        "cost",
        "fee",
        "filled",
        "free",
        "given",
        "handle",
        "held",
        "last",
        "limit",
        "lots",
        "lot",
        "maker bps",
        "minimum",
        "notional",
        "order",
        "pending",
        "price",
        "quantity",
        "remaining",
        "seq",
        "size",
        "taker bps",
        "tick",
        "total",
        "used",
        "value",
    }
)


def print_json(document: Any) -> None:
    """One document on standard output."""
    sys.stdout.write(json_module.dumps(document, indent=1, default=str) + "\n")


def print_rows(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], *, title: str, empty: str) -> None:
    """A table with one column per name in `columns`; an absent value is shown as a dash, never as zero."""
    from rich.box import SIMPLE_HEAD
    from rich.markup import escape
    from rich.table import Table

    console = _console()
    if not rows:
        console.print(empty)
        return
    console.print(f"[bold]{escape(title)}[/]")
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column in NUMERIC else "left", overflow="fold")
    names = [(column, column.replace(" ", "_")) for column in columns]
    for row in rows:
        table.add_row(
            *[
                escape(as_text(row.get(name, row.get(column)), moment=name.endswith("_ns")))
                for column, name in names
            ]
        )
    console.print(table)


def print_fields(document: Mapping[str, Any], *, title: str) -> None:
    """A two-column table of one record; a field that holds records is a table of its own below."""
    from rich.box import SIMPLE
    from rich.markup import escape
    from rich.table import Table

    console = _console()
    console.print(f"[bold]{escape(title)}[/]")
    table = Table(box=SIMPLE, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    inner: list[tuple[str, list[Mapping[str, Any]]]] = []
    for key, value in flatten(document):
        if isinstance(value, list) and value and all(isinstance(row, Mapping) for row in value):
            inner.append((key, value))
        else:
            table.add_row(escape(key), escape(as_text(value, moment=key.endswith("_ns"))))
    console.print(table)
    for key, rows in inner:
        print_rows(rows, list(rows[0]), title=key, empty="")


def _console() -> Console:
    """A console; without a terminal (a file, a pipe) it is wide, so that nothing is folded."""
    from rich.console import Console

    return Console() if sys.stdout.isatty() else Console(width=PIPE_WIDTH)


def flatten(document: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    """Nested fields as dotted names."""
    for key, value in document.items():
        if isinstance(value, Mapping) and value:
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def as_text(value: Any, *, moment: bool = False) -> str:
    """Text of a cell. A `moment` in ns since 1970 is shown as UTC; a duration, far smaller, as it is."""
    if value is None:
        return "-"
    if moment and isinstance(value, int) and FIRST_MOMENT_NS <= value <= LAST_MOMENT_NS:
        whole_s, rest_ns = divmod(value, 10**9)
        return f"{datetime.fromtimestamp(whole_s, UTC):%Y-%m-%dT%H:%M:%S}.{rest_ns // 10**6:03d}Z"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(as_text(item) for item in value) or "-"
    return str(value)


def note(text: str) -> None:
    """A line for people on standard error; standard output stays parseable."""
    print(text, file=sys.stderr)


@contextmanager
def progress(description: str, *, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on standard error. Yields `tell(done, all)`."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    console = Console(stderr=True, quiet=quiet)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=not console.is_terminal) as bar:
        task = bar.add_task(description, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=max(total, 1))
