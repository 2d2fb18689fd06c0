//! Coverage as it changes: worst cases, correlations, states, stages, and what they allow (protocol P4.5, P9).

use crate::book::Book;
use crate::coverage::leverage::{coverage_e2, ladder_e2, Term};
use crate::coverage::Coverage;
use crate::engine::Engine;
use crate::governance::parameters::Parameter;
use crate::output::{Output, Subject};
use crate::vault::Published;
use crate::wire::command::{Command, PublishRisk};
use crate::wire::error::{reject, Code, Reject};
use crate::wire::event::{CoverageStateBody, EventKind, LeverageCapBody, RiskBody, WorstCaseBody};

/// `bucket` of a correlation that holds over the buckets.
const PLATFORM_BUCKET: u32 = u32::MAX;
/// Largest step of a correlation within a day that RISK may take alone, in ppm (P9.4).
const LARGEST_STEP_PPM: u32 = 100_000;
/// High byte of the kinds that place, change and cancel orders.
const ORDERS: u16 = 0x03;

impl<B: Book> Engine<B> {
    /// Present coverage (P9.3).
    #[inline]
    pub(crate) fn coverage_now(&self, asset: u16) -> Coverage {
        match self.state.vault.exposure.total() {
            0 => Coverage::INFINITE,
            at_risk => Coverage::of(self.vault_nav(asset), at_risk),
        }
    }

    /// A market's new worst case in micro-units of the settlement asset (P9.1); `bucket` is its verse root or asset
    /// class. Coverage follows at the end of the command.
    pub(crate) fn set_worst_case(
        &mut self,
        command: &Command,
        market: u32,
        bucket: u32,
        worst_case: i64,
        output: &mut Output,
    ) {
        let previous = self.state.vault.exposure.part(market);
        self.state.vault.exposure.set(market, bucket, worst_case);
        let present = self.state.vault.exposure.part(market);
        if present == previous {
            return;
        }
        self.use_vault(command.time_ns);
        self.state.vault.insured.observe(self.state.vault.exposure.total());
        let exposure = &self.state.vault.exposure;
        let bucket = if present.worst_case == 0 { previous.bucket } else { present.bucket };
        let body = WorstCaseBody {
            bucket,
            reserved: 0,
            previous: previous.worst_case,
            worst_case: present.worst_case,
            bucket_at_risk: narrow(exposure.bucket_total(bucket)),
            at_risk: narrow(exposure.total()),
        };
        let subject = Subject { market, ..Subject::NONE };
        output.emit(command, EventKind::WorstCaseChanged, subject, &body);
    }

    /// After every accepted command: coverage, if what it depends on has changed. One load while nothing is at risk.
    #[inline]
    pub(crate) fn after_money(&mut self, command: &Command, output: &mut Output) {
        let vault = &self.state.vault;
        if vault.exposure.total() != 0 || vault.seen_at_risk != 0 {
            self.refresh_coverage(command, output);
        }
    }

    #[inline(never)]
    fn refresh_coverage(&mut self, command: &Command, output: &mut Output) {
        let Some(asset) = self.settlement_asset() else { return };
        let (nav, at_risk) = (self.vault_nav(asset), self.state.vault.exposure.total());
        let (seen_nav, seen_at_risk) = (self.state.vault.seen_nav, self.state.vault.seen_at_risk);
        // Fees of orders can only better coverage: what that allows waits for the next Tick.
        if at_risk == seen_at_risk && nav >= seen_nav && command.kind >> 8 == ORDERS {
            return;
        }
        if (nav, at_risk) != (seen_nav, seen_at_risk) {
            (self.state.vault.seen_nav, self.state.vault.seen_at_risk) = (nav, at_risk);
            self.look_at_coverage(command, asset, output);
        }
    }

