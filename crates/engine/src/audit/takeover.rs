//! Starting in the middle of a log: the auditor takes over the state of a restored engine.

use super::bonds::Bond;
use super::book::Order;
use super::fault::{fault, Check, Fault};
use super::feeds::{Feed, Pending};
use super::index::{Hour, Source, Standing, Terms};
use super::perpetual::PERPETUAL;
use super::position::{Perp, Position};
use super::records::{Account, Withdrawal};
use super::resolution::Restored;
use super::slashes::Slash;
use super::specials::Special;
use super::{Auditor, Market, Violation};
use crate::book::Book;
use crate::engine::Engine;
use crate::genesis::Genesis;
use crate::governance::parameters::Parameter;
use crate::hash::id32;
use crate::ledger::line;
use crate::oracle;
use crate::order::{flag, SLOT_BITS};
use crate::resolution::stage;
use crate::state::withdrawal_state;
use crate::wire::command::{asset_flag, side};
use crate::wire::event::AssetBody;

impl Auditor {
    /// An auditor that continues behind a snapshot. What the engine holds is taken over as data and must satisfy
    /// every invariant by the auditor's own rules; whether it is the right state the snapshot's hash says.
    ///
    /// # Errors
    /// The first invariant that the state breaks, with the engine's sequence number.
    pub fn from_engine<B: Book>(engine: &Engine<B>) -> Result<Self, Violation> {
        let mut auditor = Self::before(engine.shard);
        auditor.seq = engine.cursor.seq;
        auditor.time_ns = engine.cursor.time_ns;
        auditor.began_ns = engine.cursor.time_ns;
        auditor.pending = engine.pending_token();
        let seq = auditor.seq;
        let violation = |Fault { invariant, detail }: Fault| Violation { invariant, seq, detail };
        auditor.take_over(engine).map_err(violation)?;
        auditor.ledger.forget_touched();
        auditor.verify()?;
        Ok(*auditor)
    }

    /// An auditor that has seen nothing, kept out of the frame that fills it.
    #[inline(never)]
    fn before(shard: u16) -> Box<Self> {
        Box::new(Auditor::new(&Genesis { shard, rules_version: 0, time_ns: 0, grants: Vec::new() }))
    }

    fn take_over<B: Book>(&mut self, engine: &Engine<B>) -> Check {
        if engine.pending.is_some() {
            return Err(fault("I18", format_args!("a continuation is pending; take over between commands")));
        }
        let state = &engine.state;
        self.take_over_accounts(engine);
        for ((line, key, asset), amount) in state.system.rows() {
            self.ledger.load_system(line, key, asset, amount);
        }
        for asset in 0..state.assets.len() as u16 {
            let fee_lines =
                [line::VAULT_CASH, line::STAKER_POOL, line::MAKER_FUND, line::INSURANCE, line::BUYBACK];
            let kept = fee_lines.iter().map(|&line| self.ledger.line(0, 0, asset, line)).sum();
            self.collect_fees(asset, kept);
        }
        self.take_over_vault(engine);
        self.take_over_chains(engine);
        self.records.assets = state.assets.len();
        self.records.deposits = state.deposits.clone();
        for (principal, role) in state.roles.grants() {
            self.records.grant(&principal, role);
        }
        for market in &state.markets.list {
            self.records.market_ids.insert(id32(&market.id));
            self.markets.push(Market {
                base: market.base,
                quote: market.quote,
                status: market.status,
                kind: market.kind,
                outcome_count: market.outcome_count,
                config_version: market.config_version,
                tick_size: market.tick_size,
                lot_size: market.lot_size,
                unit: market.unit,
                taker_fee_e6bp: market.parameters.taker_fee_e6bp,
                maker_fee_e6bp: market.parameters.maker_fee_e6bp,
                elastic: market.is_elastic(),
                settle_time_ns: market.settle_time_ns,
            });
            self.books.open_market();
            self.positions.open_market();
            self.outcomes_identified(self.markets.len() as u32 - 1, market.outcome_count)?;
        }
        for claim in state.claims.ascending() {
            let (owner, part) = ((claim.market, claim.account), (claim.sub, claim.outcome));
            self.outcomes.load(owner, part, claim.free, claim.held);
            self.stakes.change(claim.market, claim.account, (false, true), 0);
        }
        self.venues.load(&state.venues);
        for (&market, pool) in &state.pools.pools {
            self.pools.load(market, pool);
        }
        for (&place, provider) in &state.pools.providers {
            self.pools.load_provider(place, provider);
            self.stakes.change(place.0, place.1, (false, true), 0);
        }
        self.questions.load(&state.questions);
        self.take_over_values(engine)?;
        self.take_over_positions(engine)?;
        let stake_asset = state.assets.iter().position(|asset| asset.flags & asset_flag::STAKE != 0);
        for (&account, stake) in &state.keepers.stakes {
            let asset = stake_asset.unwrap_or(usize::from(u16::MAX)) as u16;
            let bond = Bond { asset, bonded: stake.bonded, unbonding: stake.unbonding() };
            self.records.bonds.insert(account, bond);
            let parts: Vec<_> = stake.parts.iter().map(|part| (part.amount, part.ready_ns)).collect();
            if !parts.is_empty() {
                self.slashes.parts.insert(account, parts);
            }
        }
        self.slashes.next = state.keepers.next_slash;
        self.slashes.open =
            state.keepers.slashes.iter().map(|(&number, slash)| (number, slash_of(slash))).collect();
        self.take_over_token(engine)?;
        self.take_over_halts(engine)?;
        self.take_over_resolutions(engine);
        self.take_over_loans(engine);
        self.take_over_dark(engine);
        self.take_over_fees(engine)?;
        self.take_over_marks(engine);
        self.take_over_credits(engine);
        self.take_over_withdrawals(engine);
        self.take_over_orders(engine)
    }

