//! Commands that governance decides: what a change does, who may make it at once, and its execution (P14.5, P14.6).

use super::feeds::check_source;
use super::{markets, perpetual};
use crate::book::Book;
use crate::engine::Engine;
use crate::fees::settings::Settings;
use crate::governance::parameters::{effect, strongest, Class, Effect, Parameter};
use crate::ledger::line;
use crate::limits::PARAMETER_COOLDOWN_NS;
use crate::market::status;
use crate::output::{Output, Subject};
use crate::state::Asset;
use crate::wire::command::{
    internal, Command, ConfigureBreaker, Kind, RegisterFeed, SetFeedSource, SetParameter, UpdateAsset,
    UpdateMarket, UpdateMarketRisk,
};
use crate::wire::error::{reject, Code, Reject};
use crate::wire::event::{EventKind, ParameterBody};

/// What a proposed command would change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Assessment {
    pub class: Class,
    pub effect: Effect,
    /// What it changes is not in use yet, so that CONFIG alone may set it up.
    pub in_setup: bool,
}

/// Commands that an action may carry: their handlers return before the first change when the command is a trial.
pub(crate) const fn may_be_proposed(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::UpdateMarket
            | Kind::UpdateMarketRisk
            | Kind::UpdateAsset
            | Kind::RegisterFeed
            | Kind::UpdateFeed
            | Kind::SetFeedSource
            | Kind::SetParameter
            | Kind::ConfigureBreaker
            | Kind::PublishRisk
            | Kind::GrantRole
            | Kind::RevokeRole
            | Kind::ActivateRules
            | Kind::AllocateVesting
            | Kind::RevokeVesting
            | Kind::OpenSeason
    )
}

impl<B: Book> Engine<B> {
    /// A change by CONFIG: at once when it reduces risk or nothing uses it yet, else through an action.
    pub(crate) fn change_directly(
        &mut self,
        command: &Command,
        kind: Kind,
        output: &mut Output,
    ) -> Result<u64, Reject> {
        // The command's own checks answer first (row 0102).
        let trial = Command { flags: command.flags | internal::TRIAL, ..*command };
        self.run_governed(&trial, kind, output)?;
        let found = self.assess(command, kind);
        if found.effect > Effect::Reduces && !found.in_setup {
            return reject(Code::APPROVALS_MISSING, i64::from(found.class.approvals()), 0);
        }
        self.run_governed(command, kind, output)
    }

    /// Runs, or tries, one of the commands that an action may carry.
    pub(crate) fn run_governed(
        &mut self,
        command: &Command,
        kind: Kind,
        output: &mut Output,
    ) -> Result<u64, Reject> {
        match kind {
            Kind::UpdateMarket => self.update_market(command, output),
            Kind::UpdateMarketRisk => self.update_market_risk(command, output),
            Kind::UpdateAsset => self.update_asset(command, output),
            Kind::RegisterFeed => self.register_feed(command, output),
            Kind::UpdateFeed => self.update_feed(command, output),
            Kind::SetFeedSource => self.set_feed_source(command, output),
            Kind::SetParameter => self.set_parameter(command, output),
            Kind::ConfigureBreaker => self.configure_breaker(command, output),
            Kind::PublishRisk => self.publish_risk(command, output),
            Kind::GrantRole => self.grant_role(command, output),
            Kind::RevokeRole => self.revoke_role(command, output),
            Kind::ActivateRules => self.activate_rules(command, output),
            Kind::AllocateVesting => self.allocate_vesting(command, output),
            Kind::RevokeVesting => self.revoke_vesting(command, output),
            Kind::OpenSeason => self.open_season(command, output),
            _ => Err(Code::IMMUTABLE_PARAMETER.into()),
        }
    }

    /// What a command that passed its trial would change.
    pub(crate) fn assess(&self, command: &Command, kind: Kind) -> Assessment {
        match kind {
            Kind::UpdateMarket => self.assess_market(&command.payload_as()),
            Kind::UpdateMarketRisk => self.assess_market_risk(&command.payload_as()),
            Kind::UpdateAsset => self.assess_asset(&command.payload_as()),
            Kind::UpdateFeed => self.assess_feed(&command.payload_as()),
            Kind::SetFeedSource => self.assess_source(&command.payload_as(), command.time_ns),
            Kind::SetParameter => self.assess_parameter(&command.payload_as()),
            Kind::ConfigureBreaker => self.assess_breaker(&command.payload_as()),
            // Nothing uses a new feed until a market or an asset is pointed at it.
            Kind::RegisterFeed => Assessment { class: Class::Risk, effect: Effect::None, in_setup: true },
            Kind::RevokeRole => Assessment { class: Class::Roles, effect: Effect::Reduces, in_setup: false },
            Kind::GrantRole => Assessment { class: Class::Roles, effect: Effect::Increases, in_setup: false },
            Kind::ActivateRules => {
                Assessment { class: Class::Rules, effect: Effect::Increases, in_setup: false }
            }
            Kind::AllocateVesting | Kind::RevokeVesting | Kind::OpenSeason => self.assess_token(kind),
            _ => Assessment { class: Class::Risk, effect: Effect::Increases, in_setup: false },
        }
    }

