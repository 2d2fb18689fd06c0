//! What a chain puts at stake and how much of it its owner may carry (P15.9.1, P15.9.2).

use std::collections::BTreeSet;

use super::book::is_in_book;
use crate::book::Book;
use crate::engine::Engine;
use crate::limits::*;
use crate::math::MAX_BALANCE;
use crate::verse::NONE;
use crate::wire::chains::{chain_step, ChainStep};
use crate::wire::error::{reject, Code, Reject};

/// Whether a step is about a market.
fn has_market(step: &ChainStep) -> bool {
    use chain_step::{ADD_LIQUIDITY, MINT_SET, POOL_BUY, POOL_SELL};
    matches!(step.kind, POOL_BUY | POOL_SELL | ADD_LIQUIDITY | MINT_SET) || is_in_book(step)
}

impl<B: Book> Engine<B> {
    /// Micro-units that a step moves, by its own bounds: what it spends at most, or asks at least.
    pub(super) fn base_of(&self, step: &ChainStep) -> i64 {
        use chain_step::{ADD_LIQUIDITY, DEPOSIT_VAULT, MINT_SET, POOL_BUY, POOL_SELL};
        if is_in_book(step) {
            let unit = self.state.markets.list.get(step.market as usize).map_or(0, |known| known.unit);
            return crate::math::notional(step.limit, step.amount, unit).unwrap_or(MAX_BALANCE);
        }
        match (step.kind, step.detail) {
            (POOL_BUY, 0) | (POOL_SELL, 1) | (ADD_LIQUIDITY | DEPOSIT_VAULT, _) => step.amount,
            (POOL_BUY | POOL_SELL, _) => step.limit,
            (MINT_SET, _) => {
                let lot_size =
                    self.state.markets.list.get(step.market as usize).map_or(0, |known| known.lot_size);
                step.amount.saturating_mul(lot_size).min(MAX_BALANCE)
            }
            _ => 0,
        }
    }

    /// The verses of the steps' markets.
    pub(super) fn verses_of(&self, steps: &[ChainStep]) -> BTreeSet<u32> {
        let markets = steps.iter().filter(|step| has_market(step)).map(|step| step.market);
        markets.map(|market| self.state.verses.of_market(market)).filter(|&verse| verse != NONE).collect()
    }

    /// At most three verses over all open chains of the account and this one.
    pub(super) fn check_verses(&self, account: u32, steps: &[ChainStep]) -> Result<(), Reject> {
        let mut verses = self.verses_of(steps);
        for (_, chain) in self.state.chains.of_account(account) {
            let open: Vec<ChainStep> = chain.steps.iter().map(|step| step.request).collect();
            verses.extend(self.verses_of(&open));
        }
        if verses.len() > MAX_CHAIN_VERSES {
            return reject(Code::VERSE_FULL, MAX_CHAIN_VERSES as i64, verses.len() as i64);
        }
        Ok(())
    }

    /// Two markets of one bucket are correlated as the bucket is, others as buckets are with each other.
    pub(super) fn check_correlation(&self, steps: &[ChainStep]) -> Result<(), Reject> {
        let exposure = &self.state.vault.exposure;
        let bucket = |market: u32| self.state.verses.root_of_market(market).map_or(0, |root| root + 1);
        for (at, step) in steps.iter().enumerate().filter(|(_, step)| has_market(step)) {
            for other in steps[..at].iter().filter(|other| has_market(other) && other.market != step.market) {
                let (one, two) = (bucket(step.market), bucket(other.market));
                let rho_ppm = if one == two { exposure.rho_ppm(one) } else { exposure.platform_rho_ppm() };
                if rho_ppm > MAX_CHAIN_CORRELATION_PPM {
                    let most = i64::from(MAX_CHAIN_CORRELATION_PPM);
                    return reject(Code::CORRELATION_TOO_HIGH, most, i64::from(rho_ppm));
                }
            }
        }
        Ok(())
    }

    /// Largest effective leverage in hundredths: by the deepest verse and the caps of its markets (P4.5), which without
    /// debt are never below 1.
    pub(super) fn chain_cap_e2(&self, steps: &[ChainStep]) -> u32 {
        let depth = self.verses_of(steps).into_iter().map(|verse| self.state.verses.depth(verse)).max();
        let by_depth = CHAIN_LEVERAGE_E2[usize::from(depth.unwrap_or(0)).min(CHAIN_LEVERAGE_E2.len() - 1)];
        let markets = steps.iter().filter(|step| has_market(step));
        let caps = markets.filter_map(|step| self.state.markets.list.get(step.market as usize));
        caps.map(|market| self.loan_cap(market, market.quote).cap_e2.max(100)).fold(by_depth, u32::min)
    }

    /// Exposure and equity of a sub-account with `free` money behind these steps: what they hold counts as what was put
    /// into them, and its leveraged positions as they are marked.
    pub(super) fn chain_exposure(&self, owner: (u32, u8), steps: &[ChainStep], free: i64) -> (i64, i64) {
        let sells = |step: &&ChainStep| matches!(step.kind, chain_step::POOL_SELL | chain_step::BOOK_SELL);
        let held = steps.iter().filter(|step| !sells(step));
        let held: i64 = held.map(|step| self.base_of(step)).fold(0, i64::saturating_add);
        let (mut exposure, mut equity) = (held, held.saturating_add(free));
        for (pledge, loan) in self.state.vault.loans.of_account(owner.0) {
            if loan.sub != owner.1 || loan.taken {
                continue;
            }
            match self.loan_health((owner.0, pledge)) {
                Some((valued, _)) => {
                    exposure = exposure.saturating_add(valued.value);
                    equity = equity.saturating_add(valued.equity);
                }
                // Without a mark: it is worth its debt.
                None => exposure = exposure.saturating_add(loan.debt),
            }
        }
        (exposure, equity)
    }
}