    fn take_over_resolutions<B: Book>(&mut self, engine: &Engine<B>) {
        for (market, resolution) in engine.state.resolutions.iter() {
            let spoken = |party: usize| match party {
                0 => &resolution.claims[0],
                _ => &resolution.claims[usize::from(resolution.disputes[party - 1].claim)],
            };
            let parties =
                resolution.parties.iter().enumerate().map(|(at, party)| {
                    (party.account, party.sub, party.bond, spoken(at).payout.ppm().to_vec())
                });
            let votes = resolution.votes.iter().map(|vote| (vote.arbiter, vote.payout.ppm().to_vec()));
            let brought = resolution.claims.iter();
            let brought = brought.map(|claim| (claim.payout.ppm().to_vec(), usize::from(claim.backer)));
            let restored = Restored {
                round: resolution.round,
                base_bond: resolution.base_bond,
                until_ns: resolution.until_ns,
                disputed: resolution.stage == stage::DISPUTED,
                decided: resolution.stage == stage::DECIDED,
                unjudged: resolution.unjudged,
                is_final: resolution.stage == stage::FINAL,
                standing: resolution.standing().ppm().to_vec(),
                brought: brought.collect(),
                parties: parties.collect(),
                votes: votes.collect(),
            };
            self.resolutions.load(market, restored);
        }
        for (market, account, left_ns) in engine.state.resolutions.exits.iter() {
            self.stakes.leave(market, account, left_ns);
        }
        self.early.triggered = engine.state.resolutions.early.triggered().collect();
        self.early.since_ns = engine.time_ns();
        let verses = &engine.state.verses;
        for verse in (0..verses.len() as u32).filter_map(|verse| verses.get(verse)) {
            let halt = verse.halt.map(|halt| super::verses::Halt {
                id: halt.id,
                level: halt.level,
                until_ns: halt.until_ns,
                by: halt.by,
                pending: (halt.pending_by != [0; 32]).then_some((halt.pending_by, halt.pending_until_ns)),
            });
            self.verses.load(verse.parent, halt);
        }
        let mut next = 0;
        while let Some((market, verse)) = verses.next_link(next) {
            self.verses.load_link(market, verse);
            next = market + 1;
        }
        let governance = &engine.state.governance;
        let bonds = engine.state.resolutions.listings.iter().map(|(market, one)| {
            let (account, sub, bond, reward) = (one.account, one.sub, one.bond, one.reward);
            (market, super::listing::Bond { account, sub, bond, reward })
        });
        self.listings = super::listing::Listings {
            of_market: bonds.collect(),
            open: governance.value(Parameter::ListingOpen) != 0,
            bond: governance.value(Parameter::ListingBond),
            reward_pct: governance.value(Parameter::ListingRewardPct),
            per_account: governance.value(Parameter::ListingMarkets),
            ..Default::default()
        };
    }

    fn take_over_halts<B: Book>(&mut self, engine: &Engine<B>) -> Check {
        let state = &engine.state;
        let pause_of =
            |pause: Option<crate::market::Pause>| pause.map(|pause| (pause.level, pause.categories));
        self.halts.platform.pause = pause_of(state.platform_pause);
        for (market, entry) in
            state.markets.list.iter().enumerate().filter(|(_, entry)| entry.pause.is_some())
        {
            self.halts.scope_mut(market as u32).pause = pause_of(entry.pause);
        }
        for (scope, breaker) in state.halts.all().filter(|(_, breaker)| breaker.phase != 0) {
            self.halts.scope_mut(scope).phases[breaker.id as usize] = breaker.phase;
            if scope != u32::MAX && self.halts.scope(scope).collects() {
                self.books.let_cross(scope, true)?;
            }
        }
        Ok(())
    }

