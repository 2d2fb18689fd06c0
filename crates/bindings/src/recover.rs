//! From a log to an engine: the newest snapshot that holds, then replay with comparison of every byte.

use std::path::Path;
use std::sync::mpsc::{sync_channel, Receiver, SyncSender};
use std::sync::Arc;
use std::time::Instant;

use tradewind_engine::audit::Auditor;
use tradewind_engine::batch::BatchView;
use tradewind_engine::wire::error::Code;
use tradewind_engine::{replay, Engine, Genesis};
use tradewind_journal::snapshot::{self, Snapshot};
use tradewind_journal::Reader;

use crate::audit::AuditThread;
use crate::batch::{Live, Pool, Storage};
use crate::failure::Failure;

/// Payload format of our blocks: a [`tradewind_engine::batch::Batch`].
pub const BATCH_FORMAT: u16 = 1;
/// Blocks that are read and checked while an earlier one is applied.
const BLOCKS_READ_AHEAD: usize = 4;

/// Told (blocks done, blocks in all); false stops the work.
pub type Progress<'a> = &'a mut dyn FnMut(u64, u64) -> bool;

/// An engine at the end of a log, and how it got there.
pub struct Recovered {
    pub engine: Engine,
    pub audit: Option<AuditThread>,
    /// Sequence of the snapshot that was the start; None = from genesis.
    pub snapshot_seq: Option<u64>,
    pub rejected_snapshots: Vec<String>,
    pub blocks: u64,
    pub commands: u64,
    /// State and cursor hashes that the log records and that were met again.
    pub hashes_compared: u64,
    pub elapsed_ns: u64,
}

fn start_audit(auditor: Auditor) -> Result<AuditThread, Failure> {
    AuditThread::start(auditor)
        .map_err(|error| Failure::Thread(format!("no thread for the auditor: {error}")))
}

/// Engine and auditor before the first command.
pub fn from_genesis(genesis: &[u8], audit: bool) -> Result<(Engine, Option<AuditThread>), Failure> {
    let genesis = Genesis::decode(genesis).map_err(Failure::Genesis)?;
    let engine = Engine::new(&genesis).map_err(Failure::Genesis)?;
    let audit = if audit { Some(start_audit(Auditor::new(&genesis))?) } else { None };
    Ok((engine, audit))
}

/// Engine, auditor and a reader behind the snapshot's last block; a sentence when the snapshot does not fit the log.
fn from_snapshot(
    dir: &Path,
    snapshot: &Snapshot,
    audit: bool,
) -> Result<(Engine, Option<AuditThread>, Reader), String> {
    let reader = Reader::open(dir, snapshot.block).map_err(|error| error.to_string())?;
    if reader.head_hash() != snapshot.head_hash {
        return Err(format!("the log has another hash before block {}", snapshot.block));
    }
    let engine = Engine::restore(&snapshot.payload)?;
    if engine.next_seq() != snapshot.seq + 1 {
        return Err(format!("it holds sequence {} and is named {}", engine.next_seq() - 1, snapshot.seq));
    }
    if engine.state_hash() != snapshot.state_hash {
        return Err("the restored state has another hash".into());
    }
    let auditor =
        audit.then(|| Auditor::from_engine(&engine)).transpose().map_err(|found| found.to_string())?;
    let audit = auditor.map(AuditThread::start).transpose().map_err(|error| error.to_string())?;
    Ok((engine, audit, reader))
}

/// Brings an engine to the end of the log of `blocks` blocks: newest snapshot that holds, else an older one, else
/// genesis.
///
/// # Errors
/// `REPLAY_MISMATCH`, a violation, damage of the log.
pub fn recover(dir: &Path, blocks: u64, audit: bool, progress: Progress<'_>) -> Result<Recovered, Failure> {
    let started = Instant::now();
    let mut rejected = Vec::new();
    loop {
        let loaded = snapshot::load_newest_valid(dir)?;
        rejected.extend(loaded.marked_bad.iter().map(|path| format!("{}: damaged", path.display())));
        let Some(found) = loaded.snapshot else { break };
        let attempt =
            from_snapshot(dir, &found, audit).map_err(|message| (message, None)).and_then(|parts| {
                let (engine, audit, reader) = parts;
                let mut recovered = begin(engine, audit);
                match replay_to(&mut recovered, reader, blocks, progress) {
                    Ok(()) => Ok(recovered),
                    Err(failure) => Err((failure.sentence(), Some(failure))),
                }
            });
        match attempt {
            Ok(mut recovered) => {
                recovered.snapshot_seq = Some(found.seq);
                recovered.rejected_snapshots = rejected;
                recovered.elapsed_ns = started.elapsed().as_nanos() as u64;
                return Ok(recovered);
            }
            // Only a snapshot that disagrees with the log is put aside; other failures are not its fault.
            Err((message, failure)) => {
                if let Some(failure) = failure.filter(|failure| !is_mismatch(failure)) {
                    return Err(failure);
                }
                for file in snapshot::list(dir)?.into_iter().filter(|file| file.seq == found.seq) {
                    let marked = snapshot::mark_bad(&file.path)?;
                    rejected.push(format!("{}: {message}", marked.display()));
                }
            }
        }
    }
    let mut recovered = replay_all(dir, blocks, audit, progress)?;
    recovered.rejected_snapshots = rejected;
    recovered.elapsed_ns = started.elapsed().as_nanos() as u64;
    Ok(recovered)
}

