//! Engine events into the mirror's queues, and whether a batch concerns anybody but the mirror.

use tradewind_engine::wire::command::Command;
use tradewind_engine::wire::event::{Event, EventKind, OrderBody, Posting, TradeBody};
use tradewind_engine::BatchView;

use crate::commands::Encoder;
use crate::mirror::Mirror;
use crate::queues::Entry;
use crate::Side;

/// The mirror's accounts in the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handles {
    pub maker: u32,
    pub taker: u32,
}

impl Handles {
    fn owns(&self, account: u32) -> bool {
        account == self.maker || account == self.taker
    }
}

/// One paper market: the mirror, how it speaks to the engine, and what the feed said last.
#[derive(Clone, Debug)]
pub struct Market {
    pub mirror: Mirror,
    pub encoder: Encoder,
    pub handles: Handles,
    /// When the last book update came.
    pub as_of_ns: Option<i64>,
    pub last_price_ticks: Option<i64>,
    /// Actions that the engine refused.
    pub refused_actions: u64,
    /// Prints of a replay of which nobody heard one by one.
    pub unheard: Vec<Unheard>,
}

/// Prints of one second: when the first came, and the venue's lots of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unheard {
    pub first_ns: i64,
    pub lots: i128,
}

const SECOND_NS: i64 = 1_000_000_000;

impl Market {
    /// Takes in what happened in this market: `events` are the bytes of a batch's events.
    pub fn fold_bytes(&mut self, events: &[u8]) {
        let market = self.encoder.market;
        for event in records::<Event>(events).filter(|event| event.market == market) {
            let event = &event;
            match EventKind::from_code(event.kind) {
                Some(EventKind::OrderAccepted | EventKind::OrderReplaced) => self.on_order(event, false),
                Some(EventKind::OrderRested) => self.on_order(event, true),
                Some(EventKind::Trade) => self.on_trade(event),
                Some(EventKind::OrderCancelled) => {
                    self.mirror.queues.remove(event.order);
                }
                _ => {}
            }
        }
    }

    /// Notes a print of which nobody hears by itself.
    pub fn unheard(&mut self, lots: i64, now_ns: i64) {
        let lots = i128::from(lots);
        match self.unheard.last_mut() {
            Some(last) if last.first_ns / SECOND_NS == now_ns / SECOND_NS => last.lots += lots,
            _ => self.unheard.push(Unheard { first_ns: now_ns, lots }),
        }
    }

    fn on_order(&mut self, event: &Event, rests: bool) {
        let body: OrderBody = event.body_as();
        let queues = &mut self.mirror.queues;
        let side = Side::from_number(body.side).filter(|_| rests || body.resting != 0);
        let Some(side) = side else {
            queues.remove(event.order);
            return;
        };
        queues.rest(Entry {
            order: event.order,
            side,
            price_ticks: body.price,
            lots: body.remaining_lots,
            total_lots: body.total_lots,
            priority: body.priority,
            mirror: event.account == self.handles.maker,
            account: event.account,
        });
    }

    fn on_trade(&mut self, event: &Event) {
        let body: TradeBody = event.body_as();
        let entry = self.mirror.queues.reduce(body.maker_order, body.maker_remaining);
        if let Some(entry) = entry.filter(|entry| entry.mirror && !self.handles.owns(event.account)) {
            self.mirror.taken(entry.side, body.price, body.lots, event.time_ns);
        }
    }
}

/// Whether a batch is the mirror's alone: its orders, its trades with itself, nothing on another account.
///
/// `mirror_accounts` are the derived ids that its commands name.
pub fn is_quiet(view: &BatchView<'_>, handles: Handles, mirror_accounts: [&[u8; 32]; 2]) -> bool {
    let sent = |command: &Command| mirror_accounts.contains(&&command.account) || command.account == [0; 32];
    let told = |event: &Event| {
        let usual = match EventKind::from_code(event.kind) {
            Some(EventKind::Trade) => handles.owns(event.body_as::<TradeBody>().maker_account),
            Some(
                EventKind::OrderAccepted
                | EventKind::OrderRested
                | EventKind::OrderReplaced
                | EventKind::OrderCancelled,
            ) => true,
            _ => false,
        };
        usual && handles.owns(event.account)
    };
    // lines from 0x80 on belong to markets and pools
    let posted = |posting: &Posting| posting.line >= FIRST_SYSTEM_LINE || handles.owns(posting.owner);
    records(view.events).all(|event| told(&event))
        && records(view.postings).all(|posting| posted(&posting))
        && records(view.commands).all(|command| sent(&command))
}

/// Lines below belong to accounts.
const FIRST_SYSTEM_LINE: u8 = 0x80;

/// The records of an array, wherever it lies.
pub fn records<T: bytemuck::Pod>(bytes: &[u8]) -> impl Iterator<Item = T> + '_ {
    bytes.chunks_exact(size_of::<T>()).map(bytemuck::pod_read_unaligned)
}