    fn take_over_accounts<B: Book>(&mut self, engine: &Engine<B>) {
        for (handle, account) in engine.state.accounts.list.iter().enumerate() {
            self.records.account_ids.insert(id32(&account.id));
            self.stakes.open_account(&account.id, handle as u32);
            if account.owner_key == super::liquidation::fund_key() {
                self.liquidations.fund = Some(handle as u32);
            }
            let bits = |only: bool| {
                let subs = account.subs().filter(|sub| !only || sub.margin_mode == 1);
                subs.fold(0, |bits, sub| bits | 1_u128 << (sub.index & 127))
            };
            self.records.accounts.push(Account {
                subs: bits(false),
                isolated: bits(true),
                addresses: account.addresses.len() as u8,
            });
            for sub in account.subs() {
                for balance in &sub.balances {
                    self.ledger.load(handle as u32, sub.index, balance.asset, balance.lines);
                }
            }
        }
    }

    /// Assets, feeds and the parameters of leveraged markets.
    fn take_over_values<B: Book>(&mut self, engine: &Engine<B>) -> Check {
        let state = &engine.state;
        for (number, asset) in state.assets.iter().enumerate() {
            let [initial_asset_bp, maintenance_asset_bp, initial_liability_bp, maintenance_liability_bp] =
                asset.weights_bp;
            self.values.set_asset(&AssetBody {
                symbol: asset.symbol,
                asset: number as u16,
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
            })?;
        }
        for number in 0..state.feeds.len() as u32 {
            let Some(feed) = state.feeds.get(number) else { continue };
            let copy = self.values.feed_mut(number)?;
            (copy.index, copy.confidence, copy.state) = (feed.index, feed.confidence, feed.state());
            copy.switched_to = feed.switched_to();
            self.feeds.list.push(feed_of(feed));
        }
        Ok(())
    }

    fn take_over_positions<B: Book>(&mut self, engine: &Engine<B>) -> Check {
        let state = &engine.state;
        for perp in &state.perps.markets {
            let entry = &state.markets.list[perp.market as usize];
            self.positions.markets[perp.market as usize] = Perp {
                exists: true,
                feed: perp.feed,
                max_leverage_e2: perp.risk.max_leverage_e2,
                size_k_ppm: perp.risk.size_k_ppm,
                floor_mmf_ppm: perp.risk.floor_mmf_ppm,
                liquidation_fee_e6bp: perp.risk.liquidation_fee_e6bp,
                position_limit: perp.risk.position_limit,
                open_interest_cap: perp.risk.open_interest_cap,
                mark: perp.mark,
                index: perp.index,
                mark_ns: perp.mark_ns,
                last_price: entry.last_price,
                funding_index: perp.funding_index,
                funding_due_ns: perp.hour_end_ns,
                ..Perp::default()
            };
        }
        for position in state.perps.sorted() {
            let empty = Position::new(position.account, position.sub, position.market);
            self.positions.load(&Position {
                lots: position.lots,
                cost: position.cost,
                leverage_e2: position.leverage_e2,
                funding_entry: position.funding_entry,
                ..empty
            });
        }
        for (place, perp) in state.perps.markets.iter().enumerate() {
            if state.liquidations.market(place).is_some_and(|kept| kept.cascade_ns != 0) {
                self.liquidations.cascades.insert(perp.market);
            }
        }
        // As many roundings lie behind as the funding line holds beyond the claims.
        for perp in &state.perps.markets {
            let quote = state.markets.list[perp.market as usize].quote;
            let line = self.ledger.line(perp.market, 0, quote, line::FUNDING);
            let over = self.positions.dust(perp.market, line)?;
            self.positions.perp_mut(perp.market)?.settlements = i128::from(over);
        }
        Ok(())
    }

    fn take_over_withdrawals<B: Book>(&mut self, engine: &Engine<B>) {
        self.records.last_ticket = engine.state.next_ticket - 1;
        for (&ticket, entry) in &engine.state.withdrawals {
            let open = matches!(entry.state, withdrawal_state::QUEUED | withdrawal_state::RELEASED);
            if !open {
                continue;
            }
            self.ledger.withdraw(entry.account, entry.sub, entry.asset, entry.amount);
            let withdrawal = Withdrawal {
                account: entry.account,
                sub: entry.sub,
                asset: entry.asset,
                amount: entry.amount,
                released: entry.state == withdrawal_state::RELEASED,
            };
            self.records.withdrawals.insert(ticket, withdrawal);
        }
    }

