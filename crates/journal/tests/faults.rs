//! Full disks, failing disks, and a crash between any two steps.

mod common;

use std::path::Path;
use std::process::Command;

use common::*;
use tradewind_journal::faults::{clear_fault, set_fault, Action, Fault, Op};
use tradewind_journal::{lock, snapshot, verify, Journal, JournalError, JournalOptions};

const ENOSPC: i32 = 28;
const EIO: i32 = 5;
const EROFS: i32 = 30;
const PAYLOAD: usize = 500;
/// More disk operations than the scripts below make.
const MAX_STEPS: u32 = 400;

fn arm(dir: &Path, op: Op, skip: u32, action: Action) {
    set_fault(dir, Fault { op: Some(op), skip, action });
}

#[test]
fn a_failed_sync_fences_the_writer_for_good() {
    let dir = directory();
    let mut journal = Journal::create(dir.path(), GENESIS, small_options()).unwrap();
    append_synced(&mut journal, PAYLOAD).unwrap();
    append_one(&mut journal, PAYLOAD).unwrap();
    arm(dir.path(), Op::SyncData, 0, Action::Fail { errno: EIO });
    let failed = journal.sync();
    assert!(matches!(failed, Err(JournalError::Io { op: "fdatasync", errno: EIO, .. })), "{failed:?}");
    assert!(clear_fault(dir.path()));
    // The disk is well again, and still this writer must not be believed.
    assert!(matches!(journal.sync(), Err(JournalError::Fenced)));
    assert!(matches!(append_one(&mut journal, PAYLOAD), Err(JournalError::Fenced)));
    assert!(matches!(journal.rotate(), Err(JournalError::Fenced)));
    assert_eq!(journal.head().durable_block, 1);
    assert!(journal.is_fenced());
    assert!(matches!(journal.close(), Err(JournalError::Fenced)));
    let (mut journal, report) = Journal::open(dir.path(), small_options()).unwrap();
    assert!(report.blocks >= 1);
    append_synced(&mut journal, PAYLOAD).unwrap();
}

#[test]
fn a_torn_write_by_a_full_disk_is_cut_and_the_writer_goes_on() {
    for options in [small_options(), growing_options()] {
        for bytes in [0, 1, 95, 96, 300, 600] {
            let dir = directory();
            let mut journal = Journal::create(dir.path(), GENESIS, options.clone()).unwrap();
            append_many(&mut journal, 2, PAYLOAD);
            let before = journal.head();
            arm(dir.path(), Op::Write, 0, Action::Tear { bytes, errno: ENOSPC });
            let failed = append_one(&mut journal, PAYLOAD);
            assert!(matches!(failed, Err(JournalError::NoSpace { op: "write", .. })), "{failed:?}");
            assert!(clear_fault(dir.path()));
            assert_eq!(journal.head(), before);
            let report = verify(dir.path(), &mut |_, _| {}).unwrap();
            assert_eq!((report.blocks, report.torn_tail), (2, None), "{bytes} bytes had arrived");
            append_synced(&mut journal, PAYLOAD).unwrap();
            assert_blocks(dir.path(), 3, PAYLOAD);
        }
    }
}

#[test]
fn a_write_error_other_than_a_full_disk_fences_and_earlier_blocks_stay() {
    for errno in [EIO, EROFS] {
        let dir = directory();
        let mut journal = Journal::create(dir.path(), GENESIS, small_options()).unwrap();
        append_many(&mut journal, 2, PAYLOAD);
        arm(dir.path(), Op::Write, 0, Action::Tear { bytes: 200, errno });
        let failed = append_one(&mut journal, PAYLOAD);
        assert!(matches!(failed, Err(JournalError::Io { op: "write", errno: e, .. }) if e == errno));
        clear_fault(dir.path());
        assert!(matches!(append_one(&mut journal, PAYLOAD), Err(JournalError::Fenced)));
        drop(journal);
        let (_, report) = Journal::open(dir.path(), small_options()).unwrap();
        assert_eq!(report.blocks, 2);
        assert_eq!(report.torn_tail.map(|torn| torn.block), Some(2));
        assert_blocks(dir.path(), 2, PAYLOAD);
    }
}

