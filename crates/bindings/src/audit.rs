//! The auditor on a thread of its own: it checks a batch while the journal syncs it.

use std::sync::mpsc::{sync_channel, Receiver, SyncSender};
use std::sync::Arc;
use std::thread::JoinHandle;

use tradewind_engine::audit::{Auditor, Violation};

use crate::batch::Storage;

/// Batches that may wait for the auditor.
const QUEUED_BATCHES: usize = 2;

/// Owner of the auditor's thread. Batches are answered in the order in which they came.
pub struct AuditThread {
    jobs: Option<SyncSender<Arc<Storage>>>,
    answers: Receiver<Result<(), Violation>>,
    waiting: usize,
    thread: Option<JoinHandle<()>>,
}

impl AuditThread {
    pub fn start(mut auditor: Auditor) -> std::io::Result<Self> {
        let (jobs, incoming) = sync_channel::<Arc<Storage>>(QUEUED_BATCHES);
        let (outgoing, answers) = sync_channel(QUEUED_BATCHES + 2);
        let thread = std::thread::Builder::new().name("tw-audit".into()).spawn(move || {
            for storage in incoming {
                if outgoing.send(check(&mut auditor, &storage)).is_err() {
                    return;
                }
            }
        })?;
        Ok(AuditThread { jobs: Some(jobs), answers, waiting: 0, thread: Some(thread) })
    }

    /// Hands a batch over. Collects an earlier answer first when too many wait.
    ///
    /// # Errors
    /// The violation that an earlier batch showed.
    pub fn begin(&mut self, storage: &Arc<Storage>) -> Result<(), Violation> {
        while self.waiting >= QUEUED_BATCHES {
            self.collect()?;
        }
        let sent = self.jobs.as_ref().is_some_and(|jobs| jobs.send(Arc::clone(storage)).is_ok());
        if !sent {
            return Err(gone());
        }
        self.waiting += 1;
        Ok(())
    }

    /// Waits until every batch handed over is checked.
    ///
    /// # Errors
    /// The first violation.
    pub fn finish(&mut self) -> Result<(), Violation> {
        while self.waiting > 0 {
            self.collect()?;
        }
        Ok(())
    }

    fn collect(&mut self) -> Result<(), Violation> {
        self.waiting -= 1;
        self.answers.recv().unwrap_or_else(|_| Err(gone()))
    }
}

impl Drop for AuditThread {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // A panic of the auditor was already reported as a violation.
            let _ = thread.join();
        }
    }
}

/// The thread died: nothing more can be vouched for.
fn gone() -> Violation {
    Violation { invariant: "AUDITOR", seq: 0, detail: "the auditor itself failed".into() }
}

fn check(auditor: &mut Auditor, storage: &Storage) -> Result<(), Violation> {
    let Storage::Live(live) = storage else { return Ok(()) };
    let batch = &live.batch;
    auditor.check(&batch.commands, &batch.results, &batch.output.events, &batch.output.postings)
}
