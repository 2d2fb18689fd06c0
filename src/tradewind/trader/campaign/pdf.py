"""The report as PDF, set with typst. The same bytes for the same evidence: the date is the campaign's."""

from __future__ import annotations

import datetime
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from .checklist import evaluate
from .document import VERDICT_WORDS, advice, headline, own_gate, worth
from .evidence import Evidence
from .prose import PLOT_TITLES, day_rows, drill_rows, facts, ordered
from .rows import Row


class PdfMissing(Exception):
    """The PDF needs typst, which is in the extra `reports`."""

    code = "PDF_NOT_INSTALLED"


COLOURS: Final = {
    "PASS": "green", "FAIL": "red", "INVALID": "red", "FAILED": "red", "PENDING": "amber", "NOT RUN": "amber",
    "TOO FEW": "amber",
}  # fmt: skip
HEAD: Final = """
#set document(title: {title}, date: none)
#set page(paper: "a4", margin: (x: 1.8cm, y: 1.9cm), numbering: "1 / 1", footer-descent: 35%)
#set text(size: 9.5pt, font: ("Libertinus Serif", "New Computer Modern"), lang: "en")
#set par(leading: 0.55em)
#show heading: it => block(above: 1.3em, below: 0.7em, text(size: 12.5pt, weight: "bold", it.body))
#let red = rgb("#b42318")
#let amber = rgb("#9a6700")
#let green = rgb("#1f7a4d")
#let soft = rgb("#4a5568")
#let card(colour, body) = block(width: 100%, inset: (x: 9pt, y: 7pt), fill: rgb("#f7f9fb"), radius: 2pt,
  stroke: (left: 3pt + colour), breakable: false, body)
"""


def pdf(evidence: Evidence, plots: Mapping[str, bytes]) -> bytes:
    """`report.pdf`. Raises `PdfMissing`."""
    try:
        import typst
    except ImportError as error:
        raise PdfMissing("the PDF needs typst: pip install 'tradewind[reports]'") from error
    lives = evidence.state.lives
    seen_ns = lives[-1].last.wall_ns if lives else evidence.state.created_ns
    stamp = datetime.datetime.fromtimestamp(seen_ns // 1_000_000_000, datetime.UTC)
    with tempfile.TemporaryDirectory(prefix="tradewind-report-") as name:
        folder = Path(name)
        for plot, content in plots.items():
            (folder / f"{plot}.png").write_bytes(content)
        source = folder / "report.typ"
        source.write_text(_source(evidence, list(plots)), encoding="utf-8")
        content = typst.compile(str(source), root=str(folder), ignore_system_fonts=True, timestamp=stamp)
    assert isinstance(content, bytes)
    return content


def text(value: str) -> str:
    """A string of typst: nothing in it is markup."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
    return f'"{escaped}"'


def _source(evidence: Evidence, plots: Sequence[str]) -> str:
    checklist = evaluate(evidence, own_gate(evidence))
    colour = "green" if checklist.passed else "red"
    title = f"Paper campaign {evidence.state.identity.name}"
    lines = [
        HEAD.replace("{title}", text(title)),
        f"#text(fill: soft, size: 10.5pt, {text(title)})",
        f"#block(above: 0.9em, below: 0.8em, text(size: 16pt, weight: \"bold\", fill: {colour}, "
        f"{text(headline(evidence, checklist))}))",
        f"#text(fill: soft, {text(worth(evidence))})",
    ]  # fmt: skip
    if checklist.red:
        lines.append("= What is red, and why")
        lines += [_card(row) for row in ordered(checklist.red)]
    for plot in plots:
        lines.append(f'= #{text(PLOT_TITLES[plot])}\n#image("{plot}.png", width: 100%)')
    lines.append("= Checklist")
    lines.append(
        _table(
            ("row", "metric", "verdict", "seen", "demanded", "raw data"),
            "(auto, 1.2fr, auto, 1.5fr, 1.3fr, auto)",
            [
                (row.id, row.metric, VERDICT_WORDS[row.verdict], row.value, row.demanded, row.file)
                for row in checklist.rows
            ],
        )
    )
    lines += ["= Days", _table(("day", "hours", "red rows"), "(auto, auto, 1fr)", day_rows(evidence))]
    drills = drill_rows(evidence)
    lines.append("= Drills")
    lines.append(
        _table(("hour", "drill", "result", "detail"), "(auto, auto, auto, 1fr)", drills)
        if drills
        else "None ran."
    )
    lines += ["= Campaign", _table(("", ""), "(auto, 1fr)", facts(evidence))]
    return "\n\n".join(lines) + "\n"


def _card(row: Row) -> str:
    colour = "red" if row.verdict in ("fail", "invalid") else "amber"
    body = [
        f"#text(weight: \"bold\", {text(f'{row.id} {row.metric}: ')})"
        f"#text(weight: \"bold\", fill: {colour}, {text(VERDICT_WORDS[row.verdict])})",
        f"#text({text(f'Seen: {row.value}. Demanded: {row.demanded}.')})",
    ]  # fmt: skip
    notes = " ".join(part for part in (f"Why: {row.reason}." if row.reason else "", advice(row)) if part)
    if notes:
        body.append(f"#text(fill: soft, {text(notes)})")
    return f"#card({colour})[" + " \\\n".join(body) + "]"


def _cell(value: str) -> str:
    """A verdict has its colour; everything else is plain."""
    colour = COLOURS.get(value)
    return f'text(weight: "bold", fill: {colour}, {text(value)})' if colour else text(value)


def _table(columns: Sequence[str], widths: str, rows: Sequence[Sequence[str]]) -> str:
    head = ", ".join(f"text(fill: soft, weight: \"bold\", {text(one)})" for one in columns)  # fmt: skip
    cells = ",\n".join(", ".join(_cell(cell) for cell in row) for row in rows)
    header = f"table.header({head}),\n" if any(columns) else ""
    return (
        f"#text(size: 8.5pt, table(columns: {widths}, stroke: (x, y) => (bottom: 0.4pt + rgb(\"#d9dee6\")), "
        f"inset: (x: 4pt, y: 4pt), align: left,\n{header}{cells}))"
    )  # fmt: skip