    fn assess_market(&self, request: &UpdateMarket) -> Assessment {
        let Some(market) = self.state.markets.list.get(request.market as usize) else {
            return UNKNOWN;
        };
        let new = markets::updated(&market.parameters, request);
        let in_setup = market.status == status::CREATED;
        assessment(&pairs(&markets::rows(&market.parameters), &markets::rows(&new)), in_setup)
    }

    fn assess_market_risk(&self, request: &UpdateMarketRisk) -> Assessment {
        let Some(perp) = self.state.perps.of_market(request.market) else { return UNKNOWN };
        let new = perpetual::merged(&perp.risk, request);
        let in_setup = self.state.markets.list[request.market as usize].status == status::CREATED;
        assessment(&pairs(&perpetual::rows(&perp.risk), &perpetual::rows(&new)), in_setup)
    }

    /// Whether somebody has some of an asset; the token comes into being without a deposit.
    fn is_held(&self, asset: u16) -> bool {
        self.state.system.get(line::WORLD, 0, asset) != 0 || self.state.token.asset() == Some(asset)
    }

    /// An asset that nobody has yet is still being set up.
    fn assess_asset(&self, request: &UpdateAsset) -> Assessment {
        let Some(asset) = self.state.assets.get(request.asset as usize) else { return UNKNOWN };
        let new = Asset {
            weights_bp: perpetual::weights_of(request),
            feed: request.feed,
            deposit_cap: request.deposit_cap,
            collateral_cap: request.collateral_cap,
            ..*asset
        };
        let in_setup = !self.is_held(request.asset);
        assessment(&pairs(&asset_rows(asset), &asset_rows(&new)), in_setup)
    }

    fn assess_feed(&self, request: &RegisterFeed) -> Assessment {
        let Some(feed) = self.state.feeds.get(request.feed) else { return UNKNOWN };
        let changes = [
            (Parameter::FeedQuorum, i64::from(feed.quorum), i64::from(request.quorum)),
            (Parameter::FeedIntervalMs, i64::from(feed.interval_ms), i64::from(request.interval_ms)),
            (
                Parameter::FeedConfidencePpm,
                i64::from(feed.max_confidence_ppm),
                i64::from(request.max_confidence_ppm),
            ),
            (
                Parameter::FeedDeviationBp,
                i64::from(feed.max_deviation_bp),
                i64::from(request.max_deviation_bp),
            ),
            (Parameter::FeedFallback, i64::from(feed.fallback), i64::from(request.fallback)),
        ];
        assessment(&changes, !self.is_feed_used(request.feed))
    }

    /// Sources are changed in a table that nobody uses; the step that puts it into force is the change.
    fn assess_source(&self, request: &SetFeedSource, now_ns: i64) -> Assessment {
        let Some(feed) = self.state.feeds.get(request.feed) else { return UNKNOWN };
        let effect = match check_source(feed, request, now_ns) {
            Ok(false) => Effect::None,
            _ => Effect::Increases,
        };
        Assessment { class: Class::Risk, effect, in_setup: !self.is_feed_used(request.feed) }
    }

    /// Whether a market in operation or an asset that somebody holds takes its price from a feed.
    fn is_feed_used(&self, feed: u32) -> bool {
        let markets = self.state.perps.of_feed(feed);
        let in_operation = |&market: &u32| self.state.markets.list[market as usize].status != status::CREATED;
        let held = |(asset, entry): (usize, &Asset)| entry.feed == feed && self.is_held(asset as u16);
        markets.iter().any(in_operation) || self.state.assets.iter().enumerate().any(held)
    }

    /// Arming a breaker is always safer; what loosens an armed one takes more risk.
    fn assess_breaker(&self, request: &ConfigureBreaker) -> Assessment {
        let present = self.state.halts.breaker(request.market, request.breaker);
        let Some(breaker) = present.filter(|breaker| breaker.armed) else {
            return Assessment { class: Class::Risk, effect: Effect::Reduces, in_setup: true };
        };
        let kept = |given: i64, present: i64| if given == 0 { present } else { given };
        let (halt_s, cooldown_s) = (i64::from(breaker.halt_s), i64::from(breaker.cooldown_s));
        let changes = [
            (Parameter::BreakerThreshold, breaker.threshold, kept(request.threshold, breaker.threshold)),
            (
                Parameter::BreakerSecondThreshold,
                breaker.second,
                kept(request.second_threshold, breaker.second),
            ),
            (Parameter::BreakerHaltS, halt_s, kept(i64::from(request.halt_s), halt_s)),
            (Parameter::BreakerCooldownS, cooldown_s, kept(i64::from(request.cooldown_s), cooldown_s)),
        ];
        let market = self.state.markets.list.get(request.market as usize);
        assessment(&changes, market.is_some_and(|market| market.status == status::CREATED))
    }

