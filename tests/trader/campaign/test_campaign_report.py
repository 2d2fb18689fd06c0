"""The report: the same bytes again, every file named with its hash, money as text, verdict first."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from tradewind import observe
from tradewind.readiness.probes.paper_model import Model
from tradewind.trader.campaign.checklist import evaluate
from tradewind.trader.campaign.document import headline
from tradewind.trader.campaign.drills import ALARM_RULES
from tradewind.trader.campaign.evidence import from_files
from tradewind.trader.campaign.pdf import text
from tradewind.trader.campaign.report import build, write

FILES = {
    "manifest.json", "campaign.json", "day-01.json", "day-02.json", "hourly.csv", "orders.csv", "fills.csv",
    "equity.csv", "metrics.csv", "alerts.json", "checklist.json", "report.html", "report.md", "report.pdf",
}  # fmt: skip


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    folder: Path = tmp_path_factory.mktemp("campaign")
    for name, content in Model(30.0, every_s=120.0).files().items():
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture(scope="module")
def written(source: Path, tmp_path_factory):
    return write(source, tmp_path_factory.mktemp("reports"))


def test_made_again_it_is_the_same_byte_for_byte(source: Path, written, tmp_path: Path) -> None:
    pytest.importorskip("typst")
    again = write(source, tmp_path)
    assert {one.name for one in written.folder.iterdir()} == FILES
    for name in FILES:
        assert (again.folder / name).read_bytes() == (written.folder / name).read_bytes(), name


def test_the_manifest_names_every_file_with_its_hash(source: Path, written) -> None:
    manifest = json.loads((written.folder / "manifest.json").read_bytes())
    for name, digest in manifest["files"].items():
        assert hashlib.sha256((written.folder / name).read_bytes()).hexdigest() == digest
    assert set(manifest["files"]) == {one.name for one in written.folder.iterdir()} - {"manifest.json"}
    for name, digest in manifest["raw"].items():
        assert hashlib.sha256((source / name).read_bytes()).hexdigest() == digest


def test_money_is_exact_text_in_every_table(written) -> None:
    for name, columns in (("fills.csv", ("price", "quantity", "fee")), ("equity.csv", ("equity",))):
        rows = list(csv.DictReader(io.StringIO((written.folder / name).read_text())))
        assert rows
        for row in rows:
            for column in columns:
                assert f"{Decimal(row[column]):f}" == row[column]


def test_every_row_of_the_checklist_names_a_file_that_is_there(written) -> None:
    document = json.loads((written.folder / "checklist.json").read_bytes())
    for gate in document["gates"].values():
        assert len(gate["rows"]) == 18
        assert all((written.folder / row["file"]).exists() for row in gate["rows"])


def test_the_first_thing_in_page_and_text_is_the_verdict(source: Path, written) -> None:
    evidence = from_files({one.name: one.read_bytes() for one in source.iterdir()})
    verdict = headline(evidence, evaluate(evidence, 120))
    page = (written.folder / "report.html").read_text()
    assert verdict.startswith("RED")
    assert page.index(verdict) < page.index("What is red") < page.index("<img") < page.index("Checklist")
    assert (written.folder / "report.md").read_text().splitlines()[2] == f"**{verdict}**"


def test_the_page_fetches_nothing(written) -> None:
    page = (written.folder / "report.html").read_text()
    assert "http" not in page.replace("http-equiv", "")
    assert "<script" not in page


def test_text_of_others_is_never_markup() -> None:
    model = Model(1.0, every_s=120.0)
    evil = '<script>alert(1)</script> #panic() \\ " | *x*'
    model.identity = msgspec.structs.replace(model.identity, feed=evil)
    model.drills = [msgspec.structs.replace(one, detail=evil) for one in model.drills]
    _, made, _ = build(model.files())
    assert b"<script" not in made["report.html"]
    assert text('a"b\\c') == '"a\\"b\\\\c"'


def test_old_files_of_a_report_do_not_stay(source: Path, tmp_path: Path) -> None:
    folder = tmp_path / "20261122-000000-0000"
    folder.mkdir()
    (folder / "day-99.json").write_text("{}")
    write(source, tmp_path)
    assert not (folder / "day-99.json").exists()


def test_the_drill_of_alerts_knows_every_alarm_of_the_platform() -> None:
    """An alarm that is added to the view has to be drilled, too."""
    folder = Path(observe.__file__).parent
    sources = "".join(one.read_text() for one in folder.glob("*.py"))
    codes = set(re.findall(r'code="([A-Z_]+)"', sources)) - {"VIEW_OLD"}
    prefixes = set(re.findall(r'code = f"([A-Z]+)_\{', sources)) | set(
        re.findall(r'code=f"([A-Z]+)_\{', sources)
    )
    assert codes - set(ALARM_RULES) == set()
    assert {one for one in prefixes if not any(rule.startswith(one) for rule in ALARM_RULES)} == set()
