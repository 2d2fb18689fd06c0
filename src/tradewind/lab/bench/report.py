"""The document of a run as tables for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

VERDICTS = {True: "[green]holds[/]", False: "[red]missed[/]", None: "[yellow]unknown[/]"}
HIDDEN = frozenset(
    {
        "does",
        "does_not",
        "largest",
        "largest_generic",
        "single_means",
        "up_rss_means",
        "import_means",
        "state_hash",
        "about",
    }
)


def show(document: Mapping[str, Any], console: Console | None = None) -> None:
    """Prints machine, budgets, every figure, and peers side by side."""
    (console or Console()).print(render(document))


def render(document: Mapping[str, Any]) -> Group:
    """Everything, in the order in which one wants to read it."""
    parts: list[RenderableType] = [_machine(document["machine"])]
    if document["budgets"]:
        parts.append(_budgets(document["budgets"]))
    suites = document["suites"]
    for name, figures in suites.items():
        side_by_side = name == "peers" and "tradewind" in figures
        parts.append(_peers(figures) if side_by_side else _suite(name, figures))
    parts.append(Text(f"{document['elapsed_s']} s in all; a machine that is busy looks worse than it is"))
    return Group(*parts)


def number(value: Any) -> str:
    """A figure as text: thousands separated, unknown as a dash and never as zero."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) or (isinstance(value, float) and abs(value) >= 1_000):
        return f"{value:,.0f}"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        right = column in ("value", "budget", "commands/s", "ours / theirs", "filled lots")
        table.add_column(column, justify="right" if right else "left", overflow="fold")
    return table


def _machine(machine: Mapping[str, Any]) -> Table:
    table = _table("Machine", "what", "fact")
    for name, value in machine.items():
        table.add_row(name.replace("_", " "), escape(number(value)))
    return table


def _budgets(rows: Iterable[Mapping[str, Any]]) -> Table:
    table = _table("Budgets", "what", "value", "budget", "unit", "verdict")
    for row in rows:
        reason = f": {row['reason']}" if "reason" in row else ""
        verdict = VERDICTS[row["holds"]] + escape(reason)
        budget = f"{row['relation']} {number(row['budget'])}"
        table.add_row(escape(row["title"]), number(row["value"]), budget, row["unit"], verdict)
    return table


def _suite(name: str, figures: Mapping[str, Any]) -> Table:
    table = _table(f"Suite {name}", "figure", "value")
    for path, value in _leaves(figures):
        table.add_row(escape(path), escape(number(value)))
    return table


def _leaves(figures: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for name, value in figures.items():
        if name in HIDDEN:
            continue
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _peers(figures: Mapping[str, Any]) -> Group:
    """Figures side by side; below them what each library does, because none is the same thing."""
    table = _table("Peers, on the same flow", "library", "commands/s", "ours / theirs", "filled lots", "note")
    notes = []
    for name, found in figures.items():
        if "commands_per_second" not in found:
            said = [f"{key}: {found[key]}" for key in ("skipped", "failed") if key in found]
            table.add_row(escape(name), "-", "-", "-", f"[yellow]{escape(said[0] if said else 'unknown')}[/]")
            continue
        complete = found.get("complete", True)
        lots = number(found["traded_lots"]) if complete else "-"
        rate, ratio = number(found["commands_per_second"]), number(found.get("ratio"))
        note = "" if complete else f"stopped after {number(found['commands'])} commands"
        table.add_row(escape(name), rate, ratio, lots, note)
        notes.append(f"[bold]{escape(name)}[/]: {escape(found['does'])}; {escape(found['does_not'])}")
    return Group(table, *(Text.from_markup(note) for note in notes))