    /// Orders enter in the order of their priority, as they once came to rest.
    fn take_over_orders<B: Book>(&mut self, engine: &Engine<B>) -> Check {
        let state = &engine.state;
        let mut orders: Vec<_> = state.orders.ascending();
        orders.sort_unstable_by_key(|order| order.priority);
        for order in orders {
            let market = *self.market(order.market)?;
            let on_claims = market.has_outcomes() && order.given_side() == side::SELL;
            let asset = if order.side == side::BUY { market.quote } else { market.base };
            let balance = self.ledger.slot(order.account, order.sub, asset);
            let hidden = state.triggers.hidden(order);
            let parked = order.flags & flag::WAITING != 0;
            let total = order.total + hidden;
            let remaining = order.remaining + hidden;
            let secured = if parked && order.reserve == 0 { 0 } else { remaining };
            let mut copy = Order {
                id: order.id,
                priority: order.priority,
                price: order.price,
                total,
                remaining,
                filled: order.total - order.remaining,
                account: order.account,
                market: order.market,
                fee_cap_e6bp: order.fee_cap_e6bp,
                balance,
                book: self.books.book(order.market, order.line()),
                sub: order.sub,
                side: order.side,
                outcome: order.outcome,
                flipped: order.flags & flag::FLIPPED != 0,
                on_claims,
                kind: order.order_type,
                flags: order.flags & !flag::INTERNAL,
                offered: order.flags & flag::OFFER != 0 && Some(order.account) != self.liquidations.fund,
                hidden,
                ..Order::EMPTY
            };
            copy.reserve = market.reserve_of(&copy, secured)?;
            let place = self.books.store(&copy)?;
            if on_claims {
                let &Order { market, account, sub, outcome, reserve, .. } = &copy;
                self.outcomes.reserve(market, account, sub, outcome, reserve);
            } else {
                self.ledger.reserve(balance, copy.reserve);
            }
            if let Some(special) = state.triggers.special(order.id) {
                self.specials
                    .insert(order.id, Special::taken_over(special, state.triggers.trigger_price(order)));
            }
            if parked {
                self.books.park(place, true);
            } else {
                if market.kind == PERPETUAL {
                    let position = self.positions.slot(order.account, order.sub, order.market);
                    self.books.attach(place, position);
                }
                self.books.rest(place, order.priority)?;
                self.books.orders[place as usize].improves = order.flags & flag::IMPROVES != 0;
            }
        }
        self.books.last_order_id = (state.next_order << SLOT_BITS) - 1;
        Ok(())
    }
}

fn feed_of(feed: &oracle::Feed) -> Feed {
    let (good_since_ns, valid_from_ns) = feed.progress_ns();
    let (present, first, minutes) = feed.twap.sums();
    let source = |source: &oracle::Source| Source {
        key: source.key,
        weight: source.weight,
        next_weight: source.next_weight,
        excluded_until_ns: source.excluded_until_ns,
        value: source.value,
        confidence: source.confidence,
        time_ns: source.time_ns,
        seq: source.seq,
    };
    Feed {
        symbol: feed.symbol,
        terms: Terms {
            probability: feed.kind == oracle::feed_kind::PROBABILITY,
            quorum: feed.quorum,
            interval_ms: feed.interval_ms,
            max_confidence_ppm: feed.max_confidence_ppm,
            max_deviation_bp: feed.max_deviation_bp,
            fallback: feed.fallback,
        },
        version: feed.config_version,
        sources: feed.sources.iter().map(source).collect(),
        index: feed.index,
        confidence: feed.confidence,
        updated_ns: feed.updated_ns,
        gates: feed.gates,
        standing: Standing { state: feed.state(), since_ns: feed.since_ns(), good_since_ns, valid_from_ns },
        clears: feed.clears,
        cause: feed.cause,
        apart_since_ns: feed.apart_since_ns(),
        forced: feed.forced.map(|forced| (forced.action, forced.until_ns, forced.target)),
        pending: feed.pending.map(|pending| Pending {
            action: pending.action,
            source: pending.source,
            until_ns: pending.until_ns,
            pending_until_ns: pending.pending_until_ns,
            by: pending.by,
        }),
        hour: Hour::taken_over(present, first, minutes),
    }
}

fn slash_of(slash: &crate::keeper::Slash) -> Slash {
    Slash {
        account: slash.account,
        state: slash.state,
        fault: slash.fault,
        ppm: slash.ppm,
        evidence: slash.evidence,
        first: slash.first_signer,
        deadline_ns: slash.deadline_ns,
    }
}
