//! What is appended comes back, in order, with the chain intact.

mod common;

use common::*;
use proptest::prelude::*;
use tradewind_journal::{genesis_hash, verify, BlockMeta, Journal, JournalError, JournalOptions, Reader};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn any_sequence_of_batches_comes_back_byte_for_byte(
        batches in prop::collection::vec(
            (1u32..50, prop::collection::vec(prop::collection::vec(any::<u8>(), 0..700), 0..4), any::<bool>()), 1..25),
        first_seq in 0u64..1000,
        preallocate: bool,
    ) {
        let dir = directory();
        let options = JournalOptions { preallocate, ..small_options() };
        let mut journal = Journal::create(dir.path(), GENESIS, options.clone()).unwrap();
        let mut next_seq = first_seq;
        let mut expected = Vec::new();
        for (count, parts, reopen) in &batches {
            let meta = BlockMeta { first_seq: next_seq, count: *count, time_ns: -7, rule_version: 3, format: 9 };
            let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
            let placed = journal.append(meta, &parts).unwrap();
            journal.sync().unwrap();
            expected.push((placed.hash, next_seq, *count, parts.concat()));
            next_seq += u64::from(*count);
            if *reopen {
                drop(journal);
                let (opened, report) = Journal::open(dir.path(), options.clone()).unwrap();
                prop_assert_eq!(report.torn_tail, None);
                prop_assert_eq!(report.last_seq, Some(next_seq - 1));
                journal = opened;
            }
        }
        let head = journal.head();
        prop_assert_eq!((head.block, head.durable_block), (batches.len() as u64, batches.len() as u64));
        let mut reader = Reader::open(dir.path(), 0).unwrap();
        let mut previous = genesis_hash(GENESIS);
        for (hash, seq, count, payload) in &expected {
            let block = reader.next().unwrap().expect("a block that was appended");
            prop_assert_eq!((block.first_seq, block.count, block.hash), (*seq, *count, *hash));
            prop_assert_eq!((block.rule_version, block.format, block.time_ns), (3, 9, -7));
            prop_assert_eq!(block.payload, &payload[..]);
            prop_assert_eq!(block.prev_hash, previous);
            let recomputed = *blake3::hash(&[block.header_bytes, block.payload].concat()).as_bytes();
            prop_assert_eq!(recomputed, *hash);
            previous = *hash;
        }
        prop_assert!(reader.next().unwrap().is_none());
        let report = verify(dir.path(), &mut |_, _| {}).unwrap();
        prop_assert_eq!((report.blocks, report.head_hash), (batches.len() as u64, previous));
        prop_assert_eq!((report.blocks, report.root), journal.root());
        for (number, (_, seq, count, _)) in expected.iter().enumerate() {
            let last_seq = seq + u64::from(*count) - 1;
            prop_assert_eq!(Reader::open_at_seq(dir.path(), last_seq).unwrap().next_block(), number as u64);
            let mut at_block = Reader::open(dir.path(), number as u64).unwrap();
            prop_assert_eq!(at_block.next().unwrap().unwrap().first_seq, *seq);
        }
    }
}

#[test]
fn a_full_segment_is_sealed_and_the_log_goes_on_in_the_next() {
    let dir = directory();
    let mut journal = Journal::create(dir.path(), GENESIS, small_options()).unwrap();
    append_many(&mut journal, 60, 200);
    let paths = segment_paths(dir.path());
    assert!(
        paths.len() >= 4,
        "60 blocks of 384 bytes need several segments of 4096 bytes, found {}",
        paths.len()
    );
    let sealed = &paths[..paths.len() - 1];
    assert!(sealed.iter().all(|path| std::fs::metadata(path).unwrap().len() <= 4096));
    assert_eq!(paths[1].file_name().unwrap().to_str().unwrap(), "00000-00000000000000000009.twj");
    assert_blocks(dir.path(), 60, 200);
    assert_eq!(Reader::genesis(dir.path()).unwrap(), GENESIS);
}

#[test]
fn a_block_larger_than_a_segment_gets_room() {
    let dir = directory();
    let mut journal = Journal::create(dir.path(), GENESIS, small_options()).unwrap();
    append_synced(&mut journal, 10_000).unwrap();
    append_synced(&mut journal, 10_000).unwrap();
    assert_blocks(dir.path(), 2, 10_000);
    assert_eq!(verify(dir.path(), &mut |_, _| {}).unwrap().blocks, 2);
}

