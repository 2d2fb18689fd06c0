//! Rows against mirrors and engine without a word from outside, until somebody has to be asked.
//!
//! The order of things is the one in which a session handles messages one by one: time passes in steps of at most
//! [`MAX_STEP_NS`] that also end when the owner's own time has come, at each of which the mirrors look at what is due and an engine that was not told the time for long
//! gets a tick; then the message is mirrored; then the mirrors look again.

use tradewind_engine::wire::command::Command;
use tradewind_engine::BatchView;

use crate::fold::{is_quiet, Market};
use crate::rows::{Message, Rows, What};
use crate::Action;

/// Longest step of virtual time between two looks.
pub const MAX_STEP_NS: i64 = 100_000_000;
/// An engine that was not told the time for longer gets a tick.
pub const TICK_AFTER_NS: i64 = 1_000_000_000;

/// The engine, and whoever waits for answers.
pub trait Host {
    type Error;

    /// Applies commands at a moment.
    ///
    /// # Errors
    /// The engine has stopped.
    fn apply(&mut self, commands: &[Command], now_ns: i64) -> Result<(), Self::Error>;

    /// What the last commands led to.
    fn batch(&self) -> BatchView<'_>;

    /// Whether the command at this place of the last batch was accepted.
    fn accepted(&self, place: usize) -> bool;

    /// The last batch concerns somebody else than the mirror: tell them, at this moment.
    ///
    /// # Errors
    /// They could not take it.
    fn tell(&mut self, now_ns: i64) -> Result<(), Self::Error>;

    /// When the next request or report is due.
    fn due_ns(&self) -> Option<i64>;

    /// Time of the engine's last command.
    fn engine_time_ns(&self) -> i64;

    /// The engine's tick.
    fn tick(&self) -> Command;
}

/// Why the loop came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// A request or report is due: handle everything up to this moment; unless a message of this very moment comes
    /// next, the owner looks at its own time then.
    Queue { until_ns: i64, arriving: bool },
    /// The owner's own time has come; it is `Cursor::now_ns`.
    Wake,
    /// The message at this place was mirrored, and somebody wants to hear of it.
    Message { index: usize },
    /// The message at this place is the caller's: mirror it and go on behind it.
    Kept { index: usize },
    /// No message is left, or the next one is later than was asked for.
    End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Time passes up to the next message.
    Advance,
    /// Time has passed; what is due at this very moment comes before the message.
    Arrive,
    /// The message itself.
    Mirror,
}

/// Where a replay stands.
#[derive(Clone, Copy, Debug)]
pub struct Cursor {
    pub next: usize,
    pub now_ns: i64,
    /// Rows of messages that were mirrored here.
    pub rows: u64,
    phase: Phase,
    /// Somebody acted at the moment of the next message: they hear of it, whatever it is.
    tell_next: bool,
}

impl Cursor {
    pub fn new(now_ns: i64) -> Self {
        Cursor { next: 0, now_ns, rows: 0, phase: Phase::Advance, tell_next: false }
    }
}

/// What is wanted of one market's messages.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wants {
    pub book: bool,
    pub trades: bool,
}

impl Wants {
    fn take(self, what: What) -> bool {
        match what {
            What::Difference => self.book,
            What::Trade => self.trades,
            What::Best | What::Other => false,
        }
    }
}

/// One run over the rows.
pub struct Run<'a, 'm, H: Host> {
    pub rows: &'a Rows,
    /// In the order of the venue.
    pub markets: &'a mut [&'m mut Market],
    /// The market of each symbol of the rows.
    pub places: &'a [Option<usize>],
    /// By market.
    pub wants: &'a [Wants],
    /// Whether messages of symbols without a market are wanted.
    pub foreign: bool,
    /// Later messages wait.
    pub until_ns: i64,
    /// When the owner wants to be called.
    pub wake_ns: i64,
    pub host: &'a mut H,
    /// Room for one plan.
    pub actions: Vec<Action>,
    pub commands: Vec<Command>,
}

impl<H: Host> Run<'_, '_, H> {
    /// Goes on until there is a reason to come back.
    ///
    /// # Errors
    /// The engine has stopped.
    pub fn run(&mut self, cursor: &mut Cursor) -> Result<Stop, H::Error> {
        while let Some(message) = self.rows.get(cursor.next) {
            if message.recv_ns > self.until_ns {
                return Ok(Stop::End);
            }
            if message.what == What::Other {
                let index = cursor.next;
                cursor.next += 1;
                cursor.tell_next = false;
                return Ok(Stop::Kept { index });
            }
            if let Some(stop) = self.step(cursor, message)? {
                return Ok(stop);
            }
        }
        Ok(Stop::End)
    }

