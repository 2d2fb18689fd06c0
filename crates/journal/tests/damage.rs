//! Damage is found and named; only what was never whole is cut.

mod common;

use std::path::Path;

use common::*;
use proptest::prelude::*;
use tradewind_journal::{prove, root, snapshot, verify, Cause, Journal, JournalError, TornTail};

const SEALED: u64 = 2;
const OPEN: u64 = 3;
const PAYLOAD: usize = 40;
const HEADER: usize = 128;

fn check(dir: &Path) -> Result<(u64, Option<TornTail>), JournalError> {
    verify(dir, &mut |_, _| {}).map(|report| (report.blocks, report.torn_tail))
}

fn corrupt_block(result: &Result<(u64, Option<TornTail>), JournalError>) -> (u64, &str, &Cause) {
    match result {
        Err(JournalError::Corrupt { block, segment, cause, .. }) => (*block, segment, cause),
        other => panic!("damage was expected, got {other:?}"),
    }
}

/// Which block of a segment a byte belongs to, None in the header or behind the blocks.
fn block_at(byte: usize, blocks: u64) -> Option<u64> {
    let position = byte.checked_sub(HEADER)? / block_bytes(PAYLOAD);
    ((position as u64) < blocks).then_some(position as u64)
}

fn every_flip_is_named(options: tradewind_journal::JournalOptions) {
    let dir = directory();
    two_segments(dir.path(), options, SEALED, OPEN);
    let paths = segment_paths(dir.path());
    for (position, path) in paths.iter().enumerate() {
        let sealed = position == 0;
        let (first_block, blocks) = if sealed { (0, SEALED) } else { (SEALED, OPEN) };
        let name = path.file_name().unwrap().to_str().unwrap();
        let bits = std::fs::metadata(path).unwrap().len() as usize * 8;
        let data_end = HEADER + blocks as usize * block_bytes(PAYLOAD);
        // Every bit of everything written; of the zeros behind the open tail every 61st.
        for bit in (0..bits).filter(|bit| sealed || bit / 8 < data_end || bit % 61 == 0) {
            flip(path, bit);
            let result = check(dir.path());
            let block = block_at(bit / 8, blocks);
            if !sealed && block.is_none() && bit / 8 >= HEADER {
                let (found, torn) = result.expect("bytes behind the tail are a torn tail");
                assert_eq!((found, torn.is_some()), (SEALED + OPEN, true), "bit {bit} behind the tail");
            } else if !sealed && block == Some(OPEN - 1) {
                let (found, torn) = result.expect("the last block is a torn tail");
                assert_eq!(found, SEALED + OPEN - 1, "bit {bit} in the last block");
                assert_eq!(torn.map(|torn| torn.block), Some(SEALED + OPEN - 1));
            } else {
                let (named, segment, _) = corrupt_block(&result);
                let expected = match block {
                    Some(block) => first_block + block,
                    None if bit / 8 < HEADER => first_block,
                    None => first_block + blocks,
                };
                assert_eq!((named, segment), (expected, name), "bit {bit}");
            }
            flip(path, bit);
        }
    }
    assert_eq!(check(dir.path()).unwrap(), (SEALED + OPEN, None), "all flips were undone");
}

#[test]
fn every_flipped_bit_of_a_preallocated_log_is_named_or_is_the_torn_tail() {
    every_flip_is_named(small_options());
}

#[test]
fn every_flipped_bit_of_a_growing_log_is_named_or_is_the_torn_tail() {
    every_flip_is_named(growing_options());
}

#[test]
fn every_flipped_bit_of_the_genesis_is_found() {
    let dir = directory();
    two_segments(dir.path(), small_options(), SEALED, OPEN);
    for bit in 0..GENESIS.len() * 8 {
        flip(&dir.path().join("genesis"), bit);
        assert_eq!(corrupt_block(&check(dir.path())).2, &Cause::Genesis);
        flip(&dir.path().join("genesis"), bit);
    }
}

#[test]
fn damage_in_the_middle_refuses_to_open_and_to_read_past_it() {
    let dir = directory();
    two_segments(dir.path(), small_options(), SEALED, OPEN);
    let middle = HEADER + block_bytes(PAYLOAD) + 100;
    flip(&segment_paths(dir.path())[1], middle * 8);
    let refused = Journal::open(dir.path(), small_options()).map(|_| ()).unwrap_err();
    assert_eq!(refused.code(), "JOURNAL_CORRUPT");
    let text = refused.to_string();
    for part in ["block 3", "first sequence 4", "00000-00000000000000000003.twj", "offset 320", "CRC-32C"] {
        assert!(text.contains(part), "{part} is missing in: {text}");
    }
    assert!(matches!(read_all(dir.path()), Err(JournalError::Corrupt { block: 3, .. })));
}