#[test]
fn a_disk_too_full_for_the_next_segment_leaves_the_current_one_untouched() {
    let dir = directory();
    let mut journal = Journal::create(dir.path(), GENESIS, small_options()).unwrap();
    append_many(&mut journal, 4, PAYLOAD);
    arm(dir.path(), Op::Allocate, 0, Action::Fail { errno: ENOSPC });
    let failed = append_one(&mut journal, 3000);
    assert!(matches!(failed, Err(JournalError::NoSpace { op: "allocate", .. })), "{failed:?}");
    assert!(clear_fault(dir.path()));
    assert!(!journal.is_fenced());
    append_synced(&mut journal, PAYLOAD).unwrap();
    assert_eq!(segment_paths(dir.path()).len(), 1, "what still fits goes into the current segment");
    assert_blocks(dir.path(), 5, PAYLOAD);
}

/// What a crash test must still find: sequences the script was told to be durable.
#[derive(Default)]
struct Acknowledged {
    created: bool,
    last_seq: u64,
    snapshot_seq: u64,
}

/// Every kind of step once: create, append, sync, rotate, snapshot, close.
fn script(dir: &Path, options: JournalOptions, acknowledged: &mut Acknowledged) -> Result<(), JournalError> {
    let mut journal = Journal::create(dir, GENESIS, options)?;
    acknowledged.created = true;
    for round in 0..3 {
        for _ in 0..3 {
            acknowledged.last_seq = append_synced(&mut journal, PAYLOAD)?;
        }
        journal.rotate()?;
        acknowledged.last_seq = append_synced(&mut journal, PAYLOAD)?;
        let head = journal.head();
        snapshot::write(dir, head.last_seq, head.block, &head.hash, &[round; 32], &payload(head.block, 700))?;
        acknowledged.snapshot_seq = head.last_seq;
    }
    journal.close()
}

fn assert_recovers(dir: &Path, options: JournalOptions, acknowledged: &Acknowledged, place: &str) {
    let opened = Journal::open(dir, options.clone());
    let mut journal = match opened {
        Ok((journal, report)) => {
            let found = report.last_seq.unwrap_or(0);
            assert!(found >= acknowledged.last_seq, "{place}: {found} < {}", acknowledged.last_seq);
            journal
        }
        Err(JournalError::NotAJournal { .. }) => {
            assert!(!acknowledged.created, "{place}: the journal is gone");
            Journal::create(dir, GENESIS, options).expect(place)
        }
        Err(error) => panic!("{place}: {error}"),
    };
    append_synced(&mut journal, PAYLOAD).expect(place);
    let blocks = journal.head().block;
    drop(journal);
    let report = verify(dir, &mut |_, _| {}).expect(place);
    assert_eq!((report.blocks, report.torn_tail), (blocks, None), "{place}");
    assert_blocks(dir, blocks, PAYLOAD);
    let loaded = snapshot::load_newest_valid(dir).expect(place);
    assert_eq!(loaded.marked_bad.len(), 0, "{place}: a snapshot is whole or absent");
    let newest = loaded.snapshot.map_or(0, |found| {
        assert_eq!(found.payload, payload(found.block, 700), "{place}");
        found.seq
    });
    assert!(newest >= acknowledged.snapshot_seq, "{place}: snapshot {newest}");
    let leftovers = std::fs::read_dir(dir).unwrap().filter_map(Result::ok);
    let temporary = leftovers.filter(|entry| entry.path().extension().is_some_and(|e| e == "tmp")).count();
    assert_eq!(temporary, 0, "{place}: temporary files stay behind");
}

fn crash_at_every_step(options: JournalOptions, torn_bytes: u64) {
    for skip in 0..MAX_STEPS {
        let dir = directory();
        set_fault(dir.path(), Fault { op: None, skip, action: Action::Halt { bytes: torn_bytes } });
        let mut acknowledged = Acknowledged::default();
        let outcome = script(dir.path(), options.clone(), &mut acknowledged);
        if !clear_fault(dir.path()) {
            assert!(outcome.is_ok(), "without a fault the script runs through: {outcome:?}");
            assert!(skip > 40, "the script made only {skip} disk operations");
            return;
        }
        let place = format!("halted at disk operation {skip}, {torn_bytes} bytes of it done");
        assert_recovers(dir.path(), options.clone(), &acknowledged, &place);
    }
    panic!("the script makes more than {MAX_STEPS} disk operations");
}