    fn step(&mut self, cursor: &mut Cursor, message: &Message) -> Result<Option<Stop>, H::Error> {
        let arrival_ns = message.recv_ns.max(cursor.now_ns);
        if cursor.phase == Phase::Advance {
            if let Some(stop) = self.advance(cursor, arrival_ns)? {
                return Ok(Some(stop));
            }
        }
        if cursor.phase == Phase::Arrive {
            cursor.phase = Phase::Mirror;
            if !self.waits(arrival_ns) {
                self.due(arrival_ns)?;
            }
            if self.waits(arrival_ns) {
                cursor.tell_next = true;
                return Ok(Some(Stop::Queue { until_ns: arrival_ns, arriving: true }));
            }
        }
        cursor.phase = Phase::Advance;
        cursor.rows += self.rows.rows_of(message);
        let index = cursor.next;
        cursor.next += 1;
        let Some(place) = self.places.get(usize::from(message.symbol)).copied().flatten() else {
            let told = std::mem::take(&mut cursor.tell_next) || self.foreign;
            return Ok(told.then_some(Stop::Message { index }));
        };
        self.mirror(place, message, arrival_ns)?;
        self.due(arrival_ns)?;
        if std::mem::take(&mut cursor.tell_next) || self.wants[place].take(message.what) {
            return Ok(Some(Stop::Message { index }));
        }
        if message.what == What::Trade {
            let lots = self.rows.bids(message).first().map_or(0, |&(_, lots)| lots);
            self.markets[place].unheard(lots, arrival_ns);
        }
        Ok(None)
    }

    /// Lets time pass up to a message.
    fn advance(&mut self, cursor: &mut Cursor, arrival_ns: i64) -> Result<Option<Stop>, H::Error> {
        loop {
            let due_ns = self.host.due_ns();
            let bound_ns = due_ns.map_or(arrival_ns, |due_ns| due_ns.max(0));
            // The owner's own moment is a step of its own: its timers run on time, not with the next message.
            let wake_ns = self.wake_ns.max(cursor.now_ns.saturating_add(1));
            let step_ns = bound_ns.min(cursor.now_ns.saturating_add(MAX_STEP_NS)).min(wake_ns);
            let last = step_ns >= arrival_ns;
            let step_ns = if last { arrival_ns } else { step_ns.max(cursor.now_ns) };
            if last {
                cursor.phase = Phase::Arrive;
            }
            if !self.waits(step_ns) {
                cursor.now_ns = step_ns;
                self.due(step_ns)?;
            }
            if self.waits(step_ns) {
                return Ok(Some(Stop::Queue { until_ns: step_ns, arriving: false }));
            }
            if step_ns - self.host.engine_time_ns() > TICK_AFTER_NS {
                self.commands.clear();
                self.commands.push(self.host.tick());
                self.apply(step_ns)?;
            }
            if step_ns >= self.wake_ns {
                return Ok(Some(Stop::Wake));
            }
            if last {
                return Ok(None);
            }
        }
    }

    /// Whether a request or report is due; what a mirror just did may have led to one.
    fn waits(&self, now_ns: i64) -> bool {
        self.host.due_ns().is_some_and(|due_ns| due_ns <= now_ns)
    }

    /// What is due in any of the mirrors.
    fn due(&mut self, now_ns: i64) -> Result<(), H::Error> {
        for place in 0..self.markets.len() {
            self.actions.clear();
            self.markets[place].mirror.due(now_ns, &mut self.actions);
            self.act(place, now_ns)?;
        }
        Ok(())
    }

    fn mirror(&mut self, place: usize, message: &Message, now_ns: i64) -> Result<(), H::Error> {
        let market = &mut *self.markets[place];
        self.actions.clear();
        match message.what {
            What::Difference => {
                market.as_of_ns = Some(now_ns);
                let changes = self.rows.changes(message);
                market.mirror.diff(changes, message.venue_ts_ns, now_ns, &mut self.actions);
            }
            What::Trade => {
                if let Some(&(price_ticks, lots)) = self.rows.bids(message).first() {
                    market.last_price_ticks = Some(price_ticks);
                    let (aggressor, time_ns) = (message.aggressor, message.venue_ts_ns);
                    let lots = i128::from(lots);
                    market.mirror.trade(price_ticks, lots, aggressor, time_ns, &mut self.actions);
                }
            }
            What::Best | What::Other => {}
        }
        self.act(place, now_ns)
    }

    /// Sends the planned actions of a market as one batch.
    fn act(&mut self, place: usize, now_ns: i64) -> Result<(), H::Error> {
        if self.actions.is_empty() {
            return Ok(());
        }
        self.commands.clear();
        let encoder = self.markets[place].encoder;
        self.commands.extend(self.actions.iter().map(|action| encoder.command(action)));
        self.apply(now_ns)?;
        let market = &mut *self.markets[place];
        for (number, action) in self.actions.iter().enumerate() {
            if !self.host.accepted(number) {
                market.refused_actions += 1;
                market.mirror.refused(action);
            }
        }
        Ok(())
    }

    fn apply(&mut self, now_ns: i64) -> Result<(), H::Error> {
        self.host.apply(&self.commands, now_ns)?;
        let view = self.host.batch();
        for market in &mut *self.markets {
            market.fold_bytes(view.events);
        }
        let Some(first) = self.markets.first() else { return Ok(()) };
        let accounts = [&first.encoder.maker.account, &first.encoder.taker.account];
        if is_quiet(&view, first.handles, accounts) {
            return Ok(());
        }
        self.host.tell(now_ns)
    }
}
