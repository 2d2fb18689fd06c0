//! Worst cases, S, coverage with its states, and what hangs on it: elastic fees and the cap of leverage (I09, I11, I14).

use super::super::book::Order;
use super::super::Market;
use super::*;
use crate::wire::event::TradeBody;

impl Auditor {
    /// Events of the vault and of coverage that move nothing.
    pub(in crate::audit) fn coverage_moved(&mut self, kind: EventKind, event: &Event) -> Check {
        match kind {
            EventKind::VaultExitQueued => self.exit_queued(event),
            EventKind::WorstCaseChanged => self.worst_case_changed(event),
            EventKind::RiskUpdated => self.risk_updated(event),
            EventKind::LeverageCapChanged => self.leverage_cap_changed(event),
            EventKind::ParameterSet => {
                let body: ParameterBody = event.body_as();
                self.listings.set(&body);
                self.reward_parameter_set(&body);
                self.fee_setting(&body);
                if body.parameter == PERPETUAL_STAGES {
                    self.vault.stages_bind = body.value != 0;
                }
                self.vault.insured.parameter_set(&body);
                if body.parameter == JUMP_MINIMUM {
                    self.loans.set_jump(body.value);
                }
                self.dark.parameter_set(&body);
                Ok(())
            }
            _ => self.state_changed(kind, event),
        }
    }

    /// The worst case of a market that events have told last.
    pub(in crate::audit) fn known_worst_case(&self, market: u32) -> i64 {
        self.vault.worst_cases.get(&market).map_or(0, |known| known.1)
    }

    fn worst_case_changed(&mut self, event: &Event) -> Check {
        let body: WorstCaseBody = event.body_as();
        self.check_stress(event.market, body.worst_case)?;
        self.check_lent(event.market, body.worst_case)?;
        let vault = &mut self.vault;
        let known = vault.worst_cases.remove(&event.market);
        ensure!(
            known.map_or(0, |(_, worst_case)| worst_case) == body.previous && body.worst_case >= 0,
            "I14",
            "market {} had a worst case of {known:?}, not {}",
            event.market,
            body.previous
        );
        if let Some((bucket, worst_case)) = known {
            vault.buckets.entry(bucket).or_default().take(worst_case);
        }
        if body.worst_case > 0 {
            vault.buckets.entry(body.bucket).or_default().add(body.worst_case);
            vault.worst_cases.insert(event.market, (body.bucket, body.worst_case));
        }
        self.check_total(body.at_risk)
    }

    fn risk_updated(&mut self, event: &Event) -> Check {
        let body: RiskBody = event.body_as();
        ensure!(body.rho_ppm <= 1_000_000, "I14", "a correlation of {} ppm", body.rho_ppm);
        match body.bucket {
            PLATFORM_BUCKET => self.vault.platform.rho_ppm = body.rho_ppm,
            bucket => self.vault.buckets.entry(bucket).or_default().rho_ppm = body.rho_ppm,
        }
        self.check_total(body.at_risk)
    }

