"""The report of a back-test: a folder of page, Markdown, JSON, tables and pictures; whole or not at all."""

from __future__ import annotations

import base64
import csv
import html
import io
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from .document import Findings, document, encode
from .errors import BacktestRefused

PART: Final = ".part"
OLD: Final = ".old"
TITLES: Final = {
    "equity": "Equity and drawdown",
    "trades": "Fills on the price",
    "costs": "Cost attribution",
    "results": "Distribution of trade results",
    "rolling": "Rolling mean",
    "segments": "Out of sample",
    "heat": "Parameter grid",
    "points": "Points of the grid",
}
STYLE: Final = """
body{font:15px/1.5 system-ui,sans-serif;color:#1b1b1b;max-width:62rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem;margin-bottom:.2rem}h2{font-size:1.15rem;margin-top:2rem;border-bottom:1px solid #ddd}
table{border-collapse:collapse;margin:.6rem 0;font-size:.9rem}td,th{padding:.22rem .7rem;text-align:left;
border-bottom:1px solid #eee;vertical-align:top}th{font-weight:600}td.n{text-align:right;
font-variant-numeric:tabular-nums}img{max-width:100%;margin:.4rem 0}code{font-size:.85rem;
word-break:break-all}.label{display:inline-block;background:#fff1d6;border:1px solid #e09f3e;
border-radius:.3rem;padding:.1rem .5rem;margin:.15rem .3rem .15rem 0;font-size:.88rem}
.yes{color:#1b7f4b}.no{color:#c1121f}.open{color:#8a6d00}.verdict{font-size:1.1rem;font-weight:600}
"""


def write(found: Findings, folder: Path, pictures: Mapping[str, bytes]) -> dict[str, Any]:
    """Write the report and return its document. An earlier report in `folder` is replaced as a whole.

    Raises `BacktestRefused` when `folder` holds something else than a report, `OSError`.
    """
    content = document(found)
    files: dict[str, bytes] = {
        "result.json": encode(content),
        "report.md": markdown(content, pictures).encode(),
        "report.html": page(content, pictures).encode(),
        "trades.csv": _table(_trade_rows(found)),
        "orders.csv": _table(_order_rows(found)),
        "equity.csv": _table(_equity_rows(found)),
    }
    files |= {f"{name}.png": data for name, data in pictures.items()}
    put(folder, files)
    return content


