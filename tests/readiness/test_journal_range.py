"""Evidence that names a part of the journal counts only while that part is there, whole, and of that time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import pytest
from readiness_world import World

from tradewind.core import journal
from tradewind.core.measure import StandardStream, write_journal
from tradewind.readiness.errors import EvidenceDefectError, Reason
from tradewind.readiness.journal_range import JournalCheck
from tradewind.readiness.record import JournalRange


@dataclass(frozen=True)
class Written:
    data: Path
    range: JournalRange
    first_ns: int
    last_ns: int

    def holds(self, **changes: object) -> bool:
        named = msgspec.structs.replace(self.range, **changes)
        return JournalCheck(self.data)(named, self.first_ns, self.last_ns)


@pytest.fixture
def written(tmp_path: Path) -> Written:
    write_journal(tmp_path / "journal", StandardStream(50), 2)
    blocks = [batch for batch in journal.batches(tmp_path / "journal") if batch.count]
    first, last = blocks[0], blocks[-1]
    named = JournalRange(
        shard=0,
        first_seq=first.first_seq,
        last_seq=last.last_seq,
        first_hash=first.block_hash.hex(),
        last_hash=last.block_hash.hex(),
    )
    return Written(tmp_path, named, first.time_ns, last.time_ns)


def test_a_range_of_the_journal_that_encloses_the_measurement_holds(written: Written) -> None:
    assert written.holds()


@pytest.mark.parametrize(
    "change",
    [
        {"shard": 1},
        {"first_seq": 0},
        {"last_seq": 10**9},
        {"first_seq": 10**9, "last_seq": 10**9 + 1},
        {"first_hash": "00" * 32},
        {"last_hash": "00" * 32},
    ],
    ids=str,
)
def test_a_range_that_names_something_else_does_not_hold(written: Written, change: dict[str, object]) -> None:
    assert not written.holds(**change)


def test_a_measurement_outside_of_the_block_times_does_not_hold(written: Written) -> None:
    check = JournalCheck(written.data)
    assert not check(written.range, written.first_ns - 1, written.last_ns)
    assert not check(written.range, written.first_ns, written.last_ns + 1)


def test_a_flipped_bit_between_both_ends_does_not_hold(written: Written) -> None:
    [segment] = (written.data / "journal").glob("*.twj")
    content = bytearray(segment.read_bytes())
    used = journal.verify(written.data / "journal").bytes
    content[used // 2] ^= 1
    segment.write_bytes(content)
    assert not written.holds()


def test_without_a_journal_nothing_holds(written: Written, tmp_path: Path) -> None:
    assert not replace(written, data=tmp_path / "elsewhere").holds()


def test_the_verifier_refuses_a_record_whose_range_is_not_in_the_journal(
    world: World, written: Written
) -> None:
    criterion = next(item for item in world.catalogue.criteria if item.evidence_from == "sim")
    world.add_probe(criterion)
    record = world.measure(criterion.id)
    record = msgspec.structs.replace(record, journal=written.range)
    world.resign(record)
    verifier = world.verifier(journal_check=JournalCheck(written.data))
    with pytest.raises(EvidenceDefectError) as caught:
        verifier.check(criterion, record)
    assert caught.value.reason is Reason.NOT_RECOMPUTABLE