    /// States of P9.6, breaker B1, and the leverage that coverage allows.
    fn look_at_coverage(&mut self, command: &Command, asset: u16, output: &mut Output) {
        let coverage = self.coverage_now(asset);
        let previous = self.state.vault.status.state;
        if self.state.vault.status.observe(command.time_ns, coverage) {
            let state = self.state.vault.status.state;
            self.emit_state(command, EventKind::CoverageStateChanged, (state, previous), asset, output);
        }
        if coverage.is_finite() || self.state.halts.coverage_ppm.is_some() {
            self.halts_coverage(command, coverage.to_wire(), output);
        }
        self.refresh_leverage(command, asset, output);
    }

    /// Every minute (P9.7).
    pub(crate) fn look_at_stage(&mut self, command: &Command, asset: u16, output: &mut Output) {
        let (nav, coverage) = (self.vault_nav(asset), self.coverage_now(asset));
        let previous = self.state.vault.stage.stage;
        if self.state.vault.stage.observe(command.time_ns, nav, coverage) {
            let stage = self.state.vault.stage.stage;
            self.emit_state(command, EventKind::StageChanged, (stage, previous), asset, output);
        }
        self.look_at_coverage(command, asset, output);
    }

    fn emit_state(
        &self,
        command: &Command,
        kind: EventKind,
        (state, previous): (u8, u8),
        asset: u16,
        output: &mut Output,
    ) {
        let body = CoverageStateBody {
            state,
            previous,
            reserved: 0,
            reserved2: 0,
            nav: self.vault_nav(asset),
            at_risk: narrow(self.state.vault.exposure.total()),
            coverage_ppm: self.coverage_now(asset).to_wire(),
        };
        output.emit(command, kind, Subject::NONE, &body);
    }

    /// After governance has let stages bind perpetual markets, or has let go.
    pub(crate) fn stages_changed(&mut self, command: &Command, output: &mut Output) {
        if let Some(asset) = self.settlement_asset() {
            self.refresh_leverage(command, asset, output);
        }
    }

    /// What coverage and stage allow to new risk of markets with one outcome: the tier and their own maximum are the
    /// markets' affair. Stages bind them only where governance has said so.
    fn refresh_leverage(&mut self, command: &Command, asset: u16, output: &mut Output) {
        let coverage = self.coverage_now(asset);
        let stage_e2 = match self.state.governance.value(Parameter::PerpetualStages) {
            0 => u32::MAX,
            _ => self.state.vault.stage.leverage_cap_e2(self.vault_nav(asset), coverage),
        };
        let terms = [
            (coverage_e2(coverage, 1), Term::Coverage),
            (ladder_e2(coverage), Term::Ladder),
            (stage_e2, Term::Stage),
        ];
        let (cap_e2, term) = terms.into_iter().min_by_key(|(cap_e2, _)| *cap_e2).expect("three terms");
        let previous_e2 = self.state.perps.cover_cap_e2;
        if (cap_e2, term as u8) == (previous_e2, self.state.perps.cover_term) {
            return;
        }
        self.state.perps.set_cover(cap_e2, term as u8);
        let body = LeverageCapBody {
            cap_e2,
            previous_e2,
            term: term as u8,
            reserved: 0,
            reserved2: 0,
            reserved3: 0,
            coverage_ppm: coverage.to_wire(),
        };
        output.emit(command, EventKind::LeverageCapChanged, Subject::NONE, &body);
    }

    /// New leveraged risk when the cap is below one: nothing is allowed (P4.5).
    ///
    /// # Errors
    /// `COVERAGE_TOO_LOW`, or `STAGE_FORBIDS` when the stage binds, with the cap in hundredths.
    pub(crate) fn check_cover(&self) -> Result<(), Reject> {
        let (cap_e2, term) = (self.state.perps.cover_cap_e2, self.state.perps.cover_term);
        if cap_e2 >= 100 {
            return Ok(());
        }
        let code = if term == Term::Stage as u8 { Code::STAGE_FORBIDS } else { Code::COVERAGE_TOO_LOW };
        reject(code, 100, i64::from(cap_e2))
    }

