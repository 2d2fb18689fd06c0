//! Manipulation detection: declared links, cases, and what a score leads to (protocol P12, row 0704).

use super::hooks::Print;
use crate::book::{Book, Level};
use crate::detect::rules::{evidence_ns, step, DEPTH_LEVELS, STEP_NS};
use crate::detect::watch::{Fill, Raised};
use crate::detect::{Asked, Case};
use crate::engine::Engine;
use crate::limits::MAX_OWNER_LINKS;
use crate::order::{flag, Order};
use crate::output::{Output, Subject};
use crate::wire::command::{asset_flag, CloseCase, Command, LinkOwners};
use crate::wire::error::{reject, Code, Reject};
use crate::wire::event::{
    cancel_reason, CaseBody, DetectionBody, EventKind, OwnerLinkBody, SlowedBody, NO_ACCOUNT,
};

impl<B: Book> Engine<B> {
    /// 0704/0: the envelope's owner and another count as one, or no longer do.
    pub(crate) fn link_owners(
        &mut self,
        command: &Command,
        first: u32,
        output: &mut Output,
    ) -> Result<u64, Reject> {
        let request: LinkOwners = command.payload_as();
        check_reserved(request.reserved, request.reserved2, request.reserved3)?;
        if request.linked > 1 {
            return reject(Code::PARAMETER_OUT_OF_BOUNDS, 1, i64::from(request.linked));
        }
        let other = self.state.accounts.find(&request.other).ok_or(Reject::from(Code::ACCOUNT_NOT_FOUND))?;
        if other == first {
            return reject(Code::PARAMETER_OUT_OF_BOUNDS, i64::from(first), i64::from(other));
        }
        if request.evidence_hash == [0; 32] {
            return Err(Code::EVIDENCE_INVALID.into());
        }
        let links = &mut self.state.detector.links;
        match request.linked {
            1 if links.linked(first, other) => {
                return reject(Code::ALREADY_EXISTS, 0, i64::from(other));
            }
            1 if links.is_full() => {
                return reject(Code::CAPACITY_EXCEEDED, MAX_OWNER_LINKS as i64, MAX_OWNER_LINKS as i64);
            }
            1 => {
                links.link(first, other);
            }
            _ if !links.unlink(first, other) => {
                return reject(Code::INVALID_TRANSITION, 1, 0);
            }
            _ => {}
        }
        let body = OwnerLinkBody {
            other,
            linked: request.linked,
            reserved: 0,
            reserved2: 0,
            evidence_hash: request.evidence_hash,
        };
        output.emit(command, EventKind::OwnersLinked, Subject::account(first, 0), &body);
        Ok(u64::from(other))
    }

    /// 0704/1: a person has looked at a case. Unfounded: an account that it slowed is free at once.
    pub(crate) fn close_case(&mut self, command: &Command, output: &mut Output) -> Result<u64, Reject> {
        let request: CloseCase = command.payload_as();
        check_reserved(request.reserved, request.reserved2, request.reserved3)?;
        if request.founded > 1 {
            return reject(Code::PARAMETER_OUT_OF_BOUNDS, 1, i64::from(request.founded));
        }
        let detector = &mut self.state.detector;
        let Some(case) = detector.case(request.case).copied() else {
            return reject(Code::INVALID_TRANSITION, detector.last_case as i64, request.case as i64);
        };
        if request.evidence_hash == [0; 32] {
            return Err(Code::EVIDENCE_INVALID.into());
        }
        detector.remove_case(request.case);
        let subject = case_subject(&case);
        let body = CaseBody {
            case: request.case,
            opened_ns: case.opened_ns,
            signals: case.signals,
            score: case.score,
            founded: request.founded,
            reserved: 0,
            evidence_hash: request.evidence_hash,
        };
        output.emit(command, EventKind::CaseClosed, subject, &body);
        let unfounded = request.founded == 0 && case.account != NO_ACCOUNT;
        if unfounded && self.state.detector.free(&mut self.state.due, case.account) {
            self.emit_freed(command, case.account, output);
        }
        Ok(request.case)
    }

    fn emit_freed(&self, command: &Command, account: u32, output: &mut Output) {
        let body = SlowedBody { until_ns: command.time_ns, case: 0 };
        output.emit(command, EventKind::AccountFreed, Subject::account(account, 0), &body);
    }

    /// A fill enters the statistics of its market.
    #[inline]
    pub(crate) fn detect_fill(&mut self, now_ns: i64, print: &Print) {
        let fill = Fill {
            price: print.price,
            lots: print.lots,
            notional: print.notional,
            taker: print.taker,
            maker: print.maker,
            taker_side: print.taker_side,
            linked: false,
        };
        self.state.detector.fill(&mut self.state.due, print.market, fill, now_ns);
    }

    /// An order was accepted or moved.
    #[inline(always)]
    pub(crate) fn detect_order(&mut self, order: &Order) {
        if let Some(watch) = self.state.detector.watch(order.market) {
            watch.order(order.account);
        }
    }

