//! The dark midpoint cross from events alone (P16): what secures orders (I07), the price inside the lit book, the largest
//! volume and its shares computed here again (I06), money and claims of every fill (I01, I11), prints not before their time.

use std::collections::{BTreeMap, VecDeque};

use super::fault::{ensure, fault, Check};
use super::ledger::{FREE, HELD};
use super::outcome::{ClaimsMove, OUTCOME};
use super::records::check_movements;
use super::{Auditor, Market};
use crate::book::Book;
use crate::engine::Engine;
use crate::governance::parameters::{Parameter, DARK_MARKETS};
use crate::wire::event::{
    DarkAcceptedBody, DarkCancelledBody, DarkCrossedBody, DarkFilledBody, DarkPrintedBody, Event, EventKind,
    ParameterBody, Posting,
};

const SPOT: u8 = 0;
const ACTIVE: u8 = 1;
const BUY: u8 = 0;
const SELL: u8 = 1;
const DUST: u8 = 0x8F;
const FIRST_PLACE: u32 = Parameter::DarkMarket1 as u32;
const PLACES: usize = 16;
const LEAST_NOTIONAL: i128 = 10_000_000_000;
const MOST_ROUNDS: u32 = 32;
const MOST_PER_SIDE: usize = 32;
const PRINT_DELAY_NS: i64 = 60_000_000_000;
/// Half of the lowest elastic rate, 3 bp.
const LEAST_ELASTIC_E8: u32 = 150_000_000;

/// A resting order.
#[derive(Clone, Copy, Debug)]
struct Resting {
    account: u32,
    sub: u8,
    market: u32,
    outcome: u8,
    side: u8,
    lots: i64,
    least: i64,
    limit: i64,
    reserve: i64,
    cap_e8: u32,
}

/// A cross whose fills are coming.
#[derive(Clone, Debug)]
struct Cross {
    market: u32,
    outcome: u8,
    midpoint: i64,
    /// Lots that each order must still trade, and fills.
    owed: BTreeMap<u64, i64>,
    fills: u32,
}

/// What was crossed, and is not printed yet: moment, market, outcome, midpoint, lots.
type Unprinted = (i64, u32, u8, i64, i64);

/// Everything that rests in the dark.
#[derive(Clone, Debug, Default)]
pub struct Dark {
    orders: BTreeMap<u64, Resting>,
    /// Handles plus one of the markets that may cross.
    places: [i64; PLACES],
    cross: Option<Cross>,
    unprinted: VecDeque<Unprinted>,
    last_id: u64,
}

impl Dark {
    fn crosses(&self, market: u32) -> bool {
        self.places.contains(&(i64::from(market) + 1))
    }

    pub(super) fn parameter_set(&mut self, body: &ParameterBody) {
        if let Some(place) = body.parameter.checked_sub(FIRST_PLACE).map(|place| place as usize) {
            if place < PLACES {
                self.places[place] = body.value;
            }
        }
    }

    /// Money that secures orders: account, sub-account, asset, micro-units. Claims are counted apart.
    pub(super) fn reserves<'a>(
        &'a self,
        markets: &'a [Market],
    ) -> impl Iterator<Item = (u32, u8, u16, i64)> + 'a {
        self.orders.values().filter_map(|order| {
            let market = &markets[order.market as usize];
            let asset = match (order.side, market.kind) {
                (BUY, _) => market.quote,
                (_, SPOT) => market.base,
                _ => return None,
            };
            Some((order.account, order.sub, asset, order.reserve))
        })
    }
}

/// `ceil(base · rate / 10^12)`.
fn fee(base: i64, rate_e8: u32) -> i64 {
    let product = i128::from(base) * i128::from(rate_e8);
    ((product + 999_999_999_999) / 1_000_000_000_000) as i64
}

const fn half(rate_e8: u32) -> u32 {
    rate_e8.div_ceil(2)
}

