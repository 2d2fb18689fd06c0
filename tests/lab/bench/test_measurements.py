"""What is measured is what is claimed: the standard stream, counted instructions, bounds."""

from __future__ import annotations

import dataclasses
import shutil
from collections import Counter
from pathlib import Path

import pytest

from tradewind.core import measure
from tradewind.core.engine import Engine
from tradewind.core.errors import TradewindError
from tradewind.core.events import decode_results
from tradewind.core.measure import StandardStream
from tradewind.lab.bench import ingestion
from tradewind.lab.bench.context import Context, MeasureFailed, Skipped, per_second, percentile
from tradewind.lab.bench.flow import ADD, CANCEL, TAKE, write_flow
from tradewind.lab.bench.instructions import count, find_valgrind
from tradewind.lab.bench.python import prepared_engine

needs_valgrind = pytest.mark.skipif(shutil.which("valgrind") is None, reason="valgrind is not installed")


def test_an_engine_that_applies_the_stream_has_the_hash_that_the_stream_expects() -> None:
    stream = StandardStream(100)
    engine = prepared_engine(stream, audit=True)
    for _ in range(3):
        engine.core.apply(*stream.next("mixed", 512))
    assert engine.core.state_hash() == stream.state_hash()
    assert engine.core.sizes()[0] == stream.live


def test_the_stream_is_the_same_every_time() -> None:
    def first_commands() -> list[bytes]:
        stream = StandardStream(100)
        return [*stream.setup, *(part for part, _ in stream.fill()), stream.next("mixed", 256)[0]]

    assert first_commands() == first_commands()


def test_every_command_of_the_set_up_is_accepted() -> None:
    stream = StandardStream(10)
    engine = Engine(stream.genesis)
    for part in stream.setup:
        results = engine.core.apply(part, stream.setup_ns).input_results()
        assert measure.accepted(results) == len(decode_results(results)) == len(part) // measure.COMMAND_SIZE


def test_acceptances_are_counted_and_refusals_are_not() -> None:
    stream = StandardStream(10)
    engine = prepared_engine(stream, audit=False)
    # The engine of a second stream never saw the set-up of the first: all of its orders are refused.
    part, now_ns = stream.next("place", 5)
    assert measure.accepted(Engine(stream.genesis).core.apply(part, now_ns).input_results()) == 0
    assert measure.accepted(engine.core.apply(part, now_ns).input_results()) == 5


def test_the_mixed_flow_is_53_places_38_cancels_and_9_takes_in_100(tmp_path: Path) -> None:
    from tradewind.lab.bench.adapters.drive import load

    path = tmp_path / "flow.bin"
    ours = write_flow(path, 4_000, 5_000)
    resting, flow = load(str(path))
    assert (len(resting), len(flow), ours.commands) == (5_000, 4_000, 4_000)
    shares = Counter(kind for kind, *_ in flow)
    expected = {ADD: 0.53, CANCEL: 0.38, TAKE: 0.09}
    assert all(abs(shares[kind] / 4_000 - share) < 0.03 for kind, share in expected.items())


@pytest.mark.parametrize("flow", measure.FLOWS)
def test_every_flow_does_what_its_name_says(flow: str) -> None:
    figures = measure.engine_flow(flow, 200, 100)
    assert figures.commands == 200
    assert figures.refused < 10
    assert (figures.trades > 0) == (flow in ("mixed", "trade"))
    assert {"place": 300, "cancel": 100, "replace": 100}.get(flow, figures.live_orders) == figures.live_orders


def test_a_flow_of_nothing_takes_no_time_and_has_no_rate() -> None:
    figures = measure.engine_flow("place", 0, 1)
    assert (figures.commands, figures.elapsed_ns) == (0, 0)
    assert per_second(figures.commands, figures.elapsed_ns) is None


@pytest.mark.parametrize(
    ("flow", "commands", "live", "batch"),
    [
        ("sideways", 1, 1, 1),
        ("mixed", -1, 1, 1),
        ("mixed", 1, 0, 1),
        ("mixed", 1, 2_000_000, 1),
        ("mixed", 100_000_000, 1, 1),
        ("mixed", 1, 1, 0),
        ("mixed", 1, 1, 4_097),
    ],
)
def test_a_measurement_out_of_bounds_is_refused(flow: str, commands: int, live: int, batch: int) -> None:
    with pytest.raises((ValueError, OverflowError)):
        measure.engine_flow(flow, commands, live, batch)


def test_percentiles_are_of_the_samples_and_none_means_failure() -> None:
    assert [percentile([30, 10, 20], fraction) for fraction in (0.0, 0.5, 1.0)] == [10, 20, 30]
    with pytest.raises(MeasureFailed):
        percentile([], 0.5)


def test_latencies_ascend_and_hold_the_clock() -> None:
    found = measure.engine_latency("mixed", 300, 100)
    assert found.timer_ns > 0
    assert found.p50_ns <= found.p99_ns <= found.p999_ns <= found.max_ns


def test_the_journal_is_measured_on_blocks_that_are_really_there(tmp_path: Path) -> None:
    found = measure.journal_blocks(tmp_path / "log", 16, 5)
    assert found.records == 80
    assert found.bytes >= 80 * 128
    assert 0 < found.p50_ns <= found.max_ns <= found.elapsed_ns
    with pytest.raises(TradewindError):
        measure.journal_blocks(tmp_path / "log", 16, 5)


def test_idle_markets_are_all_created() -> None:
    found = measure.idle_markets(5_000)
    assert found.markets == 5_000


@needs_valgrind
def test_instructions_grow_with_the_commands_and_are_none_without(context: Context) -> None:
    def counted(name: str, commands: int) -> tuple[int, float | None]:
        effort = dataclasses.replace(context.effort, counted_commands=commands, single_counted_commands=0)
        scratch = context.folder(name)
        found = count(find_valgrind(), "place", dataclasses.replace(context, effort=effort, scratch=scratch))
        return found.total, found.average

    assert counted("none", 0) == (0, None)
    (few, average), (many, _) = counted("few", 500), counted("many", 1_000)
    assert average is not None and average > 100
    assert 1.5 < many / few < 2.5


@needs_valgrind
def test_the_worst_single_command_costs_at_least_something(context: Context) -> None:
    effort = dataclasses.replace(context.effort, counted_commands=20, single_counted_commands=5)
    found = count(find_valgrind(), "cancel", dataclasses.replace(context, effort=effort))
    assert found.worst is not None and found.worst > 100


def test_without_valgrind_counting_is_skipped_with_the_way_to_get_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Skipped, match="valgrind is not installed"):
        find_valgrind()


def test_a_skipped_quote_is_no_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    world = ingestion.World(1_500)
    assert world.publish(1) > 0
    monkeypatch.setattr(ingestion, "SPREAD", -2_000)
    with pytest.raises(MeasureFailed, match="1500 of 1500 quotes were skipped"):
        world.publish(2)
