"""The journal through Python: following, verifying, proving, replaying."""

from __future__ import annotations

import itertools
import threading
from pathlib import Path

import pytest
from exchange_world import START_NS, World, genesis

from tradewind import _core
from tradewind.core import errors, journal
from tradewind.core.enums import Side
from tradewind.core.records import codec


@pytest.fixture
def written(tmp_path: Path) -> tuple[Path, World]:
    """A closed journal with a set-up block and 30 orders in blocks of their own."""
    world, path = World(), tmp_path / "journal"
    node = _core.Node.create(path, genesis().encode(), segment_bytes=1 << 14)
    node.commit(b"".join(world.setup()), [], START_NS + 1)
    for number in range(30):
        node.commit(world.order(0, Side.BUY, 5_000_000 + number, 1), [], START_NS + 2 + number)
    node.close()
    return path, world


def test_a_log_of_several_segments_verifies_and_replays_to_the_writers_hashes(tmp_path: Path) -> None:
    world, path = World(), tmp_path / "journal"
    node = _core.Node.create(path, genesis().encode(), segment_bytes=1 << 14)
    node.commit(b"".join(world.setup()), [], START_NS + 1)
    for number in range(60):
        node.commit(
            world.order(number % 2, Side(number % 2), 6_000_000, 1 + number % 7), [], START_NS + 2 + number
        )
    hashes, root = (node.state_hash(), node.cursor_hash()), node.root()
    node.close()
    report = journal.verify(path)
    assert report.segments > 2 and report.torn_tail is None and (report.blocks, report.root) == root
    replayed = journal.replay(path)
    assert (replayed.state_hash, replayed.cursor_hash) == hashes
    assert replayed.replayed_blocks == report.blocks and replayed.next_seq == (report.last_seq or 0) + 1


def test_closed_node_refuses_everything(written: tuple[Path, World]) -> None:
    path, world = written
    node, _ = _core.Node.open(path, segment_bytes=1 << 14)
    node.close()
    with pytest.raises(errors.EngineStopped, match="closed"):
        node.commit(world.order(0, Side.BUY, 5_000_000, 1), [], START_NS + 99)
    assert node.stop_reason == "closed"


def test_halted_node_tells_the_first_reason(tmp_path: Path) -> None:
    node = _core.Node.create(tmp_path / "journal", genesis().encode())
    node.halt("operator")
    node.halt("second")
    with pytest.raises(errors.EngineStopped, match="operator"):
        node.commit(World().setup()[0], [], START_NS + 1)


def test_sizes_are_refused_before_anything_is_applied(tmp_path: Path) -> None:
    node = _core.Node.create(tmp_path / "journal", genesis().encode())
    command = World().setup()[0]
    with pytest.raises(ValueError, match="4097 commands"):
        node.commit(command * 4_097, [], START_NS + 1)
    with pytest.raises(ValueError, match="bytes of notes"):
        node.commit(command, [(1, 1, bytes(_core.MAX_BATCH_NOTE_BYTES))], START_NS + 1)
    with pytest.raises(ValueError, match="nothing to commit"):
        node.commit(b"", [], START_NS + 1)
    with pytest.raises(errors.MalformedFrame):
        node.commit(command[:100], [], START_NS + 1)
    assert node.next_seq == 1 and node.head()["blocks"] == 0 and node.stop_reason is None


def test_reader_follows_a_writer_from_any_sequence(written: tuple[Path, World]) -> None:
    path, world = written
    node, _ = _core.Node.open(path, segment_bytes=1 << 14)
    reader = _core.JournalReader(path, node.next_seq)
    assert reader.next() is None
    batch = node.commit(world.order(1, Side.BUY, 5_000_000, 1), [(4, 2, b"note")], START_NS + 100)
    read = reader.next()
    assert read is not None and reader.next() is None
    for part in ("commands", "results", "events", "postings", "notes"):
        assert bytes(getattr(read, part)) == bytes(getattr(batch, part)), part
    assert (read.block, read.block_hash, read.first_seq) == (batch.block, batch.block_hash, batch.first_seq)
    middle = _core.JournalReader(path, batch.first_seq - 5).next()
    assert middle is not None and middle.first_seq == batch.first_seq - 5
    node.close()