/// Replays the whole log from genesis.
pub fn replay_all(
    dir: &Path,
    blocks: u64,
    audit: bool,
    progress: Progress<'_>,
) -> Result<Recovered, Failure> {
    let started = Instant::now();
    let (engine, audit) = from_genesis(&Reader::genesis(dir)?, audit)?;
    let mut recovered = begin(engine, audit);
    replay_to(&mut recovered, Reader::open(dir, 0)?, blocks, progress)?;
    recovered.elapsed_ns = started.elapsed().as_nanos() as u64;
    Ok(recovered)
}

fn is_mismatch(failure: &Failure) -> bool {
    matches!(failure, Failure::Reject(refusal) if refusal.code == Code::REPLAY_MISMATCH)
}

fn begin(engine: Engine, audit: Option<AuditThread>) -> Recovered {
    Recovered {
        engine,
        audit,
        snapshot_seq: None,
        rejected_snapshots: Vec::new(),
        blocks: 0,
        commands: 0,
        hashes_compared: 0,
        elapsed_ns: 0,
    }
}

/// A block on its way from the reading thread to the applying one.
struct ReadBlock {
    number: u64,
    format: u16,
    payload: Vec<u8>,
}

/// Reads and checks blocks ahead of the engine; gives up when nobody listens any more.
fn read_ahead(mut reader: Reader, blocks: SyncSender<Result<ReadBlock, Failure>>, empty: Receiver<Vec<u8>>) {
    loop {
        let read = match reader.next() {
            Ok(None) => return,
            Ok(Some(block)) => {
                let mut payload = empty.try_recv().unwrap_or_default();
                payload.clear();
                payload.extend_from_slice(block.payload);
                Ok(ReadBlock { number: block.block, format: block.format, payload })
            }
            Err(error) => Err(Failure::Journal(error)),
        };
        let failed = read.is_err();
        if blocks.send(read).is_err() || failed {
            return;
        }
    }
}

/// Applies blocks until `reader` stands before block `blocks`; results and events must be the same bytes.
fn replay_to(
    recovered: &mut Recovered,
    mut reader: Reader,
    blocks: u64,
    progress: Progress<'_>,
) -> Result<(), Failure> {
    const PROGRESS_EVERY_BLOCKS: u64 = 256;
    reader.set_upper_block(Some(blocks));
    let pool = Arc::new(Pool::default());
    std::thread::scope(|scope| {
        let (full, incoming) = sync_channel(BLOCKS_READ_AHEAD);
        let (outgoing, empty) = sync_channel(BLOCKS_READ_AHEAD);
        scope.spawn(move || read_ahead(reader, full, empty));
        for block in incoming {
            let block = block?;
            replay_block(recovered, &block, &pool)?;
            if block.number % PROGRESS_EVERY_BLOCKS == 0 && !progress(block.number, blocks) {
                return Err(Failure::Thread("stopped by the caller".into()));
            }
            // A full channel means that enough buffers wait already.
            let _ = outgoing.try_send(block.payload);
        }
        Ok(())
    })?;
    if let Some(audit) = &mut recovered.audit {
        audit.finish()?;
    }
    progress(blocks, blocks);
    Ok(())
}

fn replay_block(recovered: &mut Recovered, block: &ReadBlock, pool: &Arc<Pool>) -> Result<(), Failure> {
    let content = |message: String| Failure::Content { block: block.number, message };
    if block.format != BATCH_FORMAT {
        return Err(content(format!("payload format {} is unknown", block.format)));
    }
    let view = BatchView::decode(&block.payload).map_err(content)?;
    let mut scratch = pool.take();
    replay::replay(&mut recovered.engine, &view, &mut scratch)?;
    recovered.blocks += 1;
    recovered.commands += scratch.commands.len() as u64;
    recovered.hashes_compared += recorded_hashes(&scratch);
    let storage = Arc::new(Storage::Live(Live::new(scratch, pool)));
    match &mut recovered.audit {
        Some(audit) => Ok(audit.begin(&storage)?),
        None => Ok(()),
    }
}

fn recorded_hashes(batch: &tradewind_engine::batch::Batch) -> u64 {
    use tradewind_engine::wire::event::EventKind::{SnapshotTaken, StateHashed};
    let records = |kind: u16| kind == StateHashed as u16 || kind == SnapshotTaken as u16;
    batch.output.events.iter().filter(|event| records(event.kind)).count() as u64
}