#[test]
fn damage_in_the_middle_has_no_root_and_no_proof() {
    let dir = directory();
    two_segments(dir.path(), small_options(), SEALED, OPEN);
    flip(&segment_paths(dir.path())[1], (HEADER + block_bytes(PAYLOAD) + 100) * 8);
    let root = root(dir.path()).map(|_| ()).unwrap_err();
    assert!(matches!(root, JournalError::Corrupt { block: 3, .. }), "{root}");
    let proof = prove(dir.path(), 1).map(|_| ()).unwrap_err();
    assert!(matches!(proof, JournalError::Corrupt { block: 3, .. }), "{proof}");
}

#[test]
fn a_log_that_ends_before_its_snapshot_is_refused_and_left_as_it_is() {
    let dir = directory();
    two_segments(dir.path(), small_options(), SEALED, OPEN);
    let last_seq = SEALED + OPEN;
    let snapshot = snapshot::write(dir.path(), last_seq, last_seq, &[1; 32], &[2; 32], b"state").unwrap();
    assert_eq!(check(dir.path()).unwrap(), (last_seq, None));
    // Alone, the last block looks like a torn tail: only the snapshot shows that it was durable.
    let segment = &segment_paths(dir.path())[1];
    flip(segment, (HEADER + 2 * block_bytes(PAYLOAD) + 100) * 8);
    let damaged = std::fs::read(segment).unwrap();
    let expected = Cause::EndsBeforeSnapshot { snapshot_seq: last_seq };
    assert_eq!(corrupt_block(&check(dir.path())).2, &expected);
    let refused = Journal::open(dir.path(), small_options()).map(|_| ()).unwrap_err();
    assert!(
        matches!(&refused, JournalError::Corrupt { block: 4, cause, .. } if *cause == expected),
        "{refused}"
    );
    assert_eq!(std::fs::read(segment).unwrap(), damaged);
    // A damaged snapshot proves nothing.
    flip(&snapshot, 130 * 8);
    assert_eq!(check(dir.path()).unwrap().0, last_seq - 1);
}

#[test]
fn blocks_without_a_genesis_are_not_taken_for_an_unfinished_creation() {
    let dir = directory();
    two_segments(dir.path(), small_options(), SEALED, OPEN);
    std::fs::remove_file(dir.path().join("genesis")).unwrap();
    let refused = Journal::create(dir.path(), GENESIS, small_options()).map(|_| ()).unwrap_err();
    assert!(matches!(refused, JournalError::Corrupt { cause: Cause::GenesisMissing, .. }), "{refused}");
    assert_eq!(segment_paths(dir.path()).len(), 2);
}

#[test]
fn a_truncation_at_every_byte_of_the_last_block_keeps_all_earlier_blocks() {
    for options in [small_options(), growing_options()] {
        let source = directory();
        two_segments(source.path(), options.clone(), SEALED, OPEN);
        let whole = std::fs::read(&segment_paths(source.path())[1]).unwrap();
        let start = HEADER + 2 * block_bytes(PAYLOAD);
        for length in start..start + block_bytes(PAYLOAD) {
            let path = &segment_paths(source.path())[1];
            std::fs::write(path, &whole[..length]).unwrap();
            let (mut journal, report) = Journal::open(source.path(), options.clone()).unwrap();
            assert_eq!(report.blocks, SEALED + OPEN - 1, "cut at {length}");
            assert_eq!(report.torn_tail.is_some(), length > start, "cut at {length}");
            if let Some(quarantine) = report.quarantine {
                let kept = std::fs::read(&quarantine).unwrap();
                assert_eq!(kept, whole[start..length].trim_ascii_end_zeros(), "cut at {length}");
                std::fs::remove_file(quarantine).unwrap();
            }
            append_synced(&mut journal, PAYLOAD).unwrap();
            drop(journal);
            assert_eq!(check(source.path()).unwrap(), (SEALED + OPEN, None), "cut at {length}");
        }
        assert_blocks(source.path(), SEALED + OPEN, PAYLOAD);
    }
}

trait TrimZeros {
    fn trim_ascii_end_zeros(&self) -> &[u8];
}

impl TrimZeros for [u8] {
    fn trim_ascii_end_zeros(&self) -> &[u8] {
        let end = self.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        &self[..end]
    }
}

