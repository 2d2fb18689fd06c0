//! Markets and assets: create, update, close (protocol P1.4, P2.2 rows 0101, 0102, 0105).

use super::elastic::check_elastic;
use super::work::{CancelMarket, Work};
use crate::book::Book;
use crate::engine::{Context, Engine};
use crate::governance::parameters::Parameter;
use crate::id::market_id;
use crate::limits::*;
use crate::market::{has_outcomes, kind, market_flag, outcomes_of, status, unit, Market, Parameters};
use crate::math::MAX_BALANCE;
use crate::outcome::payout_ticks;
use crate::output::{Output, Subject};
use crate::perp::{PerpMarket, Risk};
use crate::state::{Asset, NO_FEED};
use crate::wire::command::{
    asset_flag, CloseMarket, Command, CreateMarket, RegisterAsset, UpdateMarket, ALL,
};
use crate::wire::error::{reject, Code, Reject};
use crate::wire::event::{
    cancel_reason, AssetBody, EventKind, IdentityBody, MarketBody, StatusBody, NO_ACCOUNT,
};

/// Flags that an asset may carry.
const ASSET_FLAGS: u32 = asset_flag::SETTLEMENT | asset_flag::STABLE | asset_flag::STAKE | asset_flag::TOKEN;
/// Fields that UpdateMarket can select.
const UPDATABLE: u32 = 0b11_1111;

/// What the checks of a new market have found.
pub(super) struct NewMarket {
    id: [u8; 32],
    unit: i64,
    parameters: Parameters,
}

impl<B: Book> Engine<B> {
    pub(crate) fn register_asset(&mut self, command: &Command, output: &mut Output) -> Result<u64, Reject> {
        let request: RegisterAsset = command.payload_as();
        let length = request.symbol.iter().position(|&byte| byte == 0).unwrap_or(16);
        let (name, padding) = request.symbol.split_at(length);
        let valid = !name.is_empty() && name.iter().all(|byte| byte.is_ascii_graphic());
        if !valid || padding.iter().any(|&byte| byte != 0) || request.reserved != 0 {
            return reject(Code::PARAMETER_OUT_OF_BOUNDS, 1, length as i64);
        }
        let weights = [
            request.initial_asset_bp,
            request.maintenance_asset_bp,
            request.initial_liability_bp,
            request.maintenance_liability_bp,
        ];
        check_weights(weights)?;
        if request.deposit_cap < 0 || request.deposit_cap > MAX_BALANCE {
            return reject(Code::PARAMETER_OUT_OF_BOUNDS, MAX_BALANCE, request.deposit_cap);
        }
        if request.asset_flags & !ASSET_FLAGS != 0 {
            return reject(
                Code::PARAMETER_OUT_OF_BOUNDS,
                i64::from(ASSET_FLAGS),
                i64::from(request.asset_flags),
            );
        }
        // The unit of account is money of the outside world.
        let own_money = asset_flag::SETTLEMENT | asset_flag::STABLE;
        if request.asset_flags & asset_flag::TOKEN != 0 && request.asset_flags & own_money != 0 {
            let (bound, given) = (i64::from(asset_flag::TOKEN), i64::from(request.asset_flags));
            return reject(Code::PARAMETER_OUT_OF_BOUNDS, bound, given);
        }
        // One unit of account, one staking asset, one token.
        let single = request.asset_flags & (asset_flag::SETTLEMENT | asset_flag::STAKE | asset_flag::TOKEN);
        if let Some(known) = self.state.assets.iter().position(|asset| asset.flags & single != 0) {
            return reject(Code::ALREADY_EXISTS, 0, known as i64);
        }
        if let Some(known) = self.state.assets.iter().position(|asset| asset.symbol == request.symbol) {
            return reject(Code::ALREADY_EXISTS, 0, known as i64);
        }
        let handle = self.state.assets.len();
        if handle >= MAX_ASSETS {
            return reject(Code::CAPACITY_EXCEEDED, MAX_ASSETS as i64, handle as i64);
        }
        self.state.assets.push(Asset {
            symbol: request.symbol,
            weights_bp: weights,
            deposit_cap: request.deposit_cap,
            flags: request.asset_flags,
            feed: NO_FEED,
            collateral_cap: 0,
        });
        let body = asset_body(handle as u16, &self.state.assets[handle]);
        output.emit(command, EventKind::AssetRegistered, Subject::NONE, &body);
        if request.asset_flags & asset_flag::TOKEN != 0 {
            self.issue_token(command, handle as u16, output);
        }
        Ok(handle as u64)
    }

    pub(crate) fn create_market(
        &mut self,
        command: &Command,
        context: Context,
        output: &mut Output,
    ) -> Result<u64, Reject> {
        let request: CreateMarket = command.payload_as();
        let checked = self.check_new_market(command, &request)?;
        Ok(u64::from(self.make_market(command, context, &request, checked, output)))
    }