/// Who is given what: rounds over the orders in the order of their numbers, plainly.
fn shares(mut orders: Vec<(u64, Resting)>) -> (BTreeMap<u64, i64>, u32) {
    for rounds in 1..=MOST_ROUNDS {
        let total = |side: u8, orders: &[(u64, Resting)]| -> i128 {
            orders.iter().filter(|row| row.1.side == side).map(|row| i128::from(row.1.lots)).sum()
        };
        let (bought, sold) = (total(BUY, &orders), total(SELL, &orders));
        let volume = bought.min(sold);
        let mut given: Vec<i128> = orders
            .iter()
            .map(|(_, order)| {
                let side = if order.side == BUY { bought } else { sold };
                if side == 0 {
                    0
                } else {
                    i128::from(order.lots) * volume / side
                }
            })
            .collect();
        for side in [BUY, SELL] {
            let members = || orders.iter().enumerate().filter(move |(_, row)| row.1.side == side);
            let mut left = volume - members().map(|(at, _)| given[at]).sum::<i128>();
            for (at, (_, order)) in members() {
                let more = left.min(i128::from(order.lots) - given[at]);
                given[at] += more;
                left -= more;
            }
        }
        let unmet = orders
            .iter()
            .enumerate()
            .filter(|(at, (_, order))| given[*at] < i128::from(order.least.min(order.lots)))
            .min_by(|(_, one), (_, two)| one.1.lots.cmp(&two.1.lots).then(two.0.cmp(&one.0)))
            .map(|(at, _)| at);
        match unmet {
            Some(at) => _ = orders.remove(at),
            None => {
                let rows = orders.iter().zip(given).filter(|(_, lots)| *lots > 0);
                return (rows.map(|(row, lots)| (row.0, lots as i64)).collect(), rounds);
            }
        }
    }
    (BTreeMap::new(), MOST_ROUNDS)
}

impl Auditor {
    pub(super) fn check_dark(&mut self, kind: EventKind, event: &Event, postings: &[Posting]) -> Check {
        match kind {
            EventKind::DarkAccepted => self.dark_accepted(event, postings),
            EventKind::DarkCancelled => self.dark_cancelled(event, postings),
            EventKind::DarkCrossed => self.dark_crossed(event, postings),
            EventKind::DarkFilled => self.dark_filled(event, postings),
            _ => self.dark_printed(event, postings),
        }
    }

    /// Best bid and ask of the lit book.
    fn lit(&self, market: u32, outcome: u8) -> Check<(i64, i64)> {
        let best = |side| self.books.levels(market, outcome, side).first().map(|level| level.0);
        match (best(BUY), best(SELL)) {
            (Some(bid), Some(ask)) => Ok((bid, ask)),
            found => Err(fault("I06", format_args!("market {market} refers to a lit book of {found:?}"))),
        }
    }

    fn dark_reserve(&self, order: &Resting, lots: i64) -> Check<i64> {
        let market = self.market(order.market)?;
        if lots == 0 {
            return Ok(0);
        }
        if order.side == SELL {
            return Ok(lots * market.lot_size);
        }
        let value = market.value(order.limit, lots)?;
        let base = match market.kind {
            SPOT => value,
            _ => market.value(order.limit.min(market.payout_ticks() - order.limit), lots)?,
        };
        Ok(value + fee(base, order.cap_e8))
    }

    /// Moves what secures an order into (or out of) `held`; claims follow with their own event.
    fn secure_dark(&mut self, order: &Resting, change: i64, postings: &[Posting]) -> Check {
        let market = *self.market(order.market)?;
        let &Resting { account, sub, outcome, .. } = order;
        if order.side == SELL && market.kind == OUTCOME {
            self.outcomes.reserve(order.market, account, sub, outcome, change);
            let (free, held) = (-change, change);
            self.outcomes.expect(ClaimsMove { market: order.market, account, sub, outcome, free, held });
            ensure!(postings.is_empty(), "I07", "a dark sale of claims moves money");
            return Ok(());
        }
        let asset = if order.side == BUY { market.quote } else { market.base };
        let movements = [(account, sub, asset, FREE, -change), (account, sub, asset, HELD, change)];
        check_movements("I07", movements, postings)?;
        let slot = self.ledger.slot(account, sub, asset);
        self.ledger.reserve(slot, change);
        Ok(())
    }