#[test]
fn a_refused_block_changes_nothing() {
    let dir = directory();
    let mut journal = Journal::create(dir.path(), GENESIS, small_options()).unwrap();
    append_synced(&mut journal, 40).unwrap();
    let before = journal.head();
    let refused = |journal: &mut Journal, first_seq, count, bytes: usize| {
        let payload = vec![0u8; bytes];
        journal.append(BlockMeta::new(first_seq, count, 0), &[&payload]).unwrap_err()
    };
    assert!(matches!(refused(&mut journal, 2, 0, 1), JournalError::InvalidMeta { field: "count", .. }));
    assert!(matches!(refused(&mut journal, 1, 1, 1), JournalError::InvalidMeta { field: "first_seq", .. }));
    assert!(matches!(refused(&mut journal, 3, 1, 1), JournalError::InvalidMeta { field: "first_seq", .. }));
    let too_large = refused(&mut journal, 2, 1, (1 << 20) + 1);
    assert!(matches!(too_large, JournalError::PayloadTooLarge { bytes: 1_048_577, max_bytes: 1_048_576 }));
    assert_eq!(journal.head(), before);
    append_synced(&mut journal, 40).unwrap();
    assert_blocks(dir.path(), 2, 40);
}

#[test]
fn a_writer_with_an_older_epoch_is_refused_after_reopening_too() {
    let dir = directory();
    let mut journal = Journal::create(dir.path(), GENESIS, small_options()).unwrap();
    journal.set_epoch(5).unwrap();
    append_synced(&mut journal, 40).unwrap();
    drop(journal);
    let (mut journal, _) = Journal::open(dir.path(), small_options()).unwrap();
    assert_eq!(journal.epoch(), 5);
    assert!(matches!(journal.set_epoch(4), Err(JournalError::InvalidMeta { field: "epoch", value: 4, .. })));
}

#[test]
fn positions_outside_the_log_are_named_and_the_next_one_is_accepted() {
    let dir = directory();
    two_segments(dir.path(), small_options(), 3, 2);
    assert!(matches!(Reader::open(dir.path(), 6), Err(JournalError::BlockNotFound { block: 6, blocks: 5 })));
    assert!(Reader::open(dir.path(), 5).unwrap().next().unwrap().is_none());
    let beyond = Reader::open_at_seq(dir.path(), 7);
    assert!(matches!(beyond, Err(JournalError::SequenceNotFound { seq: 7, last_seq: Some(5) })));
    assert!(Reader::open_at_seq(dir.path(), 6).unwrap().next().unwrap().is_none());
    assert!(matches!(Reader::open_at_seq(dir.path(), 0), Err(JournalError::SequenceNotFound { seq: 0, .. })));
}

#[test]
fn options_shards_and_directories_are_checked() {
    let dir = directory();
    let empty = Journal::open(dir.path(), small_options());
    assert!(matches!(empty, Err(JournalError::NotAJournal { .. })));
    let tiny = Journal::create(dir.path(), GENESIS, JournalOptions { segment_bytes: 100, ..small_options() });
    assert!(matches!(tiny, Err(JournalError::InvalidOption { field: "segment_bytes", value: 100, .. })));
    drop(Journal::create(dir.path(), GENESIS, JournalOptions { shard: 7, ..small_options() }).unwrap());
    let again = Journal::create(dir.path(), GENESIS, small_options());
    assert!(matches!(again, Err(JournalError::AlreadyExists { .. })));
    let other_shard = Journal::open(dir.path(), small_options());
    assert!(matches!(other_shard, Err(JournalError::WrongShard { expected: 0, found: 7, .. })));
}

#[test]
fn progress_ends_full_and_never_runs_backwards() {
    let dir = directory();
    let options = JournalOptions { segment_bytes: 1 << 22, ..small_options() };
    let mut journal = Journal::create(dir.path(), GENESIS, options).unwrap();
    append_many(&mut journal, 6, 900_000);
    let mut calls = Vec::new();
    verify(dir.path(), &mut |done, total| calls.push((done, total))).unwrap();
    assert!(calls.len() >= 4, "a call per MiB, got {}", calls.len());
    assert!(calls.windows(2).all(|pair| pair[0].0 <= pair[1].0));
    assert_eq!(calls.last().map(|(done, total)| done == total), Some(true));
}

#[test]
fn a_rotation_makes_every_block_before_it_durable() {
    let dir = directory();
    let mut journal = Journal::create(dir.path(), GENESIS, small_options()).unwrap();
    append_one(&mut journal, 40).unwrap();
    assert_eq!((journal.head().block, journal.head().durable_block), (1, 0));
    journal.rotate().unwrap();
    let head = journal.head();
    assert_eq!((head.durable_block, head.durable_seq, head.durable_hash), (1, 1, head.hash));
    let before = head.clone();
    journal.rotate().unwrap();
    assert_eq!(journal.head(), before, "a segment without blocks is kept");
}