    /// Row 0101 up to the bond: unit, parameters and id of a market that may be made.
    pub(super) fn check_new_market(
        &self,
        command: &Command,
        request: &CreateMarket,
    ) -> Result<NewMarket, Reject> {
        if request.market_kind > kind::DISTRIBUTION {
            return reject(
                Code::INVALID_MARKET_KIND,
                i64::from(kind::DISTRIBUTION),
                i64::from(request.market_kind),
            );
        }
        let leveraged = request.market_kind == kind::PERPETUAL;
        let has_outcomes = has_outcomes(request.market_kind);
        let (fewest, most) = outcomes_of(request.market_kind);
        if !(fewest..=most).contains(&request.outcome_count) {
            let bound = if request.outcome_count < fewest { fewest } else { most };
            return reject(Code::INVALID_OUTCOME_COUNT, i64::from(bound), i64::from(request.outcome_count));
        }
        for asset in [request.base, request.quote] {
            if asset as usize >= self.state.assets.len() {
                return reject(Code::ASSET_NOT_FOUND, self.state.assets.len() as i64, i64::from(asset));
            }
        }
        // Claims are no asset: the base of an outcome market is its quote.
        let fits = if has_outcomes {
            request.base == request.quote && payout_ticks(request.tick_size).is_some()
        } else {
            request.base != request.quote
        };
        let Some(unit) = unit(request.tick_size, request.lot_size).filter(|_| fits) else {
            return reject(Code::INVALID_TICK_LOT, request.tick_size, request.lot_size);
        };
        if leveraged {
            self.check_leveraged(request)?;
        } else if request.feed != 0 {
            return reject(Code::FEED_NOT_FOUND, 0, i64::from(request.feed));
        }
        let earliest_ns = command.time_ns.saturating_add(MIN_SETTLE_NS);
        if has_outcomes && request.settle_time_ns < earliest_ns {
            return reject(Code::TOO_EARLY, earliest_ns, request.settle_time_ns);
        }
        let settle_time_ns = if has_outcomes { 0 } else { request.settle_time_ns };
        let unknown = request.market_flags & !market_flag::ELASTIC_FEE;
        if settle_time_ns != 0 || unknown != 0 {
            return reject(Code::PARAMETER_OUT_OF_BOUNDS, 0, settle_time_ns | i64::from(unknown));
        }
        let parameters = Parameters {
            band_bp: request.band_bp,
            slippage_bp: request.slippage_bp,
            taker_fee_e6bp: request.taker_fee_e6bp,
            maker_fee_e6bp: request.maker_fee_e6bp,
            min_notional: request.min_notional,
            max_notional: request.max_notional,
        };
        check_parameters(&parameters)?;
        check_elastic(self.state.fees.settings.profile, request.market_flags, &parameters)?;
        let id = market_id(&command.account, request.nonce);
        if let Some(known) = self.state.markets.find(&id) {
            return reject(Code::ALREADY_EXISTS, 0, i64::from(known));
        }
        if self.state.markets.list.len() >= MAX_MARKETS {
            return reject(Code::MARKET_LIMIT_REACHED, MAX_MARKETS as i64, MAX_MARKETS as i64);
        }
        Ok(NewMarket { id, unit, parameters })
    }

    /// Makes a market that was checked; its handle.
    pub(super) fn make_market(
        &mut self,
        command: &Command,
        context: Context,
        request: &CreateMarket,
        NewMarket { id, unit, parameters }: NewMarket,
        output: &mut Output,
    ) -> u32 {
        let leveraged = request.market_kind == kind::PERPETUAL;
        let has_outcomes = has_outcomes(request.market_kind);
        let handle = self.state.markets.push(Market {
            id,
            creator: context.account,
            nonce: request.nonce,
            kind: request.market_kind,
            status: status::CREATED,
            outcome_count: request.outcome_count,
            base: request.base,
            quote: request.quote,
            flags: request.market_flags,
            feed: request.feed,
            tick_size: request.tick_size,
            lot_size: request.lot_size,
            unit,
            settle_time_ns: request.settle_time_ns,
            parameters,
            config_version: 1,
            last_update_ns: i64::MIN,
            pause: None,
            last_price: 0,
            reference: 0,
        });
        self.state.books.push(B::default());
        if has_outcomes {
            self.state.claims.open_market(handle, request.outcome_count);
        }
        self.state.token.staking.admit(request.quote);
        self.note_token_market(handle);
        if leveraged {
            self.state.perps.add_market(PerpMarket::new(handle, request.feed, unit, Risk::default()));
            self.schedule_market(handle, command.time_ns.saturating_add(SECOND_NS));
        }
        self.emit_market(command, EventKind::MarketCreated, handle, output);
        let subject = Subject { account: context.account, sub: command.sub, ..Subject::market(handle) };
        let identity = IdentityBody {
            id,
            nonce: request.nonce,
            outcome_count: request.outcome_count,
            reserved: 0,
            reserved2: 0,
            feed: request.feed,
        };
        output.emit(command, EventKind::MarketIdentified, subject, &identity);
        if leveraged {
            // It becomes active when its feed has been valid for a minute (P2.3.1).
            self.emit_market_risk(command, handle, output);
            return handle;
        }
        // A spot market, and a native outcome market, waits for neither pool nor feed (P2.3.1).
        self.state.markets.list[handle as usize].status = status::ACTIVE;
        let body =
            StatusBody { status: status::ACTIVE, previous: status::CREATED, reserved: 0, reserved2: 0 };
        output.emit(command, EventKind::MarketActivated, Subject::market(handle), &body);
        if has_outcomes {
            self.schedule_closing(handle);
        }
        handle
    }