    /// 0704/2: a correlation that RISK has measured (P9.4). More than a tenth within a day takes governance.
    pub(crate) fn publish_risk(&mut self, command: &Command, output: &mut Output) -> Result<u64, Reject> {
        let PublishRisk { bucket, rho_ppm, evidence_hash } = command.payload_as();
        if rho_ppm > 1_000_000 {
            return reject(Code::PARAMETER_OUT_OF_BOUNDS, 1_000_000, i64::from(rho_ppm));
        }
        if evidence_hash == [0; 32] {
            return Err(Code::EVIDENCE_INVALID.into());
        }
        let key = (bucket != PLATFORM_BUCKET).then_some(bucket);
        let exposure = &self.state.vault.exposure;
        let previous_ppm = key.map_or(exposure.platform_rho_ppm(), |bucket| exposure.rho_ppm(bucket));
        if key.is_some_and(|bucket| !exposure.has_room(bucket)) {
            let most = crate::limits::MAX_COVERAGE_BUCKETS as i64;
            return reject(Code::CAPACITY_EXCEEDED, most, most);
        }
        let published = self.state.vault.published.get(&bucket).copied();
        let published = published.filter(|known| !known.is_over(command.time_ns));
        let published = published.unwrap_or(Published { since_ns: command.time_ns, from_ppm: previous_ppm });
        let step = published.from_ppm.abs_diff(rho_ppm);
        // A proposal's trial passes: governance is the second approval.
        if step > LARGEST_STEP_PPM && !command.is_governed() && !command.is_trial() {
            return reject(Code::PARAMETER_OUT_OF_BOUNDS, i64::from(LARGEST_STEP_PPM), i64::from(step));
        }
        if command.is_trial() {
            return Ok(0);
        }
        self.use_vault(command.time_ns);
        self.state.vault.published.insert(bucket, published);
        self.state.vault.exposure.set_rho(key, rho_ppm);
        self.state.vault.insured.observe(self.state.vault.exposure.total());
        let body = RiskBody {
            bucket,
            rho_ppm,
            previous_ppm,
            reserved: 0,
            at_risk: narrow(self.state.vault.exposure.total()),
            evidence_hash,
        };
        output.emit(command, EventKind::RiskUpdated, Subject::NONE, &body);
        Ok(u64::from(rho_ppm))
    }
}