def put(folder: Path, files: Mapping[str, bytes]) -> None:
    """All files of a folder at once: written aside, then renamed. Raises `BacktestRefused`, `OSError`."""
    if folder.exists() and not (folder / "result.json").is_file() and any(folder.iterdir()):
        raise BacktestRefused("FOLDER_IN_USE", f"{folder} holds something else than a report")
    part, old = folder.with_name(folder.name + PART), folder.with_name(folder.name + OLD)
    for left in (part, old):
        shutil.rmtree(left, ignore_errors=True)
    try:
        part.mkdir(parents=True)
        for name, data in files.items():
            (part / name).write_bytes(data)
        if folder.exists():
            os.replace(folder, old)
        os.replace(part, folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def _table(rows: Sequence[Sequence[object]]) -> bytes:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue().encode()


def _trade_rows(found: Findings) -> list[list[object]]:
    names = (
        "entry_ns exit_ns side quantity entry_value exit_value profit fees net net_bps entry_order exit_order"
    )
    rows: list[list[object]] = [list(names.split())]
    for one in found.results.trades:
        rows.append(
            [
                one.entry_ns, one.exit_ns, "long" if one.long else "short", one.quantity, one.entry_value,
                one.exit_value, one.profit, one.fees, one.net, f"{one.net_return * 10_000:.4f}",
                one.entry_order, one.exit_order,
            ]
        )  # fmt: skip
    return rows


def _order_rows(found: Findings) -> list[list[object]]:
    names = "order at_ns symbol side price quantity tag post_only amends state filled reason"
    rows: list[list[object]] = [list(names.split())]
    for one in found.facts.orders:
        rows.append([getattr(one, name) for name in names.split()])
    return rows


def _equity_rows(found: Findings) -> list[list[object]]:
    rows: list[list[object]] = [["at_ns", "equity", "position", "middle"]]
    rows += [[one.at_ns, one.equity, one.position, one.mid] for one in found.results.equity]
    return rows


# ---- sections that both pages show -----------------------------------------------------------------------

Section = tuple[str, list[tuple[str, Any]] | list[list[Any]], list[str]]
"""Title; rows of a list of fields, or rows of a table; its column names (none: fields)."""


def sections(content: Mapping[str, Any]) -> list[Section]:
    """Every table of the report, in order."""
    result, ratios, outside = content["result"], content["ratios"], content["out_of_sample"]
    found: list[Section] = [
        (
            "Admission to paper",
            [
                [_verdict(one["passed"]), one["name"], one["found"], one["wanted"]]
                for one in content["admission"]["conditions"]
            ],
            ["", "condition", "found", "wanted"],
        ),
        ("Result, net of all costs", _fields(_flat(result)), []),
        ("Ratios", _fields(ratios), []),
    ]
    for key, title in (("walk_forward", "Walk-forward"), ("folds", "Purged, embargoed k-fold")):
        one = outside[key]
        mean = one["mean_bps"]
        head = f"{title}: {one['trades']} trades, mean {_interval(mean)} bps, embargo {one['embargo_s']} s"
        names = [
            "segment",
            "from",
            "to",
            "chosen",
            "train_trades",
            "train_mean_bps",
            "test_trades",
            "test_mean_bps",
        ]
        found.append((head, [[row[name] for name in names] for row in one["segments"]], names))
    found.append(("Orders", _fields(_flat(content["orders"])), []))
    if content["perturbed"] is not None:
        names = ["name", "trades", "net", "mean_bps", "error"]
        rows = [[row[name] for name in names] for row in content["perturbed"]]
        found.append(("Parameters moved by 20 %", rows, names))
    if content["look_ahead"] is not None:
        names = ["variant", "at_ns", "compared", "passed", "difference"]
        rows = [[row[name] for name in names] for row in content["look_ahead"]["cuts"]]
        found.append(("Look-ahead check", rows, names))
    found.append(("Trials", _fields(content["trials"]), []))
    found.append(("Setting", _fields(_flat(content["setting"])), []))
    found.append(("Parameters", _fields(content["strategy"]["parameters"]), []))
    data = {key: value for key, value in content["data"].items() if key not in ("assumptions", "files")}
    found.append(("Data", _fields(_flat(data)), []))
    return found


def _flat(content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    rows: dict[str, Any] = {}
    for key, value in content.items():
        if isinstance(value, Mapping) and {"low_95", "mean"} <= set(value):
            rows[prefix + key] = f"{_interval(value)} (n = {value['n']}, block {value['block']})"
        elif isinstance(value, Mapping):
            rows |= _flat(value, f"{prefix}{key} ") if value else {prefix + key: "none"}
        else:
            rows[prefix + key] = value
    return rows


def _interval(value: Mapping[str, Any]) -> str:
    if value["mean"] is None:
        return "insufficient"
    if value["low_95"] is None:
        return f"{value['mean']} (no interval)"
    return f"{value['mean']} [{value['low_95']}, {value['high_95']}]"


def _fields(content: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [(key.replace("_", " "), value) for key, value in content.items()]


def _verdict(passed: bool | None) -> str:
    return "not checked" if passed is None else "yes" if passed else "no"


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


def _heading(content: Mapping[str, Any]) -> tuple[str, str]:
    strategy, data = content["strategy"], content["data"]
    title = f"Back-test: {strategy['name']} on {strategy['symbol']}"
    return title, f"{data['label']}, {data['from']} to {data['to']} UTC ({data['span_s']} s)"


# ---- Markdown --------------------------------------------------------------------------------------------


def markdown(content: Mapping[str, Any], pictures: Iterable[str]) -> str:
    """The report as Markdown; pictures lie beside it."""
    title, where = _heading(content)
    lines = [f"# {title}", "", where, ""]
    lines += [f"- **{label}**" for label in content["labels"]] + [""]
    lines += [f"**{_admitted(content)}**", ""]
    for heading, rows, names in sections(content):
        lines += [f"## {heading}", ""]
        columns = names or ["figure", "value"]
        lines += ["| " + " | ".join(name.replace("_", " ") for name in columns) + " |"]
        lines += ["|" + "---|" * len(columns)]
        lines += ["| " + " | ".join(_escaped(one) for one in row) + " |" for row in rows]
        lines.append("")
    lines += ["## Assumptions", ""] + [f"- {one}" for one in content["data"]["assumptions"]] + [""]
    lines += [f"![{TITLES[name]}]({name}.png)" for name in pictures]
    return "\n".join(lines) + "\n"


def _escaped(value: Any) -> str:
    return text_of(value).replace("|", "\\|").replace("\n", " ")


def _admitted(content: Mapping[str, Any]) -> str:
    return "Admitted to paper" if content["admission"]["admitted"] else "Not admitted to paper"


# ---- HTML ------------------------------------------------------------------------------------------------


def page(content: Mapping[str, Any], pictures: Mapping[str, bytes]) -> str:
    """The report as one page that needs nothing else: pictures and style are in it."""
    title, where = _heading(content)
    verdict = "yes" if content["admission"]["admitted"] else "no"
    parts = [
        "<!doctype html>", '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{html.escape(title)}</title><style>{STYLE}</style></head><body>",
        f"<h1>{html.escape(title)}</h1><p>{html.escape(where)}</p><p>",
        *(f'<span class="label">{html.escape(label)}</span>' for label in content["labels"]),
        f'</p><p class="verdict {verdict}">{_admitted(content)}</p>',
    ]  # fmt: skip
    shown = sections(content)
    parts += _html_section(shown[0])
    parts += [_picture(name, data) for name, data in pictures.items()]
    for section in shown[1:]:
        parts += _html_section(section)
    parts.append("<h2>Assumptions</h2><ul>")
    parts += [f"<li>{html.escape(one)}</li>" for one in content["data"]["assumptions"]]
    parts.append(f"</ul><p><code>run {content['run']}, tape {content['tape']}</code></p></body></html>")
    return "\n".join(parts) + "\n"


def _picture(name: str, data: bytes) -> str:
    source = base64.b64encode(data).decode()
    title = html.escape(TITLES[name])
    return f'<h2>{title}</h2><img alt="{title}" src="data:image/png;base64,{source}">'


def _html_section(section: Section) -> list[str]:
    heading, rows, names = section
    parts = [f"<h2>{html.escape(heading)}</h2><table>"]
    if names:
        cells = "".join(f"<th>{html.escape(name.replace('_', ' '))}</th>" for name in names)
        parts.append(f"<tr>{cells}</tr>")
    for row in rows:
        parts.append("<tr>" + "".join(_cell(value) for value in row) + "</tr>")
    parts.append("</table>")
    return parts


def _cell(value: Any) -> str:
    number = isinstance(value, int | float | Decimal) and not isinstance(value, bool)
    text = text_of(value)
    style = "n" if number else {"yes": "yes", "no": "no", "not checked": "open"}.get(text, "")
    mark = f' class="{style}"' if style else ""
    return f"<td{mark}>{html.escape(text)}</td>"