    fn assess_parameter(&self, request: &SetParameter) -> Assessment {
        let Some(parameter) = Parameter::of_platform(request.parameter) else { return UNKNOWN };
        let old = self.state.governance.value(parameter);
        Assessment {
            class: parameter.definition().class,
            effect: effect(parameter, old, request.value),
            in_setup: false,
        }
    }

    /// 0C06. One platform-wide parameter; each change raises the version of the platform's configuration.
    pub(crate) fn set_parameter(&mut self, command: &Command, output: &mut Output) -> Result<u64, Reject> {
        let request: SetParameter = command.payload_as();
        let governance = &self.state.governance;
        if request.config_version != governance.config_version {
            let (version, given) = (governance.config_version, request.config_version);
            return reject(Code::CONFIG_VERSION_MISMATCH, i64::from(version), i64::from(given));
        }
        let Some(parameter) = Parameter::of_platform(request.parameter) else {
            return reject(Code::IMMUTABLE_PARAMETER, 0, i64::from(request.parameter));
        };
        parameter.check(request.value)?;
        self.state.fees.settings.check_incentives(parameter, request.value)?;
        let row = parameter.definition();
        if let Some(changed_ns) = governance.changed_ns(parameter) {
            let ready_ns = changed_ns.saturating_add(row.class.cooldown_ns());
            if command.time_ns < ready_ns {
                return reject(Code::PARAMETER_COOLDOWN, ready_ns, command.time_ns);
            }
        }
        if command.is_trial() {
            return Ok(0);
        }
        let previous = governance.value(parameter);
        self.state.governance.set(parameter, request.value, command.time_ns);
        self.state.fees.settings = Settings::of(&self.state.governance);
        let stages = parameter == Parameter::PerpetualStages;
        let body = ParameterBody {
            parameter: request.parameter,
            config_version: self.state.governance.config_version,
            value: request.value,
            previous,
            ready_ns: command.time_ns.saturating_add(row.class.cooldown_ns()),
        };
        output.emit(command, EventKind::ParameterSet, Subject::NONE, &body);
        if stages {
            self.use_vault(command.time_ns);
            self.stages_changed(command, output);
        }
        Ok(u64::from(self.state.governance.config_version))
    }
}

/// Of something that does not exist: its trial has refused it.
const UNKNOWN: Assessment = Assessment { class: Class::Risk, effect: Effect::Increases, in_setup: false };

fn pairs<const N: usize>(
    old: &[(Parameter, i64); N],
    new: &[(Parameter, i64); N],
) -> [(Parameter, i64, i64); N] {
    std::array::from_fn(|at| (old[at].0, old[at].1, new[at].1))
}

/// FEES when nothing but fees changes.
fn assessment(changes: &[(Parameter, i64, i64)], in_setup: bool) -> Assessment {
    let touched = changes.iter().filter(|(_, old, new)| old != new);
    let only_fees = touched.clone().count() > 0
        && touched.clone().all(|(parameter, _, _)| parameter.definition().class == Class::Fees);
    let class = if only_fees { Class::Fees } else { Class::Risk };
    Assessment { class, effect: strongest(changes.iter().copied()), in_setup }
}

fn asset_rows(asset: &Asset) -> [(Parameter, i64); 7] {
    let [initial, maintenance, initial_owed, maintenance_owed] = asset.weights_bp.map(i64::from);
    [
        (Parameter::InitialAssetBp, initial),
        (Parameter::MaintenanceAssetBp, maintenance),
        (Parameter::InitialLiabilityBp, initial_owed),
        (Parameter::MaintenanceLiabilityBp, maintenance_owed),
        (Parameter::DepositCap, asset.deposit_cap),
        (Parameter::CollateralCap, asset.collateral_cap),
        (Parameter::AssetFeed, i64::from(asset.feed)),
    ]
}

const _: () = assert!(PARAMETER_COOLDOWN_NS == Class::Risk.cooldown_ns());

#[cfg(test)]
mod tests {
    use super::*;
    use crate::genesis::{Genesis, Grant};
    use crate::FastBook;

    #[test]
    fn p14_5_roles_and_rules_need_three_and_only_taking_a_role_away_needs_no_time() {
        let grants = vec![Grant { principal: [1; 32], role: crate::roles::SYSTEM, expiry_ns: i64::MAX }];
        let genesis = Genesis { shard: 0, rules_version: crate::RULES_VERSION, time_ns: 1, grants };
        let engine: Engine<FastBook> = Engine::new(&genesis).expect("a sound genesis");
        let assess = |kind: Kind| {
            let found = engine.assess(&Command::new(kind), kind);
            (found.class.approvals(), found.effect, found.in_setup)
        };
        assert_eq!(assess(Kind::RevokeRole), (3, Effect::Reduces, false));
        assert_eq!(assess(Kind::GrantRole), (3, Effect::Increases, false));
        assert_eq!(assess(Kind::ActivateRules), (3, Effect::Increases, false));
        assert_eq!(assess(Kind::RegisterFeed), (2, Effect::None, true));
        assert_eq!(assess(Kind::Tick), (2, Effect::Increases, false), "what nobody may propose");
    }
}
