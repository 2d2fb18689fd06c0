//! The management fee and insurance's week from events alone (I24, P9.8, P9.12).

use super::*;
use crate::audit::ledger::INSURANCE;
use crate::book::Book;
use crate::state::State;
use crate::wire::event::{InsuranceWeekBody, ManagementFeeBody};

const MANAGEMENT_FEE_BP: u32 = 190;
const INSURANCE_KEPT: u32 = 191;
const LARGEST_FEE_BP: i64 = 200;
const DEFAULT_KEPT: i64 = 100_000;
const WEEK_NS: i64 = 7 * DAY_NS;

/// What is told of insurance's week and of the rates.
#[derive(Clone, Copy, Debug)]
pub(super) struct Insured {
    fee_bp: i64,
    /// Whole units.
    kept: i64,
    week_ns: i64,
    at_risk: i64,
    /// Waits on its line for the end of the week.
    pub(super) returning: i64,
    ledger_key: u32,
    /// The last day for which a fee was taken.
    charged_ns: i64,
}

impl Default for Insured {
    fn default() -> Self {
        Insured {
            fee_bp: 0,
            kept: DEFAULT_KEPT,
            week_ns: 0,
            at_risk: 0,
            returning: 0,
            ledger_key: 0,
            charged_ns: i64::MIN,
        }
    }
}

impl Insured {
    pub(super) fn of_engine<B: Book>(state: &State<B>) -> Self {
        let week = state.vault.insured;
        Insured {
            fee_bp: state.governance.value(Parameter::ManagementFeeBp),
            kept: state.governance.value(Parameter::InsuranceKept),
            week_ns: week.since_ns,
            at_risk: week.at_risk.min(i128::from(i64::MAX)) as i64,
            returning: week.returning,
            ledger_key: crate::vault::terms::RETURN_KEY,
            ..Insured::default()
        }
    }

    pub(super) fn parameter_set(&mut self, body: &ParameterBody) {
        match body.parameter {
            MANAGEMENT_FEE_BP => self.fee_bp = body.value,
            INSURANCE_KEPT => self.kept = body.value,
            _ => {}
        }
    }

    pub(super) fn observe(&mut self, at_risk: i64) {
        self.at_risk = self.at_risk.max(at_risk);
    }
}

impl Auditor {
    /// A day's fee is what the rate in force says, never rounded up, and taken once.
    pub(super) fn management_fee_taken(&mut self, event: &Event, postings: &[Posting]) -> Check {
        let body: ManagementFeeBody = event.body_as();
        let movements =
            [(0, 0, body.asset, VAULT_CASH, -body.amount), (0, 0, body.asset, TREASURY, body.amount)];
        check_movements("I24", movements, postings)?;
        self.vault.asset = Some(body.asset);
        self.collect_fees(body.asset, -body.amount);
        let nav = self.vault_nav();
        let insured = &mut self.vault.insured;
        let due = i128::from(nav + body.amount) * i128::from(insured.fee_bp) / 3_650_000;
        ensure!(
            body.amount > 0
                && i128::from(body.amount) <= due
                && i64::from(body.rate_bp) == insured.fee_bp
                && insured.fee_bp <= LARGEST_FEE_BP
                && (body.nav, body.epoch_ns % DAY_NS) == (nav, 0)
                && body.epoch_ns > insured.charged_ns,
            "I24",
            "a management fee of {} for the day {}, {due} is due",
            body.amount,
            body.epoch_ns
        );
        insured.charged_ns = body.epoch_ns;
        Ok(())
    }

    /// What insurance gives back leaves it twice a tenth of the week's largest S and what it always keeps; what was set
    /// aside before enters the vault whole.
    pub(super) fn insurance_week_ended(&mut self, event: &Event, postings: &[Posting]) -> Check {
        let body: InsuranceWeekBody = event.body_as();
        let (asset, aside) = (body.asset, body.set_aside);
        let movements = [
            (0, 0, asset, INSURANCE, -aside),
            (body.ledger_key, 0, asset, VAULT_CASH, aside - body.released),
            (0, 0, asset, VAULT_CASH, body.released),
        ];
        check_movements("I24", movements, postings)?;
        self.vault.asset = Some(asset);
        self.collect_fees(asset, body.released - aside);
        let (nav, left) = (self.vault_nav(), self.ledger.line(0, 0, asset, INSURANCE));
        let at_risk = self.vault.at_risk;
        let insured = &mut self.vault.insured;
        let wanted = ceil_tenth(2 * i128::from(insured.at_risk)).max(i128::from(insured.kept) * 1_000_000);
        let due = (i128::from(left) + i128::from(aside) - wanted).max(0);
        ensure!(
            i128::from(aside) == due
                && (body.released, body.at_risk) == (insured.returning, insured.at_risk)
                && (body.insurance_left, body.nav) == (left, nav)
                && body.ledger_key != 0
                && body.week_ns % WEEK_NS == 0
                && body.week_ns > insured.week_ns
                && (body.week_ns..body.week_ns + WEEK_NS).contains(&event.time_ns),
            "I24",
            "insurance gives {aside} back, {due} is beyond {wanted}; {} enters the vault",
            body.released
        );
        let week = Insured {
            week_ns: body.week_ns,
            at_risk,
            returning: aside,
            ledger_key: body.ledger_key,
            ..*insured
        };
        *insured = week;
        Ok(())
    }

    /// What waits lies on its line.
    pub(super) fn verify_insured(&self) -> Check {
        let insured = &self.vault.insured;
        let (Some(asset), 1..) = (self.vault.asset, insured.ledger_key) else { return Ok(()) };
        let line = self.ledger.line(insured.ledger_key, 0, asset, VAULT_CASH);
        ensure!(
            line == insured.returning,
            "I24",
            "{line} of insurance waits for the vault, not {}",
            insured.returning
        );
        Ok(())
    }
}

fn ceil_tenth(value: i128) -> i128 {
    (value + 9) / 10
}
