"""Rendering of a report's tables and pictures as Markdown and as one self-contained HTML page."""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec

TITLES: Final = {
    "equity": "Equity and drawdown",
    "trades": "Fills on the price",
    "costs": "Cost attribution",
    "results": "Distribution of trade results",
    "rolling": "Rolling mean",
    "segments": "Out of sample",
    "heat": "Parameter grid",
    "points": "Points of the grid",
    "logits": "Overfitting",
}
STYLE: Final = """
body{font:15px/1.5 system-ui,sans-serif;color:#1b1b1b;max-width:62rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem;margin-bottom:.2rem}h2{font-size:1.15rem;margin-top:2rem;border-bottom:1px solid #ddd}
table{border-collapse:collapse;margin:.6rem 0;font-size:.9rem;display:block;overflow-x:auto}
td,th{padding:.22rem .7rem;text-align:left;border-bottom:1px solid #eee;vertical-align:top}
th{font-weight:600}td.n{text-align:right;font-variant-numeric:tabular-nums}
img{max-width:100%;margin:.4rem 0}code{font-size:.85rem;word-break:break-all}
.label{display:inline-block;background:#fff1d6;border:1px solid #e09f3e;border-radius:.3rem;
padding:.1rem .5rem;margin:.15rem .3rem .15rem 0;font-size:.88rem}
.yes{color:#1b7f4b}.no{color:#c1121f}.open{color:#8a6d00}.verdict{font-size:1.1rem;font-weight:600}
"""


class Section(msgspec.Struct, frozen=True):
    """A table with a heading; without column names its rows are fields."""

    heading: str
    rows: Sequence[Sequence[Any]]
    columns: Sequence[str] = ("figure", "value")


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """What a report says, before it is rendered. The pictures come behind the first section."""

    title: str
    where: str
    labels: Sequence[str]
    verdict: str
    good: bool
    sections: Sequence[Section]
    assumptions: Sequence[str]
    footer: str
    pictures: Mapping[str, bytes]


def fields(content: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Rows of a section of fields; what is nested is flattened."""
    return [(key.replace("_", " "), value) for key, value in _flat(content).items()]


def _flat(content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    rows: dict[str, Any] = {}
    for key, value in content.items():
        if isinstance(value, Mapping) and {"low_95", "mean"} <= set(value):
            rows[prefix + key] = f"{interval_text(value)} (n = {value['n']}, block {value['block']})"
        elif isinstance(value, Mapping):
            rows |= _flat(value, f"{prefix}{key} ") if value else {prefix + key: "none"}
        else:
            rows[prefix + key] = value
    return rows


def interval_text(value: Mapping[str, Any]) -> str:
    if value["mean"] is None:
        return "insufficient"
    if value["low_95"] is None:
        return f"{value['mean']} (no interval)"
    return f"{value['mean']} [{value['low_95']}, {value['high_95']}]"


def text_of(value: Any) -> str:
    """A cell."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(text_of(one) for one in value) or "none"
    if isinstance(value, Decimal):
        return f"{value:f}"
    return str(value)


def markdown(page: Page) -> str:
    """The report as Markdown; pictures lie beside it."""
    lines = [f"# {page.title}", "", page.where, "", *(f"- **{label}**" for label in page.labels), ""]
    lines += [f"**{page.verdict}**", ""]
    for section in page.sections:
        lines += [f"## {section.heading}", ""]
        lines += ["| " + " | ".join(name.replace("_", " ") for name in section.columns) + " |"]
        lines += ["|" + "---|" * len(section.columns)]
        lines += ["| " + " | ".join(_escaped(one) for one in row) + " |" for row in section.rows]
        lines.append("")
    lines += ["## Assumptions", "", *(f"- {one}" for one in page.assumptions), ""]
    lines += [f"![{TITLES[name]}]({name}.png)" for name in page.pictures]
    return "\n".join(lines) + "\n"


def _escaped(value: Any) -> str:
    return text_of(value).replace("|", "\\|").replace("\n", " ")


def html_page(page: Page) -> str:
    """The report as one page that needs nothing else: pictures and style are in it."""
    title = html.escape(page.title)
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{title}</title><style>{STYLE}</style></head><body>",
        f"<h1>{title}</h1><p>{html.escape(page.where)}</p><p>",
        *(f'<span class="label">{html.escape(label)}</span>' for label in page.labels),
        f'</p><p class="verdict {"yes" if page.good else "no"}">{html.escape(page.verdict)}</p>',
    ]
    parts += _html_section(page.sections[0])
    parts += [_picture(name, data) for name, data in page.pictures.items()]
    for section in page.sections[1:]:
        parts += _html_section(section)
    parts.append("<h2>Assumptions</h2><ul>")
    parts += [f"<li>{html.escape(one)}</li>" for one in page.assumptions]
    parts.append(f"</ul><p><code>{html.escape(page.footer)}</code></p></body></html>")
    return "\n".join(parts) + "\n"


def _picture(name: str, data: bytes) -> str:
    source = base64.b64encode(data).decode()
    title = html.escape(TITLES[name])
    return f'<h2>{title}</h2><img alt="{title}" src="data:image/png;base64,{source}">'


def _html_section(section: Section) -> list[str]:
    cells = "".join(f"<th>{html.escape(name.replace('_', ' '))}</th>" for name in section.columns)
    parts = [f"<h2>{html.escape(section.heading)}</h2><table><tr>{cells}</tr>"]
    parts += ["<tr>" + "".join(_cell(value) for value in row) + "</tr>" for row in section.rows]
    parts.append("</table>")
    return parts


def _cell(value: Any) -> str:
    number = isinstance(value, int | float | Decimal) and not isinstance(value, bool)
    text = text_of(value)
    style = "n" if number else {"yes": "yes", "no": "no", "not checked": "open"}.get(text, "")
    mark = f' class="{style}"' if style else ""
    return f"<td{mark}>{html.escape(text)}</td>"