    pub(crate) fn update_market(&mut self, command: &Command, output: &mut Output) -> Result<u64, Reject> {
        let request: UpdateMarket = command.payload_as();
        let profile = self.state.fees.settings.profile;
        let Some(market) = self.state.markets.list.get_mut(request.market as usize) else {
            return reject(Code::MARKET_NOT_FOUND, 0, i64::from(request.market));
        };
        if request.config_version != market.config_version {
            return reject(
                Code::CONFIG_VERSION_MISMATCH,
                i64::from(market.config_version),
                i64::from(request.config_version),
            );
        }
        if market.status >= status::CLOSE_ONLY {
            return reject(Code::INVALID_TRANSITION, 0, i64::from(market.status));
        }
        let mask = request.field_mask;
        if mask & !UPDATABLE != 0 {
            return reject(Code::IMMUTABLE_PARAMETER, i64::from(UPDATABLE), i64::from(mask));
        }
        if mask == 0 {
            return reject(Code::PARAMETER_OUT_OF_BOUNDS, 1, 0);
        }
        let parameters = updated(&market.parameters, &request);
        check_parameters(&parameters)?;
        check_elastic(profile, market.flags, &parameters)?;
        let ready_ns = market.last_update_ns.saturating_add(PARAMETER_COOLDOWN_NS);
        if market.last_update_ns != i64::MIN && command.time_ns < ready_ns {
            return reject(Code::PARAMETER_COOLDOWN, ready_ns, command.time_ns);
        }
        if command.is_trial() {
            return Ok(0);
        }
        market.parameters = parameters;
        market.config_version += 1;
        market.last_update_ns = command.time_ns;
        let version = u64::from(market.config_version);
        self.emit_market(command, EventKind::MarketUpdated, request.market, output);
        Ok(version)
    }

    pub(crate) fn close_market(&mut self, command: &Command, output: &mut Output) -> Result<u64, Reject> {
        let request: CloseMarket = command.payload_as();
        if request.reserved != 0 {
            return reject(Code::RESERVED_NOT_ZERO, 0, i64::from(request.reserved));
        }
        let Some(market) = self.state.markets.list.get_mut(request.market as usize) else {
            return reject(Code::MARKET_NOT_FOUND, 0, i64::from(request.market));
        };
        // A leveraged market stays close-only, so that positions can be reduced, until it is closed a second time.
        let leveraged = market.kind == kind::PERPETUAL;
        if leveraged && market.status == status::CLOSE_ONLY {
            let reason = cancel_reason::MARKET_CLOSED;
            let job =
                CancelMarket { market: request.market, side: ALL, reason, done: 0, close: true, after: 0 };
            self.do_work(command, command.seq, Work::CancelMarket(job), output);
            return Ok(u64::from(request.market));
        }
        if !matches!(market.status, status::ACTIVE | status::PAUSED) {
            return reject(Code::INVALID_TRANSITION, 0, i64::from(market.status));
        }
        let previous = std::mem::replace(&mut market.status, status::CLOSE_ONLY);
        self.unschedule_closing(request.market);
        self.set_pause(u64::from(request.market), None);
        let body = StatusBody { status: status::CLOSE_ONLY, previous, reserved: 0, reserved2: 0 };
        output.emit(command, EventKind::MarketClosing, Subject::market(request.market), &body);
        let reason = cancel_reason::MARKET_CLOSED;
        let job =
            CancelMarket { market: request.market, side: ALL, reason, done: 0, close: !leveraged, after: 0 };
        self.do_work(command, command.seq, Work::CancelMarket(job), output);
        Ok(u64::from(request.market))
    }

