//! Faults on purpose, for tests: fail, tear or stop any disk operation below one directory.
//!
//! Only compiled with the `faults` feature. A fault is bound to a directory, not to a thread, so that tests run in
//! parallel and a writer on another thread is reached too.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Mutex;

/// A disk operation that can be made to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    Create,
    Allocate,
    Write,
    Truncate,
    SyncData,
    SyncDir,
    Rename,
    Remove,
}

/// What happens at the chosen operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// The operation does nothing and fails once with this errno.
    Fail { errno: i32 },
    /// A write puts only this many bytes on disk, then fails once with this errno.
    Tear { bytes: u64, errno: i32 },
    /// The disk stands still from here on, as if the machine had died: at most `bytes` of this write arrive, and
    /// every later operation fails until the fault is cleared.
    Halt { bytes: u64 },
    /// The process dies on the spot without running any destructor; at most `bytes` of this write arrive.
    Abort { bytes: u64 },
}

/// Which operation fails: the one after `skip` others of the same kind (`op` None counts every kind).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    pub op: Option<Op>,
    pub skip: u32,
    pub action: Action,
}

struct Armed {
    dir: PathBuf,
    fault: Fault,
    fired: bool,
}

static ARMED: Mutex<Vec<Armed>> = Mutex::new(Vec::new());
static ARMED_COUNT: AtomicUsize = AtomicUsize::new(0);

fn with_armed<T>(change: impl FnOnce(&mut Vec<Armed>) -> T) -> T {
    let mut armed = ARMED.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let result = change(&mut armed);
    ARMED_COUNT.store(armed.len(), Ordering::Release);
    result
}

/// Arms one fault for files below `dir`; replaces the fault that was armed there.
pub fn set_fault(dir: &Path, fault: Fault) {
    clear_fault(dir);
    with_armed(|armed| armed.push(Armed { dir: dir.to_path_buf(), fault, fired: false }));
}

/// Disarms the fault of `dir` and tells whether it had fired.
pub fn clear_fault(dir: &Path) -> bool {
    with_armed(|armed| {
        let fired = armed.iter().any(|a| a.dir == dir && a.fired);
        armed.retain(|a| a.dir != dir);
        fired
    })
}

/// What the disk layer must do instead of the operation: put `bytes` of the write down, then fail or die.
pub(crate) struct Verdict {
    pub bytes: u64,
    pub errno: i32,
    pub abort: bool,
}

pub(crate) fn verdict(op: Op, path: &Path) -> Option<Verdict> {
    if ARMED_COUNT.load(Ordering::Acquire) == 0 {
        return None;
    }
    with_armed(|armed| armed.iter_mut().find(|a| path.starts_with(&a.dir)).and_then(|a| judge(a, op)))
}

fn judge(armed: &mut Armed, op: Op) -> Option<Verdict> {
    let io_error = rustix::io::Errno::IO.raw_os_error();
    if armed.fired {
        let halted = matches!(armed.fault.action, Action::Halt { .. });
        return halted.then_some(Verdict { bytes: 0, errno: io_error, abort: false });
    }
    if armed.fault.op.is_some_and(|wanted| wanted != op) {
        return None;
    }
    if armed.fault.skip > 0 {
        armed.fault.skip -= 1;
        return None;
    }
    armed.fired = true;
    Some(match armed.fault.action {
        Action::Fail { errno } => Verdict { bytes: 0, errno, abort: false },
        Action::Tear { bytes, errno } => Verdict { bytes, errno, abort: false },
        Action::Halt { bytes } => Verdict { bytes, errno: io_error, abort: false },
        Action::Abort { bytes } => Verdict { bytes, errno: io_error, abort: true },
    })
}