    /// An order is about to leave the book.
    #[inline]
    pub(crate) fn detect_cancel(&mut self, order: &Order, reason: u8, now_ns: i64) {
        // What waits for a trigger is in no book and deceives nobody.
        let own = matches!(reason, cancel_reason::USER | cancel_reason::CANCEL_ALL);
        if !own || order.flags & flag::WAITING != 0 {
            return;
        }
        let Some(watch) = self.state.detector.watch(order.market) else {
            return;
        };
        if let Some(first) = watch.wants_cancel(order.account, order.side, now_ns) {
            self.record_cancel(order, first, now_ns);
        }
    }

    #[cold]
    fn record_cancel(&mut self, order: &Order, first: bool, now_ns: i64) {
        let depth = first.then(|| self.depth_lots(order.market, order.side));
        let watch = self.state.detector.watch(order.market).expect("the caller found it");
        watch.cancel(order.account, order.side, order.price, order.remaining, depth, now_ns);
    }

    fn depth_lots(&self, market: u32, side: u8) -> i64 {
        let (mut lots, mut levels) = (0_i64, 0);
        self.state.books[market as usize].levels(side, &mut |level: Level| {
            lots = lots.saturating_add(level.lots);
            levels += 1;
            levels < DEPTH_LEVELS
        });
        lots
    }

    /// A market's second is over, or an account's slow time.
    pub(crate) fn detection_due(&mut self, command: &Command, id: u64, output: &mut Output) {
        let now_ns = command.time_ns;
        let market = match self.state.detector.asked(&mut self.state.due, id, now_ns) {
            Asked::FreeAccount(account) => return self.emit_freed(command, account, output),
            Asked::Judge(market) => market,
        };
        let in_dollars = self.counts_in_dollars(market);
        let mut raised = Vec::new();
        let watch = self.state.detector.watch(market).expect("a judged market is watched");
        watch.judge(in_dollars, now_ns, &mut raised);
        for one in raised {
            self.take_steps(command, market, &one, output);
        }
    }

    /// Whether a market's quote is the platform's unit of account, or a stable asset, or there is no other unit.
    fn counts_in_dollars(&self, market: u32) -> bool {
        let quote = self.state.markets.list[market as usize].quote;
        let flags = self.state.assets[quote as usize].flags;
        flags & (asset_flag::SETTLEMENT | asset_flag::STABLE) != 0 || self.settlement_asset().is_none()
    }

    /// The steps of P12.2, each an event.
    #[cold]
    fn take_steps(&mut self, command: &Command, market: u32, raised: &Raised, output: &mut Output) {
        let now_ns = command.time_ns;
        let account = raised.account.unwrap_or(NO_ACCOUNT);
        if raised.account.is_some_and(|account| self.is_system(account, now_ns)) {
            return;
        }
        let case = Case { market, account, opened_ns: now_ns, signals: raised.signals, score: raised.score };
        let known = self.state.detector.open_case(market, account);
        let number = match known {
            None if raised.step >= step::WATCH => self.state.detector.add_case(case),
            known => known,
        };
        let subject = case_subject(&case);
        let body = DetectionBody {
            step: raised.step,
            score: raised.score,
            signals: raised.signals,
            insufficient: raised.insufficient,
            reserved: 0,
            from_ns: now_ns.saturating_sub(evidence_ns(raised.signals)),
            until_ns: now_ns,
            case: number.unwrap_or(0),
            last_price: raised.last_price,
            volume: raised.volume,
            expected: raised.expected,
        };
        output.emit(command, EventKind::ManipulationAlert, subject, &body);
        if let Some(number) = number.filter(|_| known.is_none()) {
            let body = CaseBody {
                case: number,
                opened_ns: now_ns,
                signals: raised.signals,
                score: raised.score,
                founded: 0,
                reserved: 0,
                evidence_hash: [0; 32],
            };
            output.emit(command, EventKind::CaseOpened, subject, &body);
        }
        if raised.step >= step::SLOW && account != NO_ACCOUNT {
            let until_ns = now_ns.saturating_add(STEP_NS);
            self.state.detector.slow(&mut self.state.due, account, until_ns);
            let body = SlowedBody { until_ns, case: number.unwrap_or(0) };
            output.emit(command, EventKind::AccountSlowed, Subject::account(account, 0), &body);
        }
    }

    /// Accounts of SYSTEM show what an outside book shows; they manipulate nothing.
    fn is_system(&self, account: u32, now_ns: i64) -> bool {
        let owner = &self.state.accounts.list[account as usize].owner_key;
        self.state.roles.standing(owner, now_ns).unwrap_or(false)
    }
}

fn case_subject(case: &Case) -> Subject {
    Subject { market: case.market, account: case.account, ..Subject::NONE }
}

fn check_reserved(first: u8, second: u16, third: u32) -> Result<(), Reject> {
    match u32::from(first) | u32::from(second) | third {
        0 => Ok(()),
        given => reject(Code::RESERVED_NOT_ZERO, 0, i64::from(given)),
    }
}
