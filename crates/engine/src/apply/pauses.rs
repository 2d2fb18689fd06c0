//! Pauses: one person stops, two others resume (protocol P7.5, P7.6, rows 0103 and 0104).

use crate::book::Book;
use crate::engine::Engine;
use crate::limits::{MAX_PAUSE_NS, RESUME_WINDOW_NS};
use crate::market::{status, Pause};
use crate::output::{Output, Subject};
use crate::state::{due, PLATFORM};
use crate::wire::command::{Command, Kind, PauseMarket, PlaceOrder, ReplaceOrder, ResumeMarket, ALL_MARKETS};
use crate::wire::error::{reject, Code, Reject};
use crate::wire::event::{EventKind, PauseBody, ResumeBody};

/// PARTIAL: no new risk; cancels, deposits and transfers go on, withdrawals queue.
const PARTIAL: u8 = 1;
/// FULL: cancels only.
const FULL: u8 = 2;

impl<B: Book> Engine<B> {
    /// Step 6 of P2.1.3: the rows PARTIAL and FULL of the halt-action matrix.
    #[inline]
    pub(crate) fn check_pauses(&self, command: &Command, kind: Kind, system: bool) -> Result<(), Reject> {
        let platform = self.state.platform_pause.as_ref();
        let market = match kind {
            Kind::PlaceOrder => Some(command.payload_as::<PlaceOrder>().market),
            Kind::ReplaceOrder => {
                let order = command.payload_as::<ReplaceOrder>().order;
                self.state.orders.find(order).map(|slot| self.state.orders[slot].market)
            }
            Kind::Deposit | Kind::RequestWithdrawal | Kind::Transfer if platform.is_some() => None,
            _ => return Ok(()),
        };
        let of_market = market
            .and_then(|market| self.state.markets.list.get(market as usize))
            .and_then(|market| market.pause.as_ref());
        match (platform, of_market) {
            (None, None) => Ok(()),
            _ => paused(kind, system, platform, of_market),
        }
    }

    fn pause_slot(&mut self, market: u32) -> Result<(&mut Option<Pause>, u64, Subject), Reject> {
        if market == ALL_MARKETS {
            return Ok((&mut self.state.platform_pause, PLATFORM, Subject::NONE));
        }
        match self.state.markets.list.get_mut(market as usize) {
            Some(entry) => Ok((&mut entry.pause, u64::from(market), Subject::market(market))),
            None => reject(Code::MARKET_NOT_FOUND, 0, i64::from(market)),
        }
    }

    pub(crate) fn pause_market(&mut self, command: &Command, output: &mut Output) -> Result<u64, Reject> {
        let request: PauseMarket = command.payload_as();
        let next = self.state.next_pause;
        self.pause_slot(request.market)?;
        if request.market != ALL_MARKETS {
            let present = self.state.markets.list[request.market as usize].status;
            if !matches!(present, status::ACTIVE | status::PAUSED) {
                return reject(Code::INVALID_TRANSITION, 0, i64::from(present));
            }
        }
        if request.level < PARTIAL || request.level > FULL {
            return reject(Code::PARAMETER_OUT_OF_BOUNDS, i64::from(FULL), i64::from(request.level));
        }
        // Category masks come with the breakers; until then a pause means the whole row.
        if request.categories != 0 || request.reserved != 0 {
            return reject(Code::PARAMETER_OUT_OF_BOUNDS, 0, i64::from(request.categories));
        }
        if request.reason.iter().all(|&byte| byte == 0 || byte == b' ') {
            return reject(Code::PARAMETER_OUT_OF_BOUNDS, 1, 0);
        }
        if request.until_ns <= command.time_ns {
            return reject(Code::PARAMETER_OUT_OF_BOUNDS, command.time_ns, request.until_ns);
        }
        let latest = command.time_ns.saturating_add(MAX_PAUSE_NS);
        if request.until_ns > latest {
            return reject(Code::PARAMETER_OUT_OF_BOUNDS, latest, request.until_ns);
        }
        let (slot, id, subject) = self.pause_slot(request.market)?;
        if let Some(old) = slot.filter(|old| old.level > request.level) {
            // A pause is only ever tightened; easing it is a resume.
            return reject(Code::INVALID_TRANSITION, i64::from(old.level), i64::from(request.level));
        }
        let old = slot.replace(Pause {
            id: next,
            level: request.level,
            until_ns: request.until_ns,
            by: command.principal,
            pending_by: [0; 32],
            pending_until_ns: 0,
        });
        if let Some(old) = old.filter(|old| old.level == PARTIAL) {
            self.state.due.remove(&(old.until_ns, due::PAUSE_END, id));
        }
        if request.level == PARTIAL {
            self.state.due.insert((request.until_ns, due::PAUSE_END, id));
        }
        if request.market != ALL_MARKETS {
            self.state.markets.list[request.market as usize].status = status::PAUSED;
        }
        self.state.next_pause += 1;
        let body = PauseBody {
            level: request.level,
            categories: 0,
            reserved: 0,
            pause_id: next,
            until_ns: request.until_ns,
            reason: request.reason,
        };
        output.emit(command, EventKind::PauseSet, subject, &body);
        Ok(u64::from(next))
    }

    pub(crate) fn resume_market(&mut self, command: &Command, output: &mut Output) -> Result<u64, Reject> {
        let request: ResumeMarket = command.payload_as();
        let (slot, id, subject) = self.pause_slot(request.market)?;
        let Some(pause) = slot.as_mut().filter(|pause| pause.id == request.pause_id) else {
            return reject(Code::INVALID_TRANSITION, 0, i64::from(request.pause_id));
        };
        let first_is_live = pause.pending_by != [0; 32] && command.time_ns <= pause.pending_until_ns;
        if pause.by == command.principal || (first_is_live && pause.pending_by == command.principal) {
            return Err(Code::SELF_APPROVAL.into());
        }
        let mut body =
            ResumeBody { pause_id: pause.id, reserved: 0, until_ns: 0, principal: command.principal };
        if !first_is_live {
            pause.pending_by = command.principal;
            pause.pending_until_ns = command.time_ns.saturating_add(RESUME_WINDOW_NS);
            body.until_ns = pause.pending_until_ns;
            output.emit(command, EventKind::ResumePending, subject, &body);
            return Ok(u64::from(request.pause_id));
        }
        let ended = slot.take().expect("present above");
        if ended.level == PARTIAL {
            self.state.due.remove(&(ended.until_ns, due::PAUSE_END, id));
        }
        if let Some(market) = self.state.markets.list.get_mut(request.market as usize) {
            if market.status == status::PAUSED {
                market.status = status::ACTIVE;
            }
        }
        output.emit(command, EventKind::Resumed, subject, &body);
        Ok(u64::from(request.pause_id))
    }
}

/// Whether the pauses in force forbid a command of this kind.
#[cold]
fn paused(
    kind: Kind,
    system: bool,
    platform: Option<&Pause>,
    of_market: Option<&Pause>,
) -> Result<(), Reject> {
    let trading = matches!(kind, Kind::PlaceOrder | Kind::ReplaceOrder);
    let blocking = [platform, of_market].into_iter().flatten().find(|pause| trading || pause.level >= FULL);
    match blocking {
        Some(pause) if !(kind == Kind::Deposit && system && pause.level < FULL) => {
            reject(Code::PAUSED, pause.until_ns, i64::from(pause.level))
        }
        _ => Ok(()),
    }
}
