"""The report of a back-test: a folder of page, Markdown, JSON, tables and pictures; whole or not at all."""

from __future__ import annotations

import csv
import io
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from .document import Findings, document, encode
from .errors import BacktestRefused
from .pages import Page, Section, fields, html_page, interval_text, markdown

PART: Final = ".part"
OLD: Final = ".old"


def write(found: Findings, folder: Path, pictures: Mapping[str, bytes]) -> dict[str, Any]:
    """Write the report and return its document. An earlier report in `folder` is replaced as a whole.

    Raises `BacktestRefused` when `folder` holds something else than a report, `OSError`.
    """
    content = document(found)
    shown = page_of(content, pictures)
    files: dict[str, bytes] = {
        "result.json": encode(content),
        "report.md": markdown(shown).encode(),
        "report.html": html_page(shown).encode(),
        "trades.csv": table(_trade_rows(found)),
        "orders.csv": table(_order_rows(found)),
        "equity.csv": table(_equity_rows(found)),
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


def table(rows: Sequence[Sequence[object]]) -> bytes:
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
    rows += [
        [one.at_ns, one.equity, one.position, "" if one.mid is None else one.mid]
        for one in found.results.equity
    ]
    return rows


def page_of(content: Mapping[str, Any], pictures: Mapping[str, bytes]) -> Page:
    """What the report says."""
    strategy, data = content["strategy"], content["data"]
    admitted = content["admission"]["admitted"]
    return Page(
        title=f"Back-test: {strategy['name']} on {strategy['symbol']}",
        where=f"{data['label']}, {data['from']} to {data['to']} UTC ({data['span_s']} s)",
        labels=content["labels"],
        verdict="Admitted to paper" if admitted else "Not admitted to paper",
        good=admitted,
        sections=_sections(content),
        assumptions=data["assumptions"],
        footer=f"run {content['run']}, tape {content['tape']}",
        pictures=pictures,
    )


def _sections(content: Mapping[str, Any]) -> list[Section]:
    conditions = [
        (_verdict(one["passed"]), one["name"], one["found"], one["wanted"])
        for one in content["admission"]["conditions"]
    ]
    found = [
        Section("Admission to paper", conditions, ("", "condition", "found", "wanted")),
        Section("Result, net of all costs", fields(content["result"])),
        Section("Ratios", fields(content["ratios"])),
        *outside_sections(content["out_of_sample"]),
        Section("Orders", fields(content["orders"])),
    ]
    if content["perturbed"] is not None:
        names = ("name", "trades", "net", "mean_bps", "error")
        found.append(rows_section("Parameters moved by 20 %", content["perturbed"], names))
    if content["look_ahead"] is not None:
        names = ("variant", "at_ns", "compared", "passed", "difference")
        found.append(rows_section("Look-ahead check", content["look_ahead"]["cuts"], names))
    data = {key: value for key, value in content["data"].items() if key not in ("assumptions", "files")}
    found += [
        Section("Trials", fields(content["trials"])),
        Section("Setting", fields(content["setting"])),
        Section("Parameters", fields(content["strategy"]["parameters"])),
        Section("Data", fields(data)),
    ]
    return found


def outside_sections(outside: Mapping[str, Any]) -> list[Section]:
    """Walk-forward and folds."""
    found = []
    names = (
        "segment", "from", "to", "chosen", "train_trades", "train_mean_bps", "test_trades", "test_mean_bps",
    )  # fmt: skip
    for key, title in (("walk_forward", "Walk-forward"), ("folds", "Purged, embargoed k-fold")):
        one = outside[key]
        mean = interval_text(one["mean_bps"])
        heading = f"{title}: {one['trades']} trades, mean {mean} bps, embargo {one['embargo_s']} s"
        found.append(rows_section(heading, one["segments"], names))
    return found


def rows_section(heading: str, rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> Section:
    """A section of records."""
    return Section(heading, [[row[name] for name in names] for row in rows], names)


def _verdict(passed: bool | None) -> str:
    return "not checked" if passed is None else "yes" if passed else "no"