    fn dark_accepted(&mut self, event: &Event, postings: &[Posting]) -> Check {
        let body: DarkAcceptedBody = event.body_as();
        let market = *self.market(event.market)?;
        let order = Resting {
            account: event.account,
            sub: event.sub,
            market: event.market,
            outcome: body.outcome,
            side: body.side,
            lots: body.lots,
            least: body.min_lots,
            limit: body.limit,
            reserve: body.reserve,
            cap_e8: body.cap_e8,
        };
        let (bid, ask) = self.lit(event.market, body.outcome)?;
        let notional = i128::from(bid + ask) * i128::from(body.lots) * i128::from(market.unit) / 2;
        let reserve = self.dark_reserve(&order, body.lots)?;
        ensure!(
            self.dark.crosses(event.market)
                && market.status == ACTIVE
                && matches!(market.kind, SPOT | OUTCOME)
                && event.order > self.dark.last_id
                && body.side <= SELL
                && (0..=body.lots).contains(&body.min_lots)
                && notional >= LEAST_NOTIONAL
                && body.cap_e8 == half(market.taker_fee_e6bp.saturating_mul(100)),
            "I25",
            "dark order {} of {} lots enters market {}",
            event.order,
            body.lots,
            event.market
        );
        ensure!(
            reserve == body.reserve && body.limit > 0,
            "I07",
            "dark order {} is secured by {}, not {reserve}",
            event.order,
            body.reserve
        );
        let beside = self.dark.orders.values().filter(|other| {
            (other.market, other.outcome, other.side) == (order.market, order.outcome, order.side)
        });
        ensure!(beside.count() < MOST_PER_SIDE, "I20", "too many dark orders in market {}", event.market);
        self.secure_dark(&order, order.reserve, postings)?;
        self.dark.last_id = event.order;
        self.dark.orders.insert(event.order, order);
        Ok(())
    }

    fn dark_order(&self, id: u64) -> Check<Resting> {
        let found = self.dark.orders.get(&id).copied();
        found.ok_or_else(|| fault("I26", format_args!("dark order {id} does not rest")))
    }

    fn dark_cancelled(&mut self, event: &Event, postings: &[Posting]) -> Check {
        let body: DarkCancelledBody = event.body_as();
        let order = self.dark_order(event.order)?;
        ensure!(
            (order.account, order.sub, order.market) == (event.account, event.sub, event.market)
                && (order.side, order.outcome) == (body.side, body.outcome)
                && (order.lots, order.reserve) == (body.lots, body.released),
            "I07",
            "dark order {} leaves with {} of {}",
            event.order,
            body.released,
            order.reserve
        );
        self.secure_dark(&order, -order.reserve, postings)?;
        self.dark.orders.remove(&event.order);
        Ok(())
    }

    /// The price lies inside the lit book, and nobody could be given more (P16.1, P16.2).
    fn dark_crossed(&mut self, event: &Event, postings: &[Posting]) -> Check {
        ensure!(postings.is_empty(), "I01", "a cross moves money before its fills");
        let body: DarkCrossedBody = event.body_as();
        let market = *self.market(event.market)?;
        let (bid, ask) = self.lit(event.market, body.outcome)?;
        let wide = match market.kind {
            SPOT => i128::from(ask - bid) * 40 > i128::from(ask + bid),
            _ => (ask - bid) * 20 > market.payout_ticks(),
        };
        ensure!(
            (bid, ask) == (body.bid, body.ask) && bid < ask && !wide && market.status == ACTIVE,
            "I06",
            "market {} crosses between {} and {}, the lit book shows {bid} and {ask}",
            event.market,
            body.bid,
            body.ask
        );
        ensure!(
            self.dark.cross.is_none() && self.dark.crosses(event.market),
            "I25",
            "market {} crosses again, or is not to",
            event.market
        );
        let midpoint = bid + ask;
        let admitted: Vec<(u64, Resting)> = self
            .dark
            .orders
            .iter()
            .filter(|(_, order)| (order.market, order.outcome) == (event.market, body.outcome))
            .filter(|(_, order)| match order.side {
                BUY => midpoint <= 2 * order.limit,
                _ => midpoint >= 2 * order.limit,
            })
            .map(|(&id, &order)| (id, order))
            .collect();
        let sum = |side: u8| -> i64 {
            admitted.iter().filter(|row| row.1.side == side).map(|row| row.1.lots).sum()
        };
        let (buy_lots, sell_lots) = (sum(BUY), sum(SELL));
        let (owed, rounds) = shares(admitted);
        let bought: i64 =
            owed.iter().filter(|(id, _)| self.dark.orders[*id].side == BUY).map(|row| row.1).sum();
        ensure!(
            (body.buy_lots, body.sell_lots, body.lots) == (buy_lots, sell_lots, bought)
                && u32::from(body.rounds) == rounds
                && body.lots > 0
                && body.fills > 0,
            "I06",
            "{} of {} and {} lots cross in {} rounds, computed again {bought} of {buy_lots} and {sell_lots} in {rounds}",
            body.lots,
            body.buy_lots,
            body.sell_lots,
            body.rounds
        );
        self.dark.cross =
            Some(Cross { market: event.market, outcome: body.outcome, midpoint, owed, fills: body.fills });
        self.dark.unprinted.push_back((event.time_ns, event.market, body.outcome, midpoint, body.lots));
        Ok(())
    }