#[test]
fn a_wiped_middle_does_not_look_like_the_end() {
    let dir = directory();
    two_segments(dir.path(), small_options(), SEALED, OPEN);
    let path = &segment_paths(dir.path())[1];
    let mut bytes = std::fs::read(path).unwrap();
    bytes[HEADER..HEADER + block_bytes(PAYLOAD)].fill(0);
    std::fs::write(path, &bytes).unwrap();
    let result = check(dir.path());
    let (block, _, cause) = corrupt_block(&result);
    assert_eq!(block, SEALED);
    assert!(matches!(cause, Cause::FollowedByValidBlock { later_offset: 320, .. }), "{cause}");
    assert!(matches!(read_all(dir.path()), Err(JournalError::Corrupt { block: 2, .. })));
    let sealed = &segment_paths(dir.path())[0];
    let zeros = vec![0u8; std::fs::metadata(sealed).unwrap().len() as usize - HEADER];
    let header = std::fs::read(sealed).unwrap()[..HEADER].to_vec();
    std::fs::write(sealed, [header, zeros].concat()).unwrap();
    assert_eq!(corrupt_block(&check(dir.path())), (0, "00000-00000000000000000000.twj", &Cause::NotSealed));
    assert!(matches!(read_all(dir.path()), Err(JournalError::Corrupt { block: 0, .. })));
}

#[test]
fn a_missing_a_short_and_a_foreign_segment_are_found() {
    let dir = directory();
    let mut journal = Journal::create(dir.path(), GENESIS, small_options()).unwrap();
    for _ in 0..3 {
        append_synced(&mut journal, PAYLOAD).unwrap();
        journal.rotate().unwrap();
    }
    drop(journal);
    let paths = segment_paths(dir.path());
    let kept = std::fs::read(&paths[1]).unwrap();
    std::fs::remove_file(&paths[1]).unwrap();
    assert_eq!(corrupt_block(&check(dir.path())).2, &Cause::MissingSegment);
    assert!(matches!(read_all(dir.path()), Err(JournalError::Corrupt { cause: Cause::MissingSegment, .. })));
    std::fs::write(&paths[1], &kept[..60]).unwrap();
    assert_eq!(corrupt_block(&check(dir.path())), (1, file_name(&paths[1]), &Cause::SegmentHeader));
    std::fs::write(&paths[1], [&kept[..], b"x"].concat()).unwrap();
    assert_eq!(corrupt_block(&check(dir.path())).2, &Cause::BytesAfterFooter);
    std::fs::copy(&paths[2], &paths[1]).unwrap();
    assert_eq!(corrupt_block(&check(dir.path())).0, 1);
    std::fs::write(&paths[1], &kept).unwrap();
    assert_eq!(check(dir.path()).unwrap(), (3, None));
    paths.iter().for_each(|path| std::fs::remove_file(path).unwrap());
    assert_eq!(corrupt_block(&check(dir.path())).2, &Cause::MissingSegment);
}

fn file_name(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}

#[test]
fn blocks_in_another_order_break_the_chain_although_each_is_whole() {
    let dir = directory();
    two_segments(dir.path(), small_options(), SEALED, OPEN);
    let path = &segment_paths(dir.path())[1];
    let mut bytes = std::fs::read(path).unwrap();
    let size = block_bytes(PAYLOAD);
    let (left, right) = bytes[HEADER..HEADER + 2 * size].split_at_mut(size);
    left.swap_with_slice(right);
    std::fs::write(path, &bytes).unwrap();
    let expected = Cause::BlockNumberGap { expected: SEALED, found: SEALED + 1 };
    assert_eq!(corrupt_block(&check(dir.path())), (SEALED, file_name(path), &expected));
}

