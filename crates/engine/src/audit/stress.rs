//! I14 for leveraged markets: the worst case of P9.1 from the auditor's own positions and balances, one after the other.

use super::fault::{ensure, Check};
use super::ledger::{FREE, HELD};
use super::position::Position;
use super::Auditor;
use crate::wire::command::{Command, Kind};
use crate::wire::event::CommandResult;

/// 10^-9 micro-units.
const FINE: i128 = 1_000_000_000;
const GRID_PCT: [i128; 8] = [-30, -20, -10, -5, 5, 10, 20, 30];
/// With more records than this one in [`ONE_IN`] claims is computed again, chosen by the command's number.
const POSITIONS: usize = 2_048;
const ONE_IN: u64 = 256;

fn weight(position: &Position) -> i128 {
    i128::from(position.cost).abs().max(1)
}

impl Auditor {
    /// The part of its owner's settlement money that stands behind a position: by what entries cost.
    fn money_behind(&self, position: &Position, asset: u16) -> i128 {
        let &Position { account, sub, .. } = position;
        let held = self.positions.of_sub(account, sub).filter(|(_, other)| other.lots != 0);
        let all: i128 = held.map(|(_, other)| weight(other)).sum();
        let money = [FREE, HELD].map(|line| i128::from(self.ledger.line(account, sub, asset, line)));
        ((money[0] + money[1]) * weight(position)).div_euclid(all.max(1))
    }

    /// `max over the grid of Σ max(0, −E)` in micro-units, rounded up.
    fn stressed(&self, market: u32) -> i128 {
        let Some(asset) = self.values.settlement() else { return 0 };
        let perp = &self.positions.markets[market as usize];
        let unit = i128::from(self.markets[market as usize].unit);
        let mut missing = [0_i128; GRID_PCT.len()];
        for position in self.positions.iter().filter(|position| position.market == market) {
            if position.lots == 0 {
                continue;
            }
            let lots = i128::from(position.lots);
            let owed = lots * (perp.funding_index - position.funding_entry);
            let fixed = (self.money_behind(position, asset) - i128::from(position.cost)) * FINE - owed;
            for (missing, pct) in missing.iter_mut().zip(GRID_PCT) {
                let value = lots * i128::from(perp.mark) * unit * (100 + pct) * (FINE / 100);
                *missing += (-(fixed + value)).max(0);
            }
        }
        let worst = missing.into_iter().max().unwrap_or(0);
        (worst + FINE - 1).div_euclid(FINE)
    }

    fn looks_at(&self) -> bool {
        self.positions.list.len() <= POSITIONS || self.seq % ONE_IN == 0
    }

    fn is_leveraged(&self, market: u32) -> bool {
        self.positions.markets.get(market as usize).is_some_and(|perp| perp.exists)
    }

    /// A claimed worst case of a leveraged market.
    pub(super) fn check_stress(&self, market: u32, worst_case: i64) -> Check {
        if !self.is_leveraged(market) || !self.looks_at() {
            return Ok(());
        }
        let computed = self.stressed(market);
        ensure!(
            computed == i128::from(worst_case),
            "I14",
            "market {market} has a worst case of {worst_case}, computed again {computed}"
        );
        Ok(())
    }

    /// A Tick that says nothing has nothing left to say: the worst case that stands is the present one. One market a
    /// Tick, in turn.
    pub(super) fn check_quiet_tick(&self, command: &Command, result: &CommandResult) -> Check {
        let is_tick = (command.kind, command.op) == Kind::Tick.code();
        if !is_tick || result.accepted == 0 || result.event_count != 0 || self.markets.is_empty() {
            return Ok(());
        }
        let market = (self.seq % self.markets.len() as u64) as u32;
        self.check_stress(market, self.known_worst_case(market))
    }
}