    fn dark_filled(&mut self, event: &Event, postings: &[Posting]) -> Check {
        let body: DarkFilledBody = event.body_as();
        let (buyer, seller) = (self.dark_order(event.order)?, self.dark_order(body.seller_order)?);
        let market = *self.market(event.market)?;
        self.owe_less(event, &body)?;
        ensure!(
            (buyer.account, buyer.sub, buyer.side) == (event.account, event.sub, BUY)
                && (seller.account, seller.sub, seller.side) == (body.seller_account, body.seller_sub, SELL)
                && buyer.account != seller.account
                && body.midpoint <= 2 * buyer.limit
                && body.midpoint >= 2 * seller.limit,
            "I06",
            "dark orders {} and {} do not meet at {} half ticks",
            event.order,
            body.seller_order,
            body.midpoint
        );
        let total = i128::from(body.midpoint) * i128::from(body.lots) * i128::from(market.unit);
        ensure!(
            i128::from(body.paid) * 2 == total + total % 2
                && i128::from(body.received) * 2 == total - total % 2,
            "I01",
            "{} lots at {} half ticks are paid {} and {}",
            body.lots,
            body.midpoint,
            body.paid,
            body.received
        );
        let left = self.dark_reserve(&buyer, buyer.lots - body.lots)?;
        let sold = body.lots * market.lot_size;
        let freed = buyer.reserve - left;
        self.check_dark_fees(&market, &body, (&buyer, &seller), freed)?;
        self.post_dark(event, &body, (market, freed, sold), postings)?;
        let slot = self.ledger.slot(buyer.account, buyer.sub, market.quote);
        self.ledger.reserve(slot, -freed);
        for (id, order, reserve) in
            [(event.order, buyer, left), (body.seller_order, seller, seller.reserve - sold)]
        {
            let lots = order.lots - body.lots;
            match lots {
                0 => _ = self.dark.orders.remove(&id),
                _ => _ = self.dark.orders.insert(id, Resting { lots, reserve, ..order }),
            }
        }
        Ok(())
    }

    /// The fill belongs to the cross that was told, for what it owes its orders.
    fn owe_less(&mut self, event: &Event, body: &DarkFilledBody) -> Check {
        let Some(cross) = &mut self.dark.cross else {
            return Err(fault("I06", format_args!("a dark fill without a cross")));
        };
        let place = (cross.market, cross.outcome, cross.midpoint);
        let mut sound =
            place == (event.market, body.outcome, body.midpoint) && body.lots > 0 && cross.fills > 0;
        for id in [event.order, body.seller_order] {
            let owed = cross.owed.entry(id).or_insert(0);
            *owed -= body.lots;
            sound &= *owed >= 0;
        }
        ensure!(sound, "I06", "a dark fill of {} lots that no cross gives", body.lots);
        cross.fills -= 1;
        if cross.fills == 0 {
            let open = cross.owed.values().any(|&lots| lots != 0);
            ensure!(!open, "I06", "a cross ends before its orders have what they are given");
            self.dark.cross = None;
        }
        Ok(())
    }

    /// Half of the taker's rate on both sides, at most what the orders were told (P16.2).
    fn check_dark_fees(
        &self,
        market: &Market,
        body: &DarkFilledBody,
        (buyer, seller): (&Resting, &Resting),
        freed: i64,
    ) -> Check {
        let base = match market.kind {
            SPOT => body.paid,
            _ => {
                let cheaper = body.midpoint.min(2 * market.payout_ticks() - body.midpoint);
                let total = i128::from(cheaper) * i128::from(body.lots) * i128::from(market.unit);
                ((total + 1) / 2) as i64
            }
        };
        let rate = half(market.taker_fee_e6bp.saturating_mul(100));
        for (told, order, most) in
            [(body.buyer_fee, buyer, freed - body.paid), (body.seller_fee, seller, body.received)]
        {
            let highest = fee(base, rate.min(order.cap_e8)).min(most);
            let lowest = match market.elastic {
                true => fee(base, LEAST_ELASTIC_E8.min(order.cap_e8)).min(most),
                false => highest,
            };
            ensure!(
                (lowest..=highest).contains(&told),
                "I11",
                "a dark fee of {told} on {base}, {lowest} to {highest} is due"
            );
        }
        Ok(())
    }