    /// A leveraged market accounts in the settlement asset and has a feed (row 0101).
    fn check_leveraged(&self, request: &CreateMarket) -> Result<(), Reject> {
        let Some(settlement) = self.settlement_asset() else {
            return reject(Code::ASSET_NOT_FOUND, -1, i64::from(request.quote));
        };
        if request.quote != settlement {
            return reject(Code::INVALID_MARKET_KIND, i64::from(settlement), i64::from(request.quote));
        }
        if !self.has_feed(request.feed) {
            return reject(Code::FEED_NOT_FOUND, 0, i64::from(request.feed));
        }
        let sharing = self.state.perps.of_feed(request.feed).len();
        if sharing >= MAX_MARKETS_PER_FEED {
            return reject(Code::MARKET_LIMIT_REACHED, MAX_MARKETS_PER_FEED as i64, sharing as i64);
        }
        Ok(())
    }

    fn emit_market(&self, command: &Command, event: EventKind, handle: u32, output: &mut Output) {
        let market = &self.state.markets.list[handle as usize];
        let parameters = market.parameters;
        let body = MarketBody {
            market_kind: market.kind,
            status: market.status,
            base: market.base,
            quote: market.quote,
            market_flags: market.flags,
            tick_size: market.tick_size,
            lot_size: market.lot_size,
            unit: market.unit,
            settle_time_ns: market.settle_time_ns,
            taker_fee_e6bp: parameters.taker_fee_e6bp,
            maker_fee_e6bp: parameters.maker_fee_e6bp,
            band_bp: parameters.band_bp,
            slippage_bp: parameters.slippage_bp,
            config_version: market.config_version,
            min_notional: parameters.min_notional,
            max_notional: parameters.max_notional,
        };
        let account = if event == EventKind::MarketCreated { market.creator } else { NO_ACCOUNT };
        output.emit(command, event, Subject { account, ..Subject::market(handle) }, &body);
    }
}

pub(super) fn asset_body(handle: u16, asset: &Asset) -> AssetBody {
    let [initial_asset_bp, maintenance_asset_bp, initial_liability_bp, maintenance_liability_bp] =
        asset.weights_bp;
    AssetBody {
        symbol: asset.symbol,
        asset: handle,
        reserved: 0,
        reserved2: 0,
        initial_asset_bp,
        maintenance_asset_bp,
        initial_liability_bp,
        maintenance_liability_bp,
        deposit_cap: asset.deposit_cap,
        asset_flags: asset.flags,
        feed: asset.feed,
        collateral_cap: asset.collateral_cap,
    }
}

/// 0 ≤ initial asset ≤ maintenance asset ≤ 10000 ≤ maintenance liability ≤ initial liability (P1.4.5).
pub(super) fn check_weights(
    [initial, maintenance, initial_owed, maintenance_owed]: [u16; 4],
) -> Result<(), Reject> {
    let rising = [
        (initial, maintenance),
        (maintenance, 10_000),
        (10_000, maintenance_owed),
        (maintenance_owed, initial_owed),
    ];
    match rising.into_iter().find(|(low, high)| low > high) {
        Some((low, high)) => reject(Code::PARAMETER_OUT_OF_BOUNDS, i64::from(high), i64::from(low)),
        None => Ok(()),
    }
}

/// The parameters with the selected fields replaced.
pub(super) fn updated(parameters: &Parameters, request: &UpdateMarket) -> Parameters {
    let mut new = *parameters;
    let selected = |bit: u32| request.field_mask & (1 << bit) != 0;
    macro_rules! take {
        ($($bit:literal $field:ident),*) => { $(if selected($bit) { new.$field = request.$field; })* };
    }
    take!(0 band_bp, 1 slippage_bp, 2 taker_fee_e6bp, 3 maker_fee_e6bp, 4 min_notional, 5 max_notional);
    new
}

/// Every parameter of a market by its row in the table.
pub(super) fn rows(parameters: &Parameters) -> [(Parameter, i64); 6] {
    [
        (Parameter::BandBp, i64::from(parameters.band_bp)),
        (Parameter::SlippageBp, i64::from(parameters.slippage_bp)),
        (Parameter::TakerFeeE6bp, i64::from(parameters.taker_fee_e6bp)),
        (Parameter::MakerFeeE6bp, i64::from(parameters.maker_fee_e6bp)),
        (Parameter::MinNotional, parameters.min_notional),
        (Parameter::MaxNotional, parameters.max_notional),
    ]
}

fn check_parameters(parameters: &Parameters) -> Result<(), Reject> {
    rows(parameters).into_iter().try_for_each(|(parameter, value)| parameter.check(value))?;
    if parameters.max_notional < parameters.min_notional {
        return reject(Code::PARAMETER_OUT_OF_BOUNDS, parameters.min_notional, parameters.max_notional);
    }
    Ok(())
}
