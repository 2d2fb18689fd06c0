"""A report for people: Markdown and self-contained HTML. Verdict first, what is red, then the rest."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final

from .checklist import evaluate
from .document import VERDICT_WORDS, advice, days_begun, headline, own_gate, worth
from .evidence import Evidence
from .rows import Checklist, Row
from .state import DAY_S
from .tables import moment

PLOT_TITLES: Final = {
    "equity": "Equity, and how far below its high",
    "memory": "Memory, and what is open",
    "orders": "Orders and fills an hour, and the venue's answers",
    "streams": "Live time of the streams, and the journal",
}


def facts(evidence: Evidence) -> list[tuple[str, str]]:
    """What is run, where and for how long."""
    state, identity = evidence.state, evidence.state.identity
    uptime = "unknown" if state.uptime is None else f"{state.uptime:.3%}"
    return [
        ("campaign", identity.name),
        ("market", f"{identity.symbol} from {identity.feed}"),
        ("strategy", f"{identity.strategy}, profile {identity.profile}"),
        ("environment", f"{identity.environment}, {identity.provenance}"),
        ("time", f"{state.hours:.2f} of {identity.hours:g} h; evidence {state.real_s / 3_600:.2f} h"),
        ("began", moment(state.lives[0].first.wall_ns) if state.lives else "not yet"),
        ("last seen", moment(state.lives[-1].last.wall_ns) if state.lives else "never"),
        (
            "lives",
            f"{len(state.lives)}: {state.restarts} restarts, {state.crashes} crashes, "
            f"{state.downtime_s:.0f} s down, {state.suspended_s:.0f} s suspended, uptime {uptime}",
        ),
        ("build", identity.build[:16]),
        ("configuration", identity.config_hash[:16]),
    ]


def day_rows(evidence: Evidence) -> list[tuple[str, str, str]]:
    """(day, hours, red rows) of every day that has begun."""
    rows = []
    for number in range(1, days_begun(evidence) + 1):
        day = evidence.day(number, DAY_S)
        checklist = evaluate(day, 24, daily=True)
        red = ", ".join(row.id for row in checklist.red) or "none"
        rows.append((f"{number}", f"{day.covered_s / 3_600:.2f}", red))
    return rows


def drill_rows(evidence: Evidence) -> list[tuple[str, str, str, str]]:
    """(hour, drill, result, detail) of every drill."""
    rows = []
    for one in evidence.drills:
        result = ("passed" if one.passed else "FAILED") if one.ran else "not run"
        figures = ", ".join(f"{name} {value:g}" for name, value in one.figures.items())
        text = "; ".join(part for part in (figures, one.detail) if part)
        rows.append((f"{one.campaign_s / 3_600:.2f}", one.drill, result, text))
    return rows


def ordered(rows: Sequence[Row]) -> list[Row]:
    """Failures first, then what is not decided, then the rest, each by its number."""
    rank = {"fail": 0, "invalid": 0, "not_run": 1, "insufficient": 1, "pending": 2}
    return sorted(rows, key=lambda row: (rank.get(row.verdict, 3) if not row.green else 4, row.id))


# ---- Markdown -------------------------------------------------------------------------------------------


def markdown(evidence: Evidence, files: Sequence[str]) -> bytes:
    """`report.md`."""
    checklist = evaluate(evidence, own_gate(evidence))
    lines = [
        f"# Paper campaign {evidence.state.identity.name}",
        "",
        f"**{headline(evidence, checklist)}**",
        "",
    ]
    lines += [worth(evidence), ""]
    if checklist.red:
        lines += ["## What is red, and why", ""]
        for row in ordered(checklist.red):
            lines.append(f"- **{row.id} {row.metric}**: {VERDICT_WORDS[row.verdict]}. Seen: {row.value}. "
                         f"Demanded: {row.demanded}.{_because(row)} {advice(row)}")  # fmt: skip
        lines.append("")
    lines += ["## Checklist", ""]
    lines += _md_table(
        ("row", "metric", "verdict", "seen", "demanded", "n", "raw data"),
        [(r.id, r.metric, VERDICT_WORDS[r.verdict], r.value, r.demanded, str(r.samples), r.file)
         for r in checklist.rows],
    )  # fmt: skip
    lines += ["", "## Campaign", "", *(f"- {key}: {text}" for key, text in facts(evidence))]
    lines += ["", "## Days", "", *_md_table(("day", "hours", "red rows"), day_rows(evidence))]
    lines += ["", "## Drills", ""]
    lines += _md_table(("hour", "drill", "result", "detail"), drill_rows(evidence)) or ["None ran."]
    other = evaluate(evidence, 24 if checklist.gate_hours == 120 else 120)
    lines += ["", f"The other gate: {headline(evidence, other)}", ""]
    lines += ["## Raw data", "", *(f"- `{one}`" for one in files), ""]
    return "\n".join(lines).encode()


def _because(row: Row) -> str:
    return f" Why: {row.reason}." if row.reason else ""


def _md_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"

    return [line(columns), "|" + "---|" * len(columns), *(line(row) for row in rows)] if rows else []


# ---- HTML -----------------------------------------------------------------------------------------------

STYLE: Final = """
:root{--ink:#1a202c;--soft:#4a5568;--line:#d9dee6;--back:#fff;--card:#f7f9fb;--red:#b42318;--green:#1f7a4d;
--amber:#9a6700}
@media (prefers-color-scheme:dark){:root{--ink:#e6e9ef;--soft:#a3adbd;--line:#333b48;--back:#14181f;
--card:#1b212b;--red:#ff8a7a;--green:#6fd3a0;--amber:#f0c060}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:1040px;padding:24px 20px 60px;background:var(--back);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
h1{font-size:18px;font-weight:600;margin:0 0 4px;color:var(--soft)}
h2{font-size:17px;margin:34px 0 10px}
.verdict{font-size:26px;font-weight:700;line-height:1.25;margin:6px 0 4px}
.verdict.red{color:var(--red)}.verdict.green{color:var(--green)}
.worth{color:var(--soft);margin:0 0 6px}
.card{border:1px solid var(--line);border-left:5px solid var(--red);background:var(--card);border-radius:6px;
padding:10px 14px;margin:10px 0}
.card.wait{border-left-color:var(--amber)}
.card b{font-size:15px}.card p{margin:3px 0;color:var(--soft)}.card .seen{color:var(--ink)}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:13.5px}
th,td{text-align:left;vertical-align:top;padding:6px 10px 6px 0;border-bottom:1px solid var(--line)}
th{color:var(--soft);font-weight:600}
td.word{font-weight:700;white-space:nowrap}
.pass,.reported{color:var(--green)}.fail,.invalid{color:var(--red)}
.pending,.not_run,.insufficient{color:var(--amber)}
img{max-width:100%;height:auto;background:#fff;border:1px solid var(--line);border-radius:6px}
dl{display:grid;grid-template-columns:max-content 1fr;gap:2px 18px;margin:0}
dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}
code{font-size:13px}
"""


def html(evidence: Evidence, plots: Mapping[str, bytes], files: Sequence[str]) -> bytes:
    """`report.html`: one file, nothing is fetched."""
    checklist = evaluate(evidence, own_gate(evidence))
    colour = "green" if checklist.passed else "red"
    name = escape(evidence.state.identity.name)
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8>",
        "<meta name=viewport content='width=device-width,initial-scale=1'>",
        f"<title>{'GREEN' if checklist.passed else 'RED'}: paper campaign {name}</title>",
        f"<style>{STYLE}</style>",
        f"<h1>Paper campaign {name}</h1>",
        f"<p class='verdict {colour}'>{escape(headline(evidence, checklist))}</p>",
        f"<p class=worth>{escape(worth(evidence))}</p>",
    ]
    if checklist.red:
        parts.append("<h2>What is red, and why</h2>")
        parts += [_card(row) for row in ordered(checklist.red)]
    parts += [
        f"<h2>{escape(PLOT_TITLES[plot])}</h2>{_image(plot, content)}" for plot, content in plots.items()
    ]
    if not plots:
        parts.append("<p>No plots: the extra <code>reports</code> is not installed.</p>")
    parts += ["<h2>Checklist</h2>", _checklist_table(checklist)]
    parts += ["<h2>Days</h2>", _html_table(("day", "hours", "red rows"), day_rows(evidence))]
    drills = drill_rows(evidence)
    parts += ["<h2>Drills</h2>", _html_table(("hour", "drill", "result", "detail"), drills)
              if drills else "<p>None ran.</p>"]  # fmt: skip
    parts.append("<h2>Campaign</h2><dl>")
    parts += [f"<dt>{escape(key)}</dt><dd>{escape(text)}</dd>" for key, text in facts(evidence)]
    other = evaluate(evidence, 24 if checklist.gate_hours == 120 else 120)
    parts.append(
        f"</dl><h2>The other gate</h2><p>{escape(headline(evidence, other))}</p><h2>Raw data</h2><p>"
    )
    parts.append(", ".join(f"<code>{escape(one)}</code>" for one in files) + "</p></html>\n")
    return "\n".join(parts).encode()


def _card(row: Row) -> str:
    waits = "" if row.verdict in ("fail", "invalid") else " wait"
    why = f"<p>Why: {escape(row.reason)}</p>" if row.reason else ""
    hint = f"<p>{escape(advice(row))}</p>" if advice(row) else ""
    return (
        f"<div class='card{waits}'><b>{escape(row.id)} {escape(row.metric)}: "
        f"<span class={row.verdict}>{VERDICT_WORDS[row.verdict]}</span></b>"
        f"<p class=seen>Seen: {escape(row.value)}. Demanded: {escape(row.demanded)}.</p>{why}{hint}</div>"
    )


def _image(name: str, content: bytes) -> str:
    data = base64.b64encode(content).decode("ascii")
    return f"<img alt='{escape(PLOT_TITLES[name])}' src='data:image/png;base64,{data}'>"


def _checklist_table(checklist: Checklist) -> str:
    head = "".join(f"<th>{one}" for one in ("row", "metric", "verdict", "seen", "demanded", "n", "raw data"))
    body = "".join(
        f"<tr><td>{row.id}<td>{escape(row.metric)}<td class='word {row.verdict}'>{VERDICT_WORDS[row.verdict]}"
        f"<td>{escape(row.value)}<td>{escape(row.demanded)}<td>{row.samples}<td><code>{escape(row.file)}</code>"
        for row in checklist.rows
    )
    return f"<div class=scroll><table><tr>{head}{body}</table></div>"


def _html_table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    head = "".join(f"<th>{escape(one)}" for one in columns)
    body = "".join("<tr>" + "".join(f"<td>{escape(str(cell))}" for cell in row) for row in rows)
    return f"<div class=scroll><table><tr>{head}{body}</table></div>"
