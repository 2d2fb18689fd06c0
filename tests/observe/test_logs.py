"""The diagnostic log: JSON lines, no secrets, bounded files, lost lines counted, one writer."""

from __future__ import annotations

import gzip
import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from tradewind.observe import logs
from tradewind.observe.logs import (
    REDACTED,
    CallSiteLimit,
    DiagnosticLog,
    configure_logs,
    redact,
    write_to_stderr,
)


@pytest.fixture(autouse=True)
def restore_structlog() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def lines(data_dir: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (data_dir / "logs" / logs.FILE_NAME).read_text().splitlines()]


def test_lines_carry_ecs_names_and_labels(tmp_path: Path) -> None:
    sink = configure_logs(tmp_path)
    structlog.get_logger("tradewind.test").warning("order_denied", code="DailyLoss", lots=3, intent_id="i-1")
    sink.close()
    [line] = lines(tmp_path)
    assert line["message"] == "order_denied" and line["log.level"] == "warning"
    assert line["error.code"] == "DailyLoss" and line["transaction.id"] == "i-1"
    assert line["labels"] == {"lots": 3}
    assert line["@timestamp"].endswith("Z") and line["ecs.version"] and line["service.name"] == "tradewind"


def test_planted_secrets_never_reach_the_file(tmp_path: Path) -> None:
    sink = configure_logs(tmp_path)
    secret = "S3cretValue0123456789"
    log = structlog.get_logger("tradewind.test")
    log.info("named", api_key=secret, nested={"password": secret, "fine": 1}, token=[secret])
    log.info(f"in text: token={secret}", header=f"Authorization: Bearer {secret}")
    log.info("url", url=f"https://user:{secret}@venue.example/path")
    log.info("pem", text=f"-----BEGIN PRIVATE KEY-----\n{secret}\n-----END PRIVATE KEY-----")
    log.info("bytes", value=secret.encode())
    try:
        raise RuntimeError(f"password={secret}")
    except RuntimeError:
        log.exception("failed")
    sink.close()
    text = (tmp_path / "logs" / logs.FILE_NAME).read_text()
    assert len(lines(tmp_path)) == 6
    assert secret not in text
    assert REDACTED in text


@given(st.text(alphabet="abcdefghijklmnopqrstuvwxyz0123456789", min_size=12, max_size=40))
def test_values_under_secret_names_are_always_replaced(value: str) -> None:
    for name in ("secret", "api_key", "apiKey", "private_key", "Signature", "auth_token", "Cookie"):
        assert redact({name: value}) == {name: REDACTED}
    assert value not in redact(f"password = {value}")


def test_numbers_and_plain_text_stay_as_they_are() -> None:
    event = {"lots": 5, "price": "60000.12", "ok": True, "none": None, "text": "order 17 rested"}
    assert redact(event) == event


def test_files_rotate_below_their_bound_and_the_oldest_leave_the_quota(tmp_path: Path) -> None:
    sink = DiagnosticLog(tmp_path, max_file_bytes=20_000, max_total_bytes=40_000)
    import random

    noise = random.Random(1)
    for number in range(3_000):
        sink.put(json.dumps({"number": number, "noise": noise.randbytes(40).hex()}).encode())
        if number % 100 == 0:
            while sink._queue.qsize():
                pass
    sink.close()
    older = sorted(tmp_path.glob("tradewind-*.jsonl.gz"))
    assert older
    assert (tmp_path / logs.FILE_NAME).stat().st_size <= 20_000 + 512 * 200
    assert sum(one.stat().st_size for one in older) <= 40_000
    last = json.loads((tmp_path / logs.FILE_NAME).read_text().splitlines()[-1])
    assert last["number"] == 2_999
    with gzip.open(older[-1], "rt") as compressed:
        first_of_older = json.loads(compressed.readline())
    assert first_of_older["number"] < 2_999


def test_files_are_readable_by_their_owner_only(tmp_path: Path) -> None:
    sink = configure_logs(tmp_path)
    structlog.get_logger("tradewind.test").info("one")
    sink.close()
    assert (tmp_path / "logs" / logs.FILE_NAME).stat().st_mode & 0o077 == 0


def test_a_full_queue_drops_the_oldest_and_says_how_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "MAX_QUEUED_LINES", 4)
    sink = DiagnosticLog(tmp_path)
    import threading

    gate = threading.Event()
    real = sink._files.write
    monkeypatch.setattr(sink._files, "write", lambda block: (gate.wait(5), real(block)))
    for number in range(50):
        sink.put(json.dumps({"number": number}).encode())
    gate.set()
    sink.close()
    written = [json.loads(line) for line in (tmp_path / logs.FILE_NAME).read_text().splitlines()]
    numbers = [line["number"] for line in written if "number" in line]
    lost = sum(line["labels"]["lines"] for line in written if line.get("message") == "log_lines_dropped")
    assert numbers[-1] == 49
    assert sink.dropped == lost == 50 - len(numbers) > 0


def test_one_call_site_may_write_ten_lines_a_second_and_the_rest_is_summed_up() -> None:
    limit = CallSiteLimit()
    admitted = [limit.admit("flood", 100) for _ in range(25)]
    assert admitted == [0] * 10 + [None] * 15
    assert limit.admit("other", 100) == 0
    assert limit.admit("flood", 101) == 15
    assert limit.suppressed == 15


def test_configuring_twice_leaves_one_writer(tmp_path: Path) -> None:
    first = configure_logs(tmp_path / "a")
    second = configure_logs(tmp_path / "b")
    structlog.get_logger("tradewind.test").info("once")
    second.close()
    assert not first._thread.is_alive()
    assert lines(tmp_path / "a") == []
    assert len(lines(tmp_path / "b")) == 1


def test_a_disk_that_refuses_is_counted_and_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = DiagnosticLog(tmp_path)

    def refuse(_: bytes) -> None:
        raise OSError(28, "no space left on device")

    monkeypatch.setattr(sink._files, "write", refuse)
    sink.put(b"{}")
    sink.close()
    assert sink.failed_writes == 1


def test_a_full_disk_loses_lines_counts_them_and_ends_quietly(tmp_path: Path) -> None:
    sink = DiagnosticLog(tmp_path)
    sink._files._file.close()
    sink._files._file = os.fdopen(os.open("/dev/full", os.O_WRONLY), "ab")
    sink.put(b'{"message":"one"}')
    sink.close()
    assert (sink.failed_writes, sink.bytes_written) == (1, 0)
    assert not sink._thread.is_alive()


def test_warnings_of_libraries_are_lines_of_the_log_and_not_on_the_screen(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    sink = configure_logs(tmp_path)
    try:
        raise ConnectionError("the reader went away")
    except ConnectionError:
        logging.getLogger("uvicorn.error").exception("request %d failed", 7)
    logging.getLogger("asyncio").info("not a warning")
    sink.close()
    [line] = [json.loads(one) for one in (tmp_path / "logs" / logs.FILE_NAME).read_text().splitlines()]
    assert (line["message"], line["labels"]["text"]) == ("library_message", "request 7 failed")
    assert "the reader went away" in line["labels"]["exception"]
    assert "request 7" not in capfd.readouterr().err


def test_lines_of_a_command_that_prints_json_go_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    write_to_stderr()
    structlog.get_logger("tradewind.test").warning("outage", without_s=1)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "outage" in captured.err
