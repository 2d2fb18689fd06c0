//! The sequencer: stamps commands, adds what the protocol demands, and turns a broken invariant into a stop.

use std::panic::{catch_unwind, AssertUnwindSafe};

use crate::batch::Batch;
use crate::book::Book;
use crate::engine::Engine;
use crate::limits::{MAX_ORDER_BATCH, MAX_TIME_JUMP_NS};
use crate::read_ahead::GROUP;
use crate::wire::command::{AdvanceTime, Command, Continue, Kind, PlaceBatch, COMMAND_SIZE};
use crate::wire::error::{reject, Code, Reject};
use crate::wire::record::Record;

const PLACE_BATCH: (u16, u8) = Kind::PlaceBatch.code();
const BATCH_ITEM: (u16, u8) = Kind::BatchItem.code();
/// Where the header of a batch of orders says how many items follow.
const FOLLOWING: usize = core::mem::offset_of!(PlaceBatch, following);

/// Most commands in one batch.
pub const MAX_BATCH: usize = 1 << 16;

/// Stamps and applies `input` (whole command records) at `now_ns`; results come in the order of submission.
///
/// Time never goes back: an earlier `now_ns` is replaced by the engine's time.
///
/// # Errors
/// `MALFORMED_FRAME` for a cut record, `CAPACITY_EXCEEDED` for more than [`MAX_BATCH`] commands (nothing is applied);
/// `INVARIANT_BROKEN` when the engine stopped, `ENGINE_STOPPED` when it had before.
pub fn apply_batch<B: Book>(
    engine: &mut Engine<B>,
    input: &[u8],
    now_ns: i64,
    batch: &mut Batch,
) -> Result<(), Reject> {
    if input.len() % COMMAND_SIZE != 0 {
        return reject(Code::MALFORMED_FRAME, COMMAND_SIZE as i64, input.len() as i64);
    }
    let count = input.len() / COMMAND_SIZE;
    if count > MAX_BATCH {
        return reject(Code::CAPACITY_EXCEEDED, MAX_BATCH as i64, count as i64);
    }
    guarded(engine, |engine| {
        let time_ns = now_ns.max(engine.time_ns());
        finish_pending(engine, time_ns, batch);
        if time_ns.saturating_sub(engine.time_ns()) > MAX_TIME_JUMP_NS {
            let mut reason = [0; 48];
            reason[..15].copy_from_slice(b"sequencer clock");
            let command = own(engine, Kind::AdvanceTime).with(&AdvanceTime { reason });
            run_own(engine, &command, time_ns, batch);
        }
        let base = batch.submitted.len();
        batch.commands.reserve(count);
        batch.results.reserve(count);
        batch.submitted.reserve(count);
        batch.output.reserve(count);
        for group in input.chunks(GROUP * COMMAND_SIZE) {
            // They are stamped and applied where they lie, so that none is copied by itself.
            match bytemuck::try_cast_slice::<u8, Command>(group) {
                Ok(commands) => batch.commands.extend_from_slice(commands),
                // Bytes of a caller that does not align them to 8.
                Err(_) => batch
                    .commands
                    .extend(group.chunks_exact(COMMAND_SIZE).map(bytemuck::pod_read_unaligned::<Command>)),
            }
            engine.read_ahead(&batch.commands[batch.results.len()..]);
            while batch.results.len() < batch.commands.len() {
                submit(engine, (input, base), time_ns, batch);
            }
        }
        finish_pending(engine, time_ns, batch);
    })
}

/// Items of a batch of orders that follow its header in the same submission, from the sender of the header.
fn following(header: &Command, behind: &[u8]) -> u8 {
    let count = header.payload_as::<PlaceBatch>().count.min(MAX_ORDER_BATCH);
    let items = behind.chunks_exact(COMMAND_SIZE).map(bytemuck::pod_read_unaligned::<Command>);
    let belongs = |item: &Command| {
        (item.kind, item.op) == Kind::BatchItem.code()
            && (item.principal, item.account) == (header.principal, header.account)
    };
    items.take(usize::from(count)).take_while(belongs).count() as u8
}

/// Applies commands that carry their stamps already (replay, followers).
///
/// # Errors
/// As [`apply_batch`].
pub fn apply_stamped<B: Book>(
    engine: &mut Engine<B>,
    commands: impl Iterator<Item = Command>,
    batch: &mut Batch,
) -> Result<(), Reject> {
    guarded(engine, |engine| {
        let first = batch.commands.len();
        batch.commands.extend(commands);
        let Batch { commands, results, output, submitted, .. } = batch;
        let count = commands.len() - first;
        results.reserve(count);
        output.reserve(count);
        submitted.extend(first as u32..commands.len() as u32);
        for group in commands[first..].chunks(GROUP) {
            engine.read_ahead(group);
            results.extend(group.iter().map(|command| engine.apply(command, output)));
        }
    })
}

