//! Archive and tombstone of settled outcome markets (protocol P1.6.5, row 0107).

use crate::amm::question::Question;
use crate::book::Book;
use crate::engine::Engine;
use crate::id::verse_id;
use crate::ledger::line;
use crate::limits::PRUNE_AFTER_NS;
use crate::market::status;
use crate::output::{Output, Subject};
use crate::record520::{ArchivedMarket, WINNER_INVALID};
use crate::record_number::ArchivedNumber;
use crate::resolution::payout::Payout;
use crate::resolution::Resolution;
use crate::wire::command::{Command, PruneMarket};
use crate::wire::error::{reject, Code, Reject};
use crate::wire::event::{EventKind, PrunedBody};
use crate::wire::pool::amm_kind;

impl<B: Book> Engine<B> {
    /// The records of P1.6 that a settled market of outcomes is archived by, base record first, behind them the one of
    /// its number; None for every other market. Volumes and links are not kept by the engine and are zero: the log has
    /// the trades.
    pub fn market_archive(&self, handle: u32) -> Option<Vec<u8>> {
        let market = self.state.markets.list.get(handle as usize)?;
        if !market.has_outcomes() || market.status != status::SETTLED {
            return None;
        }
        let resolution = self.state.resolutions.get(handle)?;
        let payout = resolution.standing();
        let question = self.state.questions.of_archive(handle);
        let verse = self.state.verses.get(self.state.verses.of_market(handle));
        let record = ArchivedMarket {
            header_flags: 0,
            market_id: market.id,
            condition_id: self.state.venues.of_market(handle).map_or([0; 32], |entry| entry.condition),
            verse_id: verse.map_or([0; 32], |verse| verse_id(&verse.slug)),
            prices: payout.ppm().iter().map(|&ppm| u64::from(ppm)).collect(),
            volumes: vec![0; usize::from(payout.outcomes())],
            liquidity: 0,
            settle_time_ns: market.settle_time_ns,
            resolution_time_ns: resolution.until_ns,
            evidence_hash: [0; 32],
            resolution_id: [0; 32],
            liquidation_accumulator: 0,
            links: Vec::new(),
            links_total: 0,
            winner: winner_of(payout),
            amm_kind: question.map_or(amm_kind::NONE, |_| amm_kind::DISTRIBUTION),
            status: market.status,
            pause_level: 0,
            halt_reasons: 0,
        };
        let mut records = record.encode().expect("a settled market is sound");
        if let Some(question) = question {
            let number = number_of(market.id, question, payout).encode();
            records.extend_from_slice(&number.expect("a pool keeps within its bounds"));
        }
        Some(records)
    }

    /// 0107: releases what a settled market still occupies, once its records were archived. What stays is its id and
    /// the hash of the archive; its verse goes on naming it.
    ///
    /// # Errors
    /// `MARKET_NOT_FOUND`, `INVALID_MARKET_KIND`, `INVALID_TRANSITION` unless SETTLED, `TOO_EARLY` (bound: 48 h after
    /// FINAL), `MARKET_HAS_OPEN_INTEREST` while claims exist (also worthless ones: they are redeemed for nothing), a
    /// pool, providers, the backing of a number or money are left, `EVIDENCE_INVALID` unless the hash is that of [`Engine::market_archive`].
    pub(crate) fn prune_market(&mut self, command: &Command, output: &mut Output) -> Result<u64, Reject> {
        let request: PruneMarket = command.payload_as();
        if request.reserved != 0 {
            return reject(Code::RESERVED_NOT_ZERO, 0, i64::from(request.reserved));
        }
        let market = self.market_of_outcomes(request.market)?;
        if market.status != status::SETTLED {
            return reject(Code::INVALID_TRANSITION, 0, i64::from(market.status));
        }
        let (quote, outcomes) = (market.quote, market.outcome_count);
        let final_ns = self.state.resolutions.get(request.market).map_or(i64::MAX, Resolution::final_ns);
        let earliest_ns = final_ns.saturating_add(PRUNE_AFTER_NS);
        if command.time_ns < earliest_ns {
            return reject(Code::TOO_EARLY, earliest_ns, command.time_ns);
        }
        self.check_empty(request.market, quote, outcomes)?;
        let archive = self.market_archive(request.market).expect("a settled market has one");
        let archive_hash = *blake3::hash(&archive).as_bytes();
        if archive_hash != request.archive_hash {
            return Err(Code::EVIDENCE_INVALID.into());
        }
        let state = &mut self.state;
        let previous = state.markets.prune(request.market);
        state.resolutions.archives.insert(request.market, archive_hash);
        state.books.forget(request.market);
        state.fees.adjust.forget(request.market);
        state.resolutions.remove(request.market);
        state.questions.ended.remove(&request.market);
        let body = PrunedBody { archive_hash, status: status::PRUNED, previous, reserved: 0, reserved2: 0 };
        output.emit(command, EventKind::MarketPruned, Subject::market(request.market), &body);
        Ok(u64::from(request.market))
    }

    /// Nothing of a market belongs to anybody any more.
    fn check_empty(&self, market: u32, quote: u16, outcomes: u8) -> Result<(), Reject> {
        let state = &self.state;
        let supplies = (0..outcomes).map(|outcome| state.claims.supply(market, outcome));
        let provided =
            state.pools.providers.range((market, 0, 0)..=(market, u32::MAX, u8::MAX)).count() as i64;
        let pool = i64::from(state.pools.pools.contains_key(&market));
        // A question's pool goes with its last payment, that of the creator's rest included.
        let number = i64::from(state.questions.pools.contains_key(&market));
        let lines = [line::SET_ESCROW, line::BOND_ESCROW, line::POOL_CASH];
        let money = lines.map(|line| state.system.get(line, market + 1, quote));
        match supplies.chain([provided, pool, number]).chain(money).find(|&left| left != 0) {
            Some(left) => reject(Code::MARKET_HAS_OPEN_INTEREST, 0, left),
            None => Ok(()),
        }
    }

    /// BLAKE3 of the archive of a pruned market.
    pub fn archive_hash(&self, market: u32) -> Option<[u8; 32]> {
        self.state.resolutions.archives.get(&market).copied()
    }
}

/// What a market asked for, and the number that its payout stands for.
fn number_of(market_id: [u8; 32], question: &Question, payout: &Payout) -> ArchivedNumber {
    ArchivedNumber {
        market_id,
        lower: question.lower,
        upper: question.upper,
        norm: question.norm,
        backing: question.backing,
        fees: question.fees,
        mean: question.shape.mean,
        sigma: question.shape.sigma,
        value: question.value_of(payout),
    }
}

/// The outcome that takes everything; a vector without one has its parts in the prices.
fn winner_of(payout: &Payout) -> u8 {
    match payout.choice() {
        outcome if outcome < payout.outcomes() => outcome,
        _ => WINNER_INVALID,
    }
}