/// An amount for an event, held within i64.
fn narrow(value: i128) -> i64 {
    value.min(i128::from(i64::MAX)) as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::Auditor;
    use crate::coverage::status::state;
    use crate::genesis::{Genesis, Grant};
    use crate::halts::breaker::{id, phase};
    use crate::limits::SECOND_NS;
    use crate::wire::command::{
        asset_flag, Deposit, DepositVault, Kind, OpenAccount, RegisterAsset, ALL_MARKETS,
    };
    use crate::wire::event::CommandResult;
    use crate::wire::Record;
    use crate::{roles, RULES_VERSION};

    const SYSTEM: [u8; 32] = [1; 32];
    const OPERATOR: [u8; 32] = [2; 32];
    const OWNER: [u8; 32] = [3; 32];
    const DOLLAR: i64 = 1_000_000;

    /// An engine with its auditor: a settlement asset, and a vault of $1,000 that one owner funded.
    struct Vaulted {
        engine: Engine,
        auditor: Auditor,
        now_ns: i64,
    }

    impl Vaulted {
        fn new() -> Self {
            let grant = |principal, role| Grant { principal, role, expiry_ns: i64::MAX };
            let grants = vec![grant(SYSTEM, roles::SYSTEM), grant(OPERATOR, roles::OPERATOR)];
            let genesis = Genesis { shard: 1, rules_version: RULES_VERSION, time_ns: 0, grants };
            let engine = Engine::new(&genesis).expect("a sound genesis");
            let mut vaulted = Vaulted { engine, auditor: Auditor::new(&genesis), now_ns: 0 };
            let asset = RegisterAsset {
                symbol: *b"USDC\0\0\0\0\0\0\0\0\0\0\0\0",
                initial_asset_bp: 10_000,
                maintenance_asset_bp: 10_000,
                initial_liability_bp: 10_000,
                maintenance_liability_bp: 10_000,
                asset_flags: asset_flag::SETTLEMENT,
                ..Record::zero()
            };
            vaulted.send(OPERATOR, Command::new(Kind::RegisterAsset).with(&asset));
            vaulted.send(OWNER, Command::new(Kind::OpenAccount).with(&OpenAccount { owner_key: OWNER }));
            let money = Deposit { amount: 10_000 * DOLLAR, external_id: [9; 32], ..Record::zero() };
            vaulted.send(SYSTEM, Command::new(Kind::Deposit).with(&money));
            let share = DepositVault { amount: 1_000 * DOLLAR };
            vaulted.send(OWNER, Command::new(Kind::DepositVault).with(&share));
            vaulted
        }

        fn stamped(&self, principal: [u8; 32], command: Command) -> Command {
            let seq = self.engine.next_seq();
            let account = crate::id::account_id(&OWNER);
            let mut client_key = [0; 16];
            client_key[..8].copy_from_slice(&seq.to_le_bytes());
            Command { seq, time_ns: self.now_ns, shard: 1, principal, account, client_key, ..command }
        }

        fn send(&mut self, principal: [u8; 32], command: Command) {
            let command = self.stamped(principal, command);
            let mut output = Output::default();
            let result = self.engine.apply(&command, &mut output);
            assert_eq!(result.accepted, 1, "refused with {}", result.code);
            self.auditor.check(&[command], &[result], &output.events, &output.postings).unwrap();
        }

        fn tick(&mut self, seconds: i64) {
            self.now_ns += seconds * SECOND_NS;
            self.send(SYSTEM, Command::new(Kind::Tick));
        }

        /// A command after which these markets have these worst cases; its events.
        fn risk(&mut self, worst_cases: &[(u32, i64)]) -> Vec<EventKind> {
            let command = self.stamped(SYSTEM, Command::new(Kind::Tick));
            let mut output = Output::default();
            output.begin();
            (self.engine.cursor.seq, self.engine.cursor.time_ns) = (command.seq, command.time_ns);
            for &(market, worst_case) in worst_cases {
                self.engine.set_worst_case(&command, market, 0, worst_case, &mut output);
            }
            self.engine.after_money(&command, &mut output);
            let (first_event, event_count) = output.command_events();
            let result =
                CommandResult { seq: command.seq, accepted: 1, event_count, first_event, ..Record::zero() };
            self.auditor.check(&[command], &[result], &output.events, &output.postings).unwrap();
            self.auditor.verify().unwrap();
            output.events.iter().filter_map(|event| EventKind::from_code(event.kind)).collect()
        }

        fn coverage_ppm(&self) -> Option<u64> {
            self.engine.coverage_now(0).ppm()
        }
    }

    #[test]
    fn coverage_follows_every_worst_case_and_the_ladder_bounds_new_leverage() {
        let mut vaulted = Vaulted::new();
        assert_eq!((vaulted.coverage_ppm(), vaulted.engine.state.perps.cover_cap_e2), (None, u32::MAX));
        let kinds = vaulted.risk(&[(0, 400 * DOLLAR), (1, 100 * DOLLAR)]);
        assert_eq!(
            kinds,
            [EventKind::WorstCaseChanged, EventKind::WorstCaseChanged, EventKind::LeverageCapChanged]
        );
        assert_eq!(
            (vaulted.coverage_ppm(), vaulted.engine.state.perps.cover_cap_e2),
            (Some(2_000_000), 10_000)
        );
        vaulted.risk(&[(1, 300 * DOLLAR)]);
        assert_eq!(
            (vaulted.coverage_ppm(), vaulted.engine.state.perps.cover_cap_e2),
            (Some(1_428_571), 2_000)
        );
        assert_eq!(vaulted.engine.state.vault.status.state, state::WARNING);
        assert!(vaulted.engine.check_cover().is_ok());
        // What did not change is no event.
        assert_eq!(vaulted.risk(&[(1, 300 * DOLLAR)]), []);
        vaulted.risk(&[(0, 0), (1, 0)]);
        assert_eq!((vaulted.coverage_ppm(), vaulted.engine.state.perps.cover_cap_e2), (None, u32::MAX));
    }

    #[test]
    fn p7_1_b1_trips_below_a_half_and_reopens_behind_300_s_of_0_60() {
        let mut vaulted = Vaulted::new();
        let breaker = |vaulted: &Vaulted| {
            vaulted.engine.state.halts.breaker(ALL_MARKETS, id::COVERAGE).expect("the platform has it").phase
        };
        vaulted.risk(&[(0, 2_000 * DOLLAR)]);
        assert_eq!((vaulted.coverage_ppm(), breaker(&vaulted)), (Some(500_000), phase::CLOSED));
        assert!(vaulted.engine.state.halts.is_coverage_short());
        let kinds = vaulted.risk(&[(0, 2_001 * DOLLAR)]);
        assert!(kinds.contains(&EventKind::BreakerTripped), "{kinds:?}");
        assert_eq!(breaker(&vaulted), phase::TRIPPED);
        let refusal = vaulted.engine.check_cover().unwrap_err();
        assert_eq!((refusal.code, refusal.given), (Code::COVERAGE_TOO_LOW, 0));
        vaulted.tick(900);
        assert_ne!(breaker(&vaulted), phase::CLOSED);
        vaulted.risk(&[(0, 1_600 * DOLLAR)]);
        (0..8).for_each(|_| vaulted.tick(61));
        assert_eq!(breaker(&vaulted), phase::CLOSED);
        assert_eq!(vaulted.engine.state.vault.status.state, state::CRITICAL);
    }

    #[test]
    fn p9_9_an_exit_never_takes_coverage_below_one_nor_an_epoch_more_than_a_fifth() {
        use crate::wire::command::{ClaimVaultExit, RequestVaultExit};
        let mut vaulted = Vaulted::new();
        vaulted.risk(&[(0, 950 * DOLLAR)]);
        let exit = RequestVaultExit { shares: 500 * DOLLAR };
        vaulted.send(OWNER, Command::new(Kind::RequestVaultExit).with(&exit));
        (0..25).for_each(|_| vaulted.tick(3_600));
        assert_eq!(vaulted.engine.vault_nav(0), 950 * DOLLAR);
        let claim = Command::new(Kind::ClaimVaultExit).with(&ClaimVaultExit { ticket: 1 });
        vaulted.send(OWNER, claim);
        let again = vaulted.stamped(OWNER, claim);
        let refused = vaulted.engine.apply(&again, &mut Output::default());
        assert_eq!(Code::from_number(refused.code), Some(Code::NOTICE_NOT_ELAPSED));
        // A fifth of the $950 that the epoch began with, once nothing but the outflow binds.
        let mut vaulted = Vaulted::new();
        vaulted.risk(&[(0, DOLLAR)]);
        vaulted.send(OWNER, Command::new(Kind::RequestVaultExit).with(&exit));
        (0..40).for_each(|_| vaulted.tick(3_600));
        assert_eq!(vaulted.engine.vault_nav(0), 800 * DOLLAR);
        (0..24).for_each(|_| vaulted.tick(3_600));
        assert_eq!(vaulted.engine.vault_nav(0), 640 * DOLLAR);
    }

    #[test]
    fn an_auditor_that_computes_s_again_finds_a_total_that_is_wrong() {
        let mut vaulted = Vaulted::new();
        let command = vaulted.stamped(SYSTEM, Command::new(Kind::Tick));
        let mut output = Output::default();
        output.begin();
        vaulted.engine.set_worst_case(&command, 0, 0, 400 * DOLLAR, &mut output);
        let mut body: WorstCaseBody = output.events[0].body_as();
        body.at_risk -= 1;
        output.events[0].body[..WorstCaseBody::SIZE].copy_from_slice(body.bytes());
        let result = CommandResult { seq: command.seq, accepted: 1, event_count: 1, ..Record::zero() };
        let found = vaulted.auditor.check(&[command], &[result], &output.events, &output.postings);
        assert_eq!(found.unwrap_err().invariant, "I14");
    }
}