def test_two_threads_committing_at_once_keep_one_order(tmp_path: Path) -> None:
    node = _core.Node.create(tmp_path / "journal", genesis().encode())
    world = World()
    node.commit(b"".join(world.setup(2)), [], START_NS + 1)
    frames = [[world.order(t, Side.BUY, 5_000_000 + n, 1) for n in range(60)] for t in (0, 1)]
    spans: list[tuple[int, int, int]] = []

    def commit_all(trader: int) -> None:
        for frame in frames[trader]:
            batch = node.commit(frame, [], START_NS + 2)
            spans.append((batch.block, batch.first_seq, batch.last_seq))

    threads = [threading.Thread(target=commit_all, args=(trader,)) for trader in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    spans.sort()
    assert [block for block, _, _ in spans] == list(range(1, 121))
    assert all(later[1] == earlier[2] + 1 for earlier, later in itertools.pairwise(spans))
    hashes = node.state_hash()
    node.close()
    assert journal.replay(tmp_path / "journal").state_hash == hashes


def test_proofs_hold_offline_and_fail_when_any_byte_is_changed(written: tuple[Path, World]) -> None:
    path, _ = written
    size, root = journal.root(path)
    seq = (journal.verify(path).last_seq or 0) - 3
    proof = journal.prove(path, seq)
    report = journal.check_proof(proof, root)
    assert report["valid"] and (report["seq"], report["tree_size"]) == (seq, size)
    command = codec("Command").unpack(report["command"])
    assert command["seq"] == seq
    assert not journal.check_proof(proof, bytes(32))["valid"]
    for position in range(0, len(proof), 37):
        damaged = bytearray(proof)
        damaged[position] ^= 4
        try:
            assert not journal.check_proof(bytes(damaged), root)["valid"]
        except errors.JournalFailure as error:
            assert error.name == "JOURNAL_INVALID_PROOF"
    with pytest.raises(errors.JournalFailure) as caught:
        journal.prove(path, 10_000)
    assert caught.value.name == "JOURNAL_SEQUENCE_NOT_FOUND"


def test_a_grown_log_is_proven_to_contain_the_older_one(written: tuple[Path, World]) -> None:
    path, world = written
    old_size, old_root = journal.root(path)
    node, _ = _core.Node.open(path, segment_bytes=1 << 14)
    node.commit(world.order(0, Side.BUY, 5_500_000, 1), [], START_NS + 500)
    node.close()
    _, new_root = journal.root(path)
    proof = _core.journal_consistency(path, old_size)
    assert _core.consistency_verify(proof, old_root, new_root)
    assert not _core.consistency_verify(proof, new_root, old_root)
    assert _core.journal_root(path, old_size) == (old_size, old_root)


def test_progress_is_told_and_what_it_raises_stops_the_work(written: tuple[Path, World]) -> None:
    path, _ = written
    told: list[tuple[int, int]] = []
    journal.replay(path, lambda done, total: told.append((done, total)))
    assert told[-1][0] == told[-1][1] == journal.verify(path).blocks

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        journal.replay(path, stop)
    with pytest.raises(KeyboardInterrupt):
        journal.verify(path, stop)


def test_directories_without_a_journal_are_named(tmp_path: Path) -> None:
    assert not journal.exists(tmp_path)
    for call in (journal.verify, journal.genesis, journal.root, _core.Node.open):
        with pytest.raises(errors.JournalFailure) as caught:
            call(tmp_path)
        assert caught.value.name == "JOURNAL_NOT_FOUND"
    node = _core.Node.create(tmp_path, genesis().encode())
    node.close()
    with pytest.raises(errors.JournalFailure) as caught:
        _core.Node.create(tmp_path, genesis().encode())
    assert caught.value.name == "JOURNAL_ALREADY_EXISTS"
    assert journal.genesis(tmp_path).encode() == genesis().encode()


def test_offline_snapshot_is_the_start_of_the_next_recovery(written: tuple[Path, World]) -> None:
    path, _ = written
    before = journal.replay(path).state_hash
    report = journal.snapshot_offline(path)
    assert [file.seq for file in journal.snapshots(path)] == [report["seq"]]
    node, opened = _core.Node.open(path, segment_bytes=1 << 14)
    assert opened["snapshot_seq"] == report["seq"] and opened["replayed_commands"] == 0
    assert node.state_hash() == before == report["state_hash"]
    node.close()


def test_snapshot_of_another_log_is_put_aside(written: tuple[Path, World], tmp_path: Path) -> None:
    path, world = written
    other = tmp_path / "other"
    node = _core.Node.create(other, genesis().encode())
    node.commit(b"".join(world.setup()), [], START_NS + 1)
    node.close()
    journal.snapshot_offline(other)
    [foreign] = journal.snapshots(other)
    folder = path / "snapshots"
    folder.mkdir(exist_ok=True)
    (folder / foreign.path.name).write_bytes(foreign.path.read_bytes())
    node, opened = _core.Node.open(path, segment_bytes=1 << 14)
    assert opened["snapshot_seq"] is None and len(opened["rejected_snapshots"]) == 1
    node.close()