#[test]
fn a_changed_record_with_all_its_checksums_forged_breaks_the_chain_at_the_next_block() {
    let dir = directory();
    two_segments(dir.path(), small_options(), SEALED, OPEN);
    let path = &segment_paths(dir.path())[1];
    let mut bytes = std::fs::read(path).unwrap();
    let block = &mut bytes[HEADER..HEADER + block_bytes(PAYLOAD)];
    block[96] ^= 1;
    let payload_crc = crc32c::crc32c(&block[96..96 + PAYLOAD]);
    block[44..48].copy_from_slice(&payload_crc.to_le_bytes());
    let header_crc = crc32c::crc32c(&block[..92]);
    block[92..96].copy_from_slice(&header_crc.to_le_bytes());
    let hash = blake3::hash(&block[..96 + PAYLOAD]);
    block[96 + PAYLOAD..128 + PAYLOAD].copy_from_slice(hash.as_bytes());
    std::fs::write(path, &bytes).unwrap();
    assert_eq!(corrupt_block(&check(dir.path())), (SEALED + 1, file_name(path), &Cause::PreviousHash));
    assert!(matches!(read_all(dir.path()), Err(JournalError::Corrupt { cause: Cause::PreviousHash, .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// What a power cut leaves of an unsynced block: any of its disk sectors, in any combination.
    #[test]
    fn a_power_cut_never_takes_a_synced_block_and_the_log_goes_on(
        sectors in prop::collection::vec(any::<bool>(), 8),
        synced in 1u64..6,
        preallocate: bool,
    ) {
        let dir = directory();
        let options = tradewind_journal::JournalOptions { segment_bytes: 1 << 15, preallocate, ..small_options() };
        let mut journal = Journal::create(dir.path(), GENESIS, options.clone()).unwrap();
        append_many(&mut journal, synced, 3000);
        let durable_end = journal.head().offset as usize;
        append_one(&mut journal, 3000).unwrap();
        drop(journal);
        let path = &segment_paths(dir.path())[0];
        let mut bytes = std::fs::read(path).unwrap();
        let first_sector = durable_end / 512;
        for (number, lost) in sectors.iter().enumerate() {
            let from = ((first_sector + number) * 512).max(durable_end);
            let end = bytes.len().min((first_sector + number + 1) * 512);
            if *lost && from < end {
                bytes[from..end].fill(0);
            }
        }
        std::fs::write(path, &bytes).unwrap();
        let (mut journal, report) = Journal::open(dir.path(), options).unwrap();
        prop_assert!(report.blocks == synced || report.blocks == synced + 1);
        prop_assert!(report.blocks == synced + 1 || sectors.iter().any(|lost| *lost));
        append_synced(&mut journal, 3000).unwrap();
        let blocks = report.blocks + 1;
        drop(journal);
        prop_assert_eq!(check(dir.path()).unwrap(), (blocks, None));
        assert_blocks(dir.path(), blocks, 3000);
    }
}

#[test]
fn a_cut_tail_is_gone_from_the_disk_so_that_it_cannot_come_back_behind_a_shorter_block() {
    for options in [small_options(), growing_options()] {
        let dir = directory();
        let mut journal = Journal::create(dir.path(), GENESIS, options.clone()).unwrap();
        append_synced(&mut journal, PAYLOAD).unwrap();
        let offset = append_torn_block(journal, dir.path(), 2000);
        let (journal, report) = Journal::open(dir.path(), options.clone()).unwrap();
        assert_eq!(report.torn_tail.map(|torn| (torn.block, torn.offset)), Some((1, offset)));
        drop(journal);
        assert_eq!(check(dir.path()).unwrap(), (1, None));
        let bytes = std::fs::read(&segment_paths(dir.path())[0]).unwrap();
        assert!(bytes[offset as usize..].iter().all(|byte| *byte == 0));
    }
}

/// Appends a block of `bytes` and flips a bit of its payload; returns its offset.
fn append_torn_block(mut journal: Journal, dir: &Path, bytes: usize) -> u64 {
    let offset = journal.head().offset;
    append_one(&mut journal, bytes).unwrap();
    drop(journal);
    flip(&segment_paths(dir)[0], (offset as usize + 96 + bytes / 2) * 8);
    offset
}

#[test]
fn a_forged_footer_is_found_although_its_checksums_fit() {
    let dir = directory();
    two_segments(dir.path(), small_options(), SEALED, OPEN);
    let path = &segment_paths(dir.path())[0];
    let whole = std::fs::read(path).unwrap();
    let at = HEADER + SEALED as usize * block_bytes(PAYLOAD);
    let fields = [(8, "first block"), (24, "last sequence"), (40, "head hash"), (72, "segment Merkle hash")];
    for (position, field) in fields.into_iter().chain([(104, "log Merkle hash"), (6, "shard")]) {
        let mut bytes = whole.clone();
        bytes[at + position] ^= 1;
        let crc = crc32c::crc32c(&bytes[at..at + 188]);
        bytes[at + 188..at + 192].copy_from_slice(&crc.to_le_bytes());
        std::fs::write(path, bytes).unwrap();
        let expected = Cause::FooterMismatch { field };
        assert_eq!(corrupt_block(&check(dir.path())), (SEALED, file_name(path), &expected));
    }
}
