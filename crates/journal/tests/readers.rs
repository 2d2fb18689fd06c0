//! Several readers follow one writer; a writer killed at any moment loses nothing it acknowledged.

mod common;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use common::*;
use tradewind_journal::{verify, Journal, JournalError, Reader};

const BLOCKS: u64 = 600;
const READERS: usize = 3;
const CHILD_DIRECTORY: &str = "JOURNAL_TEST_DIRECTORY";
const KILLS: u64 = 12;

#[test]
fn readers_see_every_block_once_in_order_while_one_writes_and_rotates() {
    let dir = directory();
    let mut journal = Journal::create(dir.path(), GENESIS, small_options()).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let follow = || {
            let mut reader = Reader::open(dir.path(), 0).unwrap();
            let mut next = 0;
            loop {
                // Read before asking: what is written before `done` must still be seen after it.
                let finished = done.load(Ordering::Acquire);
                while let Some(block) = reader.next().unwrap() {
                    assert_eq!(block.block, next);
                    assert_eq!(block.payload, payload(next, 64 + (next as usize * 7) % 300));
                    next += 1;
                }
                if finished {
                    return next;
                }
                std::thread::yield_now();
            }
        };
        let readers: Vec<_> = (0..READERS).map(|_| scope.spawn(follow)).collect();
        for block in 0..BLOCKS {
            append_one(&mut journal, 64 + (block as usize * 7) % 300).unwrap();
            if block % 5 == 0 {
                journal.sync().unwrap();
            }
        }
        journal.sync().unwrap();
        done.store(true, Ordering::Release);
        readers.into_iter().for_each(|reader| assert_eq!(reader.join().unwrap(), BLOCKS));
    });
    assert!(segment_paths(dir.path()).len() > 10, "the readers had to cross segments");
}

#[test]
fn a_log_can_be_verified_while_it_is_written() {
    let dir = directory();
    let mut journal = Journal::create(dir.path(), GENESIS, small_options()).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let verifier = scope.spawn(|| {
            let mut last = 0;
            while !done.load(Ordering::Acquire) {
                let blocks = verify(dir.path(), &mut |_, _| {}).unwrap().blocks;
                assert!(blocks >= last, "{blocks} after {last}");
                last = blocks;
            }
        });
        for _ in 0..BLOCKS {
            append_one(&mut journal, 150).unwrap();
        }
        done.store(true, Ordering::Release);
        verifier.join().unwrap();
    });
}

#[test]
fn a_reader_stops_at_its_upper_block_until_it_is_raised() {
    let dir = directory();
    let mut journal = Journal::create(dir.path(), GENESIS, small_options()).unwrap();
    append_synced(&mut journal, 10).unwrap();
    append_one(&mut journal, 10).unwrap();
    let mut reader = Reader::open(dir.path(), 0).unwrap();
    reader.set_upper_block(Some(journal.head().durable_block));
    assert_eq!(reader.next().unwrap().map(|block| block.block), Some(0));
    assert!(reader.next().unwrap().is_none(), "block 1 is not durable yet");
    journal.sync().unwrap();
    reader.set_upper_block(Some(journal.head().durable_block));
    assert_eq!(reader.next().unwrap().map(|block| block.block), Some(1));
}

/// Not a test: the process which the next test kills. Prints each sequence after its sync.
#[test]
#[ignore = "runs as the child of another test"]
fn child_writer() {
    let Some(dir) = std::env::var_os(CHILD_DIRECTORY) else { return };
    let (mut journal, _) = Journal::open(dir.as_ref(), small_options()).unwrap();
    loop {
        let seq = append_synced(&mut journal, 300).unwrap();
        println!("acknowledged {seq}");
    }
}

fn start_child(dir: &std::path::Path) -> std::process::Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "child_writer", "--nocapture"])
        .env(CHILD_DIRECTORY, dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn a_process_killed_again_and_again_loses_nothing_it_acknowledged() {
    let dir = directory();
    drop(Journal::create(dir.path(), GENESIS, small_options()).unwrap());
    let mut last_acknowledged = 0;
    for round in 0..KILLS {
        let mut child = start_child(dir.path());
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut acknowledged = lines
            .filter_map(|line| line.split("acknowledged ").nth(1).and_then(|seq| seq.trim().parse().ok()));
        // Another number of blocks each time, so that the kill falls into different steps.
        for _ in 0..=(round * 7 % 40) {
            last_acknowledged = acknowledged.next().expect("the child writes until it is killed");
        }
        let refused = Journal::open(dir.path(), small_options()).map(|_| ());
        assert!(
            matches!(&refused, Err(JournalError::Locked { pid }) if *pid == Some(child.id())),
            "{refused:?}"
        );
        child.kill().unwrap();
        last_acknowledged = acknowledged.last().unwrap_or(last_acknowledged);
        child.wait().unwrap();
        let report = verify(dir.path(), &mut |_, _| {}).unwrap();
        let found = report.last_seq.unwrap_or(0);
        assert!(found >= last_acknowledged, "round {round}: {found} < {last_acknowledged}");
        assert_blocks(dir.path(), found, 300);
    }
}