    fn check_total(&mut self, at_risk: i64) -> Check {
        self.vault.at_risk = at_risk;
        self.vault.insured.observe(at_risk);
        match self.vault.total() {
            Some(total) => {
                ensure!(total == at_risk as u128, "I14", "S is {at_risk}, computed again {total}");
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn state_changed(&mut self, kind: EventKind, event: &Event) -> Check {
        let body: CoverageStateBody = event.body_as();
        let nav = self.nav_of(body.nav)?;
        let coverage_ppm = self.vault.coverage_ppm(nav);
        let place = match kind {
            EventKind::StageChanged => &mut self.vault.stage,
            _ => &mut self.vault.state,
        };
        let sound = *place == body.previous && body.state != body.previous && body.state < STAGE_NAMES;
        *place = body.state;
        ensure!(
            sound && body.at_risk == self.vault.at_risk && body.coverage_ppm == coverage_ppm,
            "I14",
            "{} from {} to {} at a coverage of {}, computed again {coverage_ppm}",
            kind.name(),
            body.previous,
            body.state,
            body.coverage_ppm
        );
        Ok(())
    }

    /// The rate of the trade that follows: `3 + 25·exp(−3c)` bp of the coverage that the log gives, none in BOOTSTRAP.
    pub(in crate::audit) fn fee_charged(&mut self, event: &Event) -> Check {
        let body: FeeBody = event.body_as();
        let market = *self.market(event.market)?;
        let asset = self.vault.asset.or(self.values.settlement());
        let coverage_ppm = match asset {
            Some(asset) if self.vault.stage != BOOTSTRAP => {
                let cash = self.ledger.line(0, 0, asset, VAULT_CASH);
                self.vault.coverage_ppm(cash + self.ledger.line(0, 0, asset, VAULT_LOANS))
            }
            _ => 0,
        };
        let spread = match coverage_ppm {
            i64::MAX => 0.0,
            ppm => 25e8 * libm::exp(-3.0 * (ppm as f64 / 1e6)),
        };
        let thin_e8 = u32::from(body.adjustment_bp).saturating_mul(100_000_000);
        self.check_discount(event, body.discount_bp)?;
        let discount_bp = body.discount_bp;
        let rate_e8 = ((3e8 + libm::floor(spread + 0.5)) as u32).saturating_add(thin_e8).min(2_800_000_000);
        let rate_e8 = rate_e8.saturating_sub(u32::from(discount_bp) * 100_000_000).max(300_000_000);
        let rate_e8 = match self.tiers.adjust.settings.post_emission {
            false => u64::from(rate_e8.min(market.taker_fee_e6bp.saturating_mul(100))),
            // The market's own rate, at most 100 bp, less the discount but not below 5 bp.
            true => {
                let most = (u64::from(market.taker_fee_e6bp) * 100).min(10_000_000_000);
                most.saturating_sub(u64::from(discount_bp) * 100_000_000).max(most.min(500_000_000))
            }
        };
        ensure!(
            (market.elastic || self.has_pool(event.market))
                && (body.rate_e8, body.coverage_ppm) == (rate_e8, coverage_ppm)
                && body.rebate == body.fee * i64::from(body.rebate_pct) / 100
                && i64::from(body.rebate_pct) * 2 <= 100,
            "I12",
            "a fee at {} of 1e-8 bp and a coverage of {}, computed again {rate_e8} and {coverage_ppm}",
            body.rate_e8,
            body.coverage_ppm
        );
        ensure!(self.vault.charged.replace(body).is_none(), "I11", "a fee was told and not charged");
        Ok(())
    }

    /// Taker's fee and maker's fee of a trade in an elastic market, before what its reserve limits: `None` in markets
    /// with fixed fees. The maker's is its rebate, negative.
    pub(in crate::audit) fn elastic_fees(
        &mut self,
        market: &Market,
        value: i64,
        (taker, maker): (&Order, &Order),
        trade: &TradeBody,
    ) -> Check<Option<(i64, i64)>> {
        let Some((body, fee)) = self.charged_fee(market, value, taker.fee_cap_e6bp, trade.taker_fee)? else {
            return Ok(None);
        };
        self.check_rebate(&body, maker.improves)?;
        self.check_book_adjustment(&body, (market, maker.book), Some(trade.price))?;
        self.count_fill(&body, (taker.account, maker.account), market.quote)?;
        Ok(Some((fee, -body.rebate)))
    }

    /// What was told of the fee of a trade in an elastic market, and the fee that follows from its rate.
    pub(in crate::audit) fn charged_fee(
        &mut self,
        market: &Market,
        value: i64,
        cap_e6bp: u32,
        told_fee: i64,
    ) -> Check<Option<(FeeBody, i64)>> {
        if !market.elastic {
            return Ok(None);
        }
        let Some(body) = self.vault.charged.take() else {
            return Err(fault("I11", format_args!("a trade of an elastic market without its fee")));
        };
        let rate = i128::from(body.rate_e8.min(u64::from(cap_e6bp) * 100));
        let fee = ((i128::from(value) * rate + 999_999_999_999) / 1_000_000_000_000) as i64;
        ensure!(
            body.base == value && body.fee == told_fee,
            "I11",
            "a fee of {} on {} was told for a trade of {value}",
            body.fee,
            body.base
        );
        Ok(Some((body, fee)))
    }

    /// What was told of the fee of the swap of this event.
    pub(in crate::audit) fn told_fee(&mut self) -> Check<FeeBody> {
        self.vault.charged.take().ok_or_else(|| fault("I11", format_args!("a swap without its fee")))
    }

    /// The vault's value as an event tells it, against the ledger. Before anyone used the vault its asset is unknown.
    fn nav_of(&self, told: i64) -> Check<i64> {
        if let Some(asset) = self.vault.asset.or(self.values.settlement()) {
            let cash = self.ledger.line(0, 0, asset, VAULT_CASH);
            let nav = cash + self.ledger.line(0, 0, asset, VAULT_LOANS);
            ensure!(nav == told, "I14", "the vault is worth {told}, its lines say {nav}");
        }
        Ok(told)
    }

    fn leverage_cap_changed(&mut self, event: &Event) -> Check {
        let body: LeverageCapBody = event.body_as();
        if let Some(asset) = self.vault.asset.or(self.values.settlement()) {
            let cash = self.ledger.line(0, 0, asset, VAULT_CASH);
            let coverage_ppm = self.vault.coverage_ppm(cash + self.ledger.line(0, 0, asset, VAULT_LOANS));
            ensure!(
                coverage_ppm == body.coverage_ppm,
                "I14",
                "coverage is {coverage_ppm} ppm, told {}",
                body.coverage_ppm
            );
        }
        let allowed = match body.coverage_ppm {
            i64::MAX => u32::MAX,
            2_000_000.. => 10_000,
            1_500_000.. => 5_000,
            1_200_000.. => 2_000,
            1_000_000.. => 1_000,
            500_000.. => 100,
            _ => 0,
        };
        ensure!(
            body.previous_e2 == self.vault.cap_e2()
                && body.cap_e2 <= allowed
                && (self.vault.stages_bind || body.cap_e2 == allowed),
            "I09",
            "coverage of {} allows a leverage of {} in hundredths, not {allowed}",
            body.coverage_ppm,
            body.cap_e2
        );
        self.vault.cap_e2 = Some(body.cap_e2);
        self.values.cover_e2 = Some(body.cap_e2);
        Ok(())
    }

    /// After each command: coverage as it stands is no worse than the state that was told.
    pub(in crate::audit) fn check_coverage_end(&self) -> Check {
        ensure!(self.vault.charged.is_none(), "I11", "a fee was told and not charged");
        if self.vault.at_risk == 0 {
            return Ok(());
        }
        let Some(asset) = self.vault.asset.or(self.values.settlement()) else { return Ok(()) };
        let cash = self.ledger.line(0, 0, asset, VAULT_CASH);
        let nav = cash + self.ledger.line(0, 0, asset, VAULT_LOANS);
        let coverage_ppm = self.vault.coverage_ppm(nav);
        ensure!(
            raw_state(coverage_ppm) <= self.vault.state,
            "I14",
            "coverage is {coverage_ppm} ppm and its state {}",
            self.vault.state
        );
        Ok(())
    }
}
