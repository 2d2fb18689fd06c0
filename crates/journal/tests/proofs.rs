//! Proofs verify with the root alone, and no changed byte passes.

mod common;

use common::*;
use tradewind_journal::{
    prove, prove_consistency, prove_consistency_between, root, root_at, BlockMeta, ConsistencyProof,
    InclusionProof, Journal, JournalError,
};

const BLOCKS: u64 = 23;
const RECORDS_PER_BLOCK: u32 = 3;

fn log() -> (tempfile::TempDir, Journal) {
    let dir = directory();
    let mut journal = Journal::create(dir.path(), GENESIS, small_options()).unwrap();
    for block in 0..BLOCKS {
        let first_seq = 1 + block * u64::from(RECORDS_PER_BLOCK);
        journal
            .append(BlockMeta::new(first_seq, RECORDS_PER_BLOCK, TIME_NS), &[&payload(block, 90)])
            .unwrap();
    }
    journal.sync().unwrap();
    assert!(segment_paths(dir.path()).len() >= 2, "the proofs must cross sealed and open segments");
    (dir, journal)
}

#[test]
fn every_record_is_proven_against_the_root_and_against_no_other() {
    let (dir, journal) = log();
    let (tree_size, published) = root(dir.path()).unwrap();
    assert_eq!((tree_size, published), journal.root());
    for seq in 1..=BLOCKS * u64::from(RECORDS_PER_BLOCK) {
        let proof = prove(dir.path(), seq).unwrap();
        assert!(proof.verify(published), "sequence {seq}");
        assert!(!proof.verify([0; 32]), "sequence {seq}");
        let block = (seq - 1) / u64::from(RECORDS_PER_BLOCK);
        assert_eq!((proof.block(), proof.payload.as_slice()), (Some(block), &payload(block, 90)[..]));
    }
    let beyond = prove(dir.path(), BLOCKS * u64::from(RECORDS_PER_BLOCK) + 1);
    assert!(matches!(beyond, Err(JournalError::SequenceNotFound { .. })), "{beyond:?}");
    assert!(matches!(prove(dir.path(), 0), Err(JournalError::SequenceNotFound { seq: 0, .. })));
}

#[test]
fn an_inclusion_proof_with_any_byte_changed_fails() {
    let (dir, _journal) = log();
    let (_, published) = root(dir.path()).unwrap();
    let bytes = prove(dir.path(), 20).unwrap().to_bytes();
    assert!(InclusionProof::from_bytes(&bytes).unwrap().verify(published));
    for position in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[position] ^= 0x20;
        assert!(InclusionProof::from_bytes(&changed).is_err(), "byte {position}");
        // A forger can renew the digest, which only guards against accidents.
        let body = changed.len() - 32;
        let digest = *blake3::hash(&changed[..body]).as_bytes();
        changed[body..].copy_from_slice(&digest);
        if position < body {
            let forged = InclusionProof::from_bytes(&changed);
            // Another sequence of the same block is another true statement.
            let same_block = |proof: &InclusionProof| (19..=21).contains(&proof.seq);
            let accepted = forged.is_ok_and(|proof| proof.verify(published) && !same_block(&proof));
            assert!(!accepted, "forged byte {position}");
        }
    }
    for length in 0..bytes.len() {
        assert!(InclusionProof::from_bytes(&bytes[..length]).is_err(), "cut to {length}");
    }
}

#[test]
fn no_field_of_an_inclusion_proof_can_be_forged() {
    let (dir, _journal) = log();
    let (_, published) = root(dir.path()).unwrap();
    let proof = prove(dir.path(), 20).unwrap();
    let forge = |change: &dyn Fn(&mut InclusionProof)| {
        let mut forged = proof.clone();
        change(&mut forged);
        forged.verify(published)
    };
    assert!(forge(&|_| {}));
    assert!(!forge(&|p| p.seq = 18));
    assert!(!forge(&|p| p.seq = 22));
    assert!(!forge(&|p| p.tree_size -= 1));
    assert!(!forge(&|p| p.tree_size += 1));
    assert!(!forge(&|p| p.root = [1; 32]));
    assert!(!forge(&|p| p.payload[0] ^= 1));
    assert!(!forge(&|p| p.payload.push(0)));
    assert!(!forge(&|p| p.path.reverse()));
    assert!(!forge(&|p| p.path.truncate(p.path.len() - 1)));
    assert!(!forge(&|p| p.path.push([0; 32])));
    for byte in 0..96 {
        assert!(!forge(&|p| p.header_bytes[byte] ^= 1), "header byte {byte}");
    }
}

#[test]
fn every_earlier_root_is_proven_consistent_with_the_newest() {
    let (dir, mut journal) = log();
    let (new_size, new_root) = root(dir.path()).unwrap();
    for old_size in 0..=new_size {
        let old_root = root_at(dir.path(), old_size).unwrap();
        let proof = prove_consistency(dir.path(), old_size).unwrap();
        assert!(proof.verify(old_root, new_root), "from {old_size}");
        assert!(!proof.verify(new_root, old_root) || old_size == new_size, "backwards from {old_size}");
        let bytes = proof.to_bytes();
        assert_eq!(ConsistencyProof::from_bytes(&bytes).unwrap(), proof);
        for position in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[position] ^= 1;
            assert!(ConsistencyProof::from_bytes(&changed).is_err(), "byte {position} from {old_size}");
        }
    }
    append_block_after(&mut journal);
    let between = prove_consistency_between(dir.path(), 7, new_size).unwrap();
    assert!(between.verify(root_at(dir.path(), 7).unwrap(), new_root));
    let too_long = prove_consistency_between(dir.path(), 1, new_size + 2);
    assert!(matches!(too_long, Err(JournalError::BlockNotFound { block: 25, blocks: 24 })));
    assert!(matches!(prove_consistency(dir.path(), 99), Err(JournalError::BlockNotFound { block: 99, .. })));
}

fn append_block_after(journal: &mut Journal) {
    let seq = journal.head().last_seq + 1;
    journal.append(BlockMeta::new(seq, 1, TIME_NS), &[b"one more"]).unwrap();
}

#[test]
fn a_rewritten_history_cannot_be_proven_consistent() {
    let (honest, _journal) = log();
    let forged = directory();
    let mut journal = Journal::create(forged.path(), GENESIS, small_options()).unwrap();
    for block in 0..BLOCKS {
        let text = if block == 3 { payload(99, 90) } else { payload(block, 90) };
        let first_seq = 1 + block * u64::from(RECORDS_PER_BLOCK);
        journal.append(BlockMeta::new(first_seq, RECORDS_PER_BLOCK, TIME_NS), &[&text]).unwrap();
    }
    let (_, forged_root) = root(forged.path()).unwrap();
    for old_size in 1..BLOCKS {
        let published = root_at(honest.path(), old_size).unwrap();
        let proof = prove_consistency(forged.path(), old_size).unwrap();
        // Block 3 differs: shorter histories are a true prefix, longer ones are not.
        assert_eq!(proof.verify(published, forged_root), old_size <= 3, "from {old_size}");
    }
}