    fn post_dark(
        &mut self,
        event: &Event,
        body: &DarkFilledBody,
        (market, freed, sold): (Market, i64, i64),
        postings: &[Posting],
    ) -> Check {
        let (buyer, seller) = ((event.account, event.sub), (body.seller_account, body.seller_sub));
        let (quote, base) = (market.quote, market.base);
        let spot = if market.kind == SPOT { sold } else { 0 };
        let fees = body.buyer_fee + body.seller_fee;
        let [vault, stakers, maker_fund, insurance, treasury] = self.fee_movements(quote, fees);
        let movements = [
            (buyer.0, buyer.1, quote, HELD, -freed),
            (buyer.0, buyer.1, quote, FREE, freed - body.paid - body.buyer_fee),
            (buyer.0, buyer.1, base, FREE, spot),
            (seller.0, seller.1, base, HELD, -spot),
            (seller.0, seller.1, quote, FREE, body.received - body.seller_fee),
            (0, 0, quote, DUST, body.paid - body.received),
            vault,
            stakers,
            maker_fund,
            insurance,
            treasury,
        ];
        check_movements("I11", movements, postings)?;
        self.collect_charged(quote, fees, 0);
        if market.kind == SPOT {
            let slot = self.ledger.slot(seller.0, seller.1, base);
            self.ledger.reserve(slot, -sold);
            return Ok(());
        }
        let (place, outcome) = (event.market, body.outcome);
        self.outcomes.reserve(place, seller.0, seller.1, outcome, -sold);
        for ((account, sub), free, held) in [(buyer, sold, 0), (seller, 0, -sold)] {
            self.outcomes.expect(ClaimsMove { market: place, account, sub, outcome, free, held });
        }
        Ok(())
    }

    fn dark_printed(&mut self, event: &Event, postings: &[Posting]) -> Check {
        ensure!(postings.is_empty(), "I01", "a print moves money");
        let body: DarkPrintedBody = event.body_as();
        let told = (body.crossed_ns, event.market, body.outcome, body.midpoint, body.lots);
        let known = self.dark.unprinted.iter().position(|one| *one == told);
        ensure!(
            known.is_some() && event.time_ns >= body.crossed_ns + PRINT_DELAY_NS,
            "I25",
            "a cross of {} is printed at {}",
            body.crossed_ns,
            event.time_ns
        );
        known.map(|at| self.dark.unprinted.remove(at));
        Ok(())
    }

    /// A cross ends with its command, or goes on in the next one.
    pub(super) fn check_dark_end(&self) -> Check {
        ensure!(
            self.dark.cross.is_none() || self.pending.is_some(),
            "I06",
            "a cross ended before its last fill"
        );
        Ok(())
    }

    /// The dark book of an engine that the auditor takes over.
    pub(super) fn take_over_dark<B: Book>(&mut self, engine: &Engine<B>) {
        let state = &engine.state;
        for (place, &parameter) in DARK_MARKETS.iter().enumerate() {
            self.dark.places[place] = state.governance.value(parameter);
        }
        self.dark.last_id = state.dark.last_id;
        for (id, order) in state.dark.iter() {
            let resting = Resting {
                account: order.account,
                sub: order.sub,
                market: order.market,
                outcome: order.outcome,
                side: order.side,
                lots: order.lots,
                least: order.min_lots,
                limit: order.limit,
                reserve: order.reserve,
                cap_e8: order.cap_e8,
            };
            self.dark.orders.insert(id, resting);
            let market = self.markets[order.market as usize];
            if order.side == SELL && market.kind == OUTCOME {
                self.outcomes.reserve(order.market, order.account, order.sub, order.outcome, order.reserve);
                continue;
            }
            let asset = if order.side == BUY { market.quote } else { market.base };
            let slot = self.ledger.slot(order.account, order.sub, asset);
            self.ledger.reserve(slot, order.reserve);
        }
        for print in state.dark.unprinted() {
            self.dark.unprinted.push_back((
                print.crossed_ns,
                print.market,
                print.outcome,
                print.midpoint,
                print.lots,
            ));
        }
    }
}