#[test]
fn a_crash_between_any_two_disk_operations_loses_nothing_acknowledged() {
    crash_at_every_step(small_options(), 0);
}

#[test]
fn a_crash_inside_any_write_loses_nothing_acknowledged() {
    crash_at_every_step(small_options(), 333);
    crash_at_every_step(growing_options(), 70);
}

#[test]
fn a_single_failure_of_any_disk_operation_is_an_error_and_loses_nothing_acknowledged() {
    for errno in [EIO, ENOSPC] {
        for skip in 0..MAX_STEPS {
            let dir = directory();
            set_fault(dir.path(), Fault { op: None, skip, action: Action::Tear { bytes: 50, errno } });
            let mut acknowledged = Acknowledged::default();
            let outcome = script(dir.path(), small_options(), &mut acknowledged);
            if !clear_fault(dir.path()) {
                assert!(outcome.is_ok() && skip > 40, "{skip}: {outcome:?}");
                break;
            }
            assert!(outcome.is_err(), "errno {errno} at operation {skip} was swallowed");
            let place = format!("errno {errno} at disk operation {skip}");
            assert_recovers(dir.path(), small_options(), &acknowledged, &place);
        }
    }
}

#[test]
fn a_second_writer_is_refused_with_the_pid_of_the_first_until_it_is_gone() {
    let dir = directory();
    let journal = Journal::create(dir.path(), GENESIS, small_options()).unwrap();
    let pid = Some(std::process::id());
    let second = Journal::open(dir.path(), small_options()).map(|_| ());
    assert!(matches!(&second, Err(JournalError::Locked { pid: found }) if *found == pid), "{second:?}");
    assert!(matches!(lock(dir.path()), Err(JournalError::Locked { .. })));
    drop(journal);
    drop(lock(dir.path()).unwrap());
    Journal::open(dir.path(), small_options()).unwrap();
}

/// A file system of its own, unmounted when dropped.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// None where the test may not mount.
    fn mount(bytes: u64) -> Option<Self> {
        let dir = directory();
        let size = format!("size={bytes}");
        let done = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(dir.path()).output();
        done.ok().filter(|output| output.status.success()).map(|_| Self(dir))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(self.0.path()).status();
        assert!(unmounted.is_ok_and(|status| status.success()), "cannot unmount {}", self.0.path().display());
    }
}

#[test]
fn a_really_full_disk_refuses_blocks_keeps_the_old_ones_and_the_reserve_gives_room_again() {
    let Some(disk) = SmallDisk::mount(1 << 20) else {
        eprintln!("skipped: mounting a tmpfs needs root");
        return;
    };
    let dir = disk.0.path().join("journal");
    let options = JournalOptions { segment_bytes: 64 << 10, reserve_bytes: 256 << 10, ..small_options() };
    let too_large = JournalOptions { reserve_bytes: 4 << 20, ..options.clone() };
    let refused = Journal::create(&dir, GENESIS, too_large).map(|_| ());
    assert!(matches!(refused, Err(JournalError::NoSpace { op: "reserve", .. })), "{refused:?}");
    let mut journal = Journal::create(&dir, GENESIS, options.clone()).unwrap();
    let mut written = 0;
    let failed = loop {
        match append_synced(&mut journal, 4000) {
            Ok(_) => written += 1,
            Err(error) => break error,
        }
        assert!(written < 1000, "a disk of 1 MiB took {written} blocks of 4,000 bytes");
    };
    assert!(matches!(failed, JournalError::NoSpace { .. }), "{failed}");
    assert!(!journal.is_fenced());
    assert!(journal.free_bytes().unwrap() < 64 << 10);
    assert_blocks(&dir, written, 4000);
    journal.release_reserve().unwrap();
    append_synced(&mut journal, 4000).unwrap();
    drop(journal);
    let (_, report) = Journal::open(&dir, options).unwrap();
    assert_eq!((report.blocks, report.reserve_held), (written + 1, false));
    assert_blocks(&dir, written + 1, 4000);
}