fn guarded<B: Book>(engine: &mut Engine<B>, work: impl FnOnce(&mut Engine<B>)) -> Result<(), Reject> {
    if let Some(seq) = engine.stopped() {
        return reject(Code::ENGINE_STOPPED, seq as i64, 0);
    }
    // A panic is a broken invariant: the half-changed state is never used again.
    if catch_unwind(AssertUnwindSafe(|| work(engine))).is_err() {
        engine.stop();
        return reject(Code::INVARIANT_BROKEN, 0, engine.next_seq() as i64 - 1);
    }
    Ok(())
}

/// Stamps and applies `commands` one by one, each of them and each continuation by `apply`: what single commands cost.
/// Unlike [`apply_batch`] it neither advances time nor catches a broken invariant.
pub fn apply_singly<B: Book>(
    engine: &mut Engine<B>,
    commands: &[Command],
    time_ns: i64,
    mut apply: impl FnMut(&mut Engine<B>, &Command),
) {
    for command in commands {
        let mut next = Some(*command);
        while let Some(mut stamped) = next {
            (stamped.seq, stamped.time_ns) = (engine.next_seq(), time_ns);
            apply(engine, &stamped);
            let token = engine.pending_token().filter(|_| !engine.collects_batch());
            next = token.map(|token| own(engine, Kind::Continue).with(&Continue { token }));
        }
    }
}

fn own<B: Book>(engine: &Engine<B>, kind: Kind) -> Command {
    Command { principal: engine.system_principal(), shard: engine.shard(), ..Command::new(kind) }
}

#[cold]
fn finish_pending<B: Book>(engine: &mut Engine<B>, time_ns: i64, batch: &mut Batch) {
    while let Some(token) = engine.pending_token() {
        let command = own(engine, Kind::Continue).with(&Continue { token });
        run_own(engine, &command, time_ns, batch);
        // A refused continuation would be asked for again for ever, and nothing else may run beside it.
        let refused = batch.results.last().filter(|result| result.accepted == 0);
        assert!(refused.is_none(), "continuation {token} was refused: {refused:?}");
    }
}

/// Applies the first command of the batch that has no result yet.
#[inline]
fn submit<B: Book>(engine: &mut Engine<B>, (input, base): (&[u8], usize), time_ns: i64, batch: &mut Batch) {
    let Command { kind, op, .. } = batch.commands[batch.results.len()];
    if (kind, op) == PLACE_BATCH {
        return submit_header(engine, (input, base), time_ns, batch);
    }
    if engine.pending_token().is_some() && (kind, op) != BATCH_ITEM {
        // An item that never reached the engine left its batch open: it is given up.
        finish_pending(engine, time_ns, batch);
    }
    batch.submitted.push(batch.results.len() as u32);
    run(engine, time_ns, batch);
    if engine.pending_token().is_some() && !engine.collects_batch() {
        finish_pending(engine, time_ns, batch);
    }
}

/// Stamps a batch's header with the number of items that follow it.
#[cold]
fn submit_header<B: Book>(
    engine: &mut Engine<B>,
    (input, base): (&[u8], usize),
    time_ns: i64,
    batch: &mut Batch,
) {
    finish_pending(engine, time_ns, batch);
    let behind = (batch.submitted.len() - base + 1) * COMMAND_SIZE;
    let position = batch.results.len();
    let following = following(&batch.commands[position], input.get(behind..).unwrap_or(&[]));
    batch.commands[position].payload[FOLLOWING] = following;
    batch.submitted.push(position as u32);
    run(engine, time_ns, batch);
}

/// Applies a command of the sequencer before those that have no result yet.
fn run_own<B: Book>(engine: &mut Engine<B>, command: &Command, time_ns: i64, batch: &mut Batch) {
    batch.commands.insert(batch.results.len(), *command);
    run(engine, time_ns, batch);
}

/// Stamps the first command that has no result yet where it lies in the batch, and applies it.
#[inline]
fn run<B: Book>(engine: &mut Engine<B>, time_ns: i64, batch: &mut Batch) {
    let command = &mut batch.commands[batch.results.len()];
    command.seq = engine.next_seq();
    command.time_ns = time_ns;
    batch.results.push(engine.apply(command, &mut batch.output));
}

/// A command of the sequencer as bytes, unstamped: Tick, Snapshot, Checkpoint.
pub fn system_command<B: Book>(engine: &Engine<B>, kind: Kind) -> Vec<u8> {
    own(engine, kind).bytes().to_vec()
}
