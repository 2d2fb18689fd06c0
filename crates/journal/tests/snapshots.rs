//! A snapshot is whole or it is not used.

mod common;

use common::*;
use tradewind_journal::{snapshot, JournalError};

fn write(dir: &std::path::Path, seq: u64) -> std::path::PathBuf {
    snapshot::write(dir, seq, seq / 2, &[seq as u8; 32], &[7; 32], &payload(seq, 300)).unwrap()
}

#[test]
fn the_newest_snapshot_comes_back_as_it_was_written() {
    let dir = directory();
    assert_eq!(snapshot::load_newest_valid(dir.path()).unwrap().snapshot, None);
    assert_eq!(snapshot::list(dir.path()).unwrap(), vec![]);
    (1..=2).for_each(|seq| drop(write(dir.path(), seq * 10)));
    let loaded = snapshot::load_newest_valid(dir.path()).unwrap();
    let found = loaded.snapshot.unwrap();
    assert_eq!((found.seq, found.block, found.head_hash, found.state_hash), (20, 10, [20; 32], [7; 32]));
    assert_eq!(found.payload, payload(20, 300));
    assert!(loaded.marked_bad.is_empty());
}

#[test]
fn three_snapshots_are_kept_the_newest_ones() {
    let dir = directory();
    (1..=6).for_each(|seq| drop(write(dir.path(), seq)));
    let kept: Vec<u64> = snapshot::list(dir.path()).unwrap().iter().map(|file| file.seq).collect();
    assert_eq!(kept, vec![6, 5, 4]);
}

#[test]
fn every_changed_byte_and_every_truncation_marks_the_snapshot_bad_and_the_one_before_is_used() {
    let dir = directory();
    write(dir.path(), 1);
    let path = write(dir.path(), 2);
    let whole = std::fs::read(&path).unwrap();
    let damaged = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        let loaded = snapshot::load_newest_valid(dir.path()).unwrap();
        assert_eq!(loaded.snapshot.map(|found| found.seq), Some(1));
        assert_eq!(loaded.marked_bad, vec![path.with_extension("tws.bad")]);
        assert!(!path.exists() && loaded.marked_bad[0].exists());
    };
    for position in 0..whole.len() {
        let mut changed = whole.clone();
        changed[position] ^= 4;
        damaged(&changed);
    }
    (0..whole.len()).step_by(37).for_each(|length| damaged(&whole[..length]));
    std::fs::write(&path, &whole).unwrap();
    assert_eq!(snapshot::load_newest_valid(dir.path()).unwrap().snapshot.map(|found| found.seq), Some(2));
}

#[test]
fn a_snapshot_under_a_foreign_name_is_refused() {
    let dir = directory();
    let path = write(dir.path(), 5);
    let renamed = path.with_file_name(format!("{:020}.tws", 900));
    std::fs::rename(&path, &renamed).unwrap();
    assert!(matches!(snapshot::load(&renamed), Err(JournalError::InvalidSnapshot { .. })));
    assert_eq!(snapshot::load_newest_valid(dir.path()).unwrap().snapshot, None);
}

#[test]
fn without_any_valid_snapshot_all_bad_ones_are_reported_and_at_most_three_are_kept() {
    let dir = directory();
    for round in 0..2u64 {
        (1..=3).for_each(|seq| std::fs::write(write(dir.path(), round * 10 + seq), b"garbage").unwrap());
        let loaded = snapshot::load_newest_valid(dir.path()).unwrap();
        assert_eq!((loaded.snapshot, loaded.marked_bad.len()), (None, 3));
    }
    let folder = std::fs::read_dir(dir.path().join("snapshots")).unwrap();
    assert_eq!(folder.count(), 3);
}
