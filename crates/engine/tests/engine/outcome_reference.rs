//! A second, naive implementation of categorical books (P3.1, P3.4, P3.6, P2.5.1): one list of orders, sorted anew for
//! every question. Its replies, trades and books are compared with the engine's over random streams (T04).

use std::collections::BTreeMap;

use proptest::prelude::*;
use tradewind_engine::wire::command::*;
use tradewind_engine::wire::event::{EventKind, SetFilledBody, TradeBody};
use tradewind_engine::wire::Code;
use tradewind_engine::{Book, FastBook, ReferenceBook};

use crate::outcome::*;
use crate::outcome_books::on;
use crate::support::*;

const PAYOUT: i64 = 1_000;
/// Complete sets that everybody begins with, in lots.
const BEGIN: i64 = 50;
const TRADERS: [Key; 4] = [ALICE, BOB, CAROL, SYSTEM];

#[derive(Clone, Copy, Debug)]
struct Resting {
    id: u64,
    rank: u64,
    owner: usize,
    outcome: u8,
    side: u8,
    price: i64,
    lots: i64,
}

/// What happened: owner, order, outcome, price, lots; those of one fill in the order in which they are told.
type Fill = (usize, u64, u8, i64, i64);

#[derive(Debug, Default)]
struct Naive {
    outcomes: u8,
    resting: Vec<Resting>,
    free: BTreeMap<(usize, u8), i64>,
    rank: u64,
    fills: Vec<Fill>,
}

impl Naive {
    fn first(&self, outcome: u8, side_of_book: u8) -> Option<Resting> {
        let mut here: Vec<Resting> = self.resting.clone();
        here.retain(|order| order.outcome == outcome && order.side == side_of_book);
        here.sort_by_key(|order| {
            (if side_of_book == side::BUY { -order.price } else { order.price }, order.rank)
        });
        here.first().copied()
    }

    /// Best orders of the other outcomes and what they leave of the payout.
    fn others(&self, order: &Resting) -> Option<(i64, Vec<Resting>)> {
        let firsts: Option<Vec<Resting>> = (0..self.outcomes)
            .filter(|outcome| *outcome != order.outcome)
            .map(|outcome| self.first(outcome, order.side))
            .collect();
        let firsts = firsts?;
        let left = PAYOUT - firsts.iter().map(|other| other.price).sum::<i64>();
        let enough = if order.side == side::BUY { order.price >= left } else { order.price <= left };
        enough.then_some((left, firsts))
    }

    fn opposite(&self, order: &Resting) -> Option<Resting> {
        let first = self.first(order.outcome, 1 - order.side)?;
        let meets =
            if order.side == side::BUY { first.price <= order.price } else { first.price >= order.price };
        meets.then_some(first)
    }

    fn shrink(&mut self, id: u64, lots: i64) {
        self.resting.iter_mut().filter(|order| order.id == id).for_each(|order| order.lots -= lots);
        self.resting.retain(|order| order.lots > 0);
    }

    fn drop(&mut self, order: Resting) {
        if order.side == side::SELL {
            *self.free.entry((order.owner, order.outcome)).or_default() += order.lots;
        }
        self.resting.retain(|other| other.id != order.id);
    }

    fn receive(&mut self, order: &Resting, lots: i64) {
        if order.side == side::BUY {
            *self.free.entry((order.owner, order.outcome)).or_default() += lots;
        }
    }

    /// Whole lots that may be taken in its own book before an own order stops it.
    fn feasible(&self, order: &Resting, mode: u8) -> i64 {
        let mut copy = Naive { outcomes: self.outcomes, resting: self.resting.clone(), ..Naive::default() };
        let mut total = 0;
        while let Some(first) = copy.opposite(order) {
            if first.owner == order.owner && mode != stp::CANCEL_OLDEST {
                break;
            }
            if first.owner != order.owner {
                total += first.lots;
            }
            copy.resting.retain(|other| other.id != first.id);
        }
        total
    }

    /// Places an order; the code of its refusal.
    fn place(&mut self, mut order: Resting, tif: u8, flags: u16, mode: u8) -> Option<Code> {
        if order.side == side::SELL
            && self.free.get(&(order.owner, order.outcome)).copied().unwrap_or(0) < order.lots
        {
            return Some(Code::INSUFFICIENT_SHARES);
        }
        let in_sets = tif != time_in_force::FOK;
        let met = self.opposite(&order).map(|first| vec![first]);
        let met = met.or_else(|| self.others(&order).filter(|_| in_sets).map(|(_, firsts)| firsts));
        if let Some(met) = &met {
            if flags & order_flag::POST_ONLY != 0 {
                return Some(Code::POST_ONLY_WOULD_TAKE);
            }
            if mode == stp::CANCEL_NEWEST && met.iter().any(|first| first.owner == order.owner) {
                return Some(Code::SELF_TRADE_PREVENTED);
            }
        }
        if tif == time_in_force::FOK && self.feasible(&order, mode) < order.lots {
            return Some(Code::FOK_NOT_FILLABLE);
        }
        if order.side == side::SELL {
            *self.free.entry((order.owner, order.outcome)).or_default() -= order.lots;
        }
        self.rank += 1;
        order.rank = self.rank;
        let ended = self.run(&mut order, in_sets, mode);
        let immediate = matches!(tif, time_in_force::IOC | time_in_force::FOK);
        if order.lots > 0 && !ended && !immediate {
            self.resting.push(order);
        } else if order.side == side::SELL {
            *self.free.entry((order.owner, order.outcome)).or_default() += order.lots;
        }
        None
    }

    /// Trades until nothing more meets it; true when self-trade prevention ended it.
    fn run(&mut self, order: &mut Resting, in_sets: bool, mode: u8) -> bool {
        while order.lots > 0 {
            let (left, met) = match (self.opposite(order), self.others(order)) {
                (Some(first), _) => (first.price, vec![first]),
                (None, Some(found)) if in_sets => found,
                _ => return false,
            };
            if let Some(own) = met.iter().find(|first| first.owner == order.owner).copied() {
                match mode {
                    stp::CANCEL_NEWEST => return true,
                    stp::CANCEL_OLDEST => self.drop(own),
                    stp::CANCEL_BOTH => {
                        self.drop(own);
                        return true;
                    }
                    _ => {
                        let lots = own.lots.min(order.lots);
                        for one in [own, *order] {
                            if one.side == side::SELL {
                                *self.free.entry((one.owner, one.outcome)).or_default() += lots;
                            }
                        }
                        self.shrink(own.id, lots);
                        order.lots -= lots;
                    }
                }
                continue;
            }
            let lots = met.iter().map(|first| first.lots).min().unwrap().min(order.lots);
            self.fills.push((order.owner, order.id, order.outcome, left, lots));
            for first in &met {
                self.fills.push((first.owner, first.id, first.outcome, first.price, lots));
                self.receive(first, lots);
                self.shrink(first.id, lots);
            }
            self.receive(order, lots);
            order.lots -= lots;
        }
        false
    }
}

#[derive(Clone, Debug)]
enum Act {
    Place { owner: usize, outcome: u8, side: u8, price: i64, lots: i64, tif: u8, flags: u16, mode: u8 },
    Cancel(usize),
}

fn act(outcomes: u8) -> impl Strategy<Value = Act> {
    let middle = PAYOUT / i64::from(outcomes);
    let tif = prop_oneof![8 => Just(time_in_force::GTC), 2 => Just(time_in_force::IOC), 1 => Just(time_in_force::FOK)];
    let form = (tif, prop::bool::weighted(0.1), 0..4_u8);
    let place = (0..TRADERS.len(), 0..outcomes, 0..2_u8, middle - 15..middle + 16, 1..12_i64, form);
    prop_oneof![
        12 => place.prop_map(|(owner, outcome, side, price, lots, (tif, post, mode))| {
            let flags = if post && tif == time_in_force::GTC { order_flag::POST_ONLY } else { 0 };
            Act::Place { owner, outcome, side, price, lots, tif, flags, mode }
        }),
        2 => (0..400_usize).prop_map(Act::Cancel),
    ]
}

/// Fills of the last batch in the model's terms.
fn told<B: Book>(world: &World<B>, market: u32) -> Vec<Fill> {
    let mut fills = Vec::new();
    // Accounts were opened in the order of their owners.
    let trader = |handle: u32| handle as usize;
    for (kind, event) in world.events().into_iter().filter(|event| event.1.market == market) {
        if kind == EventKind::Trade {
            let body: TradeBody = event.body_as();
            fills.push((trader(event.account), event.order, body.outcome, body.price, body.lots));
            fills.push((trader(body.maker_account), body.maker_order, body.outcome, body.price, body.lots));
        }
        if kind == EventKind::SetFilled {
            let body: SetFilledBody = event.body_as();
            fills.push((trader(event.account), event.order, body.outcome, body.price, body.lots));
        }
    }
    fills
}

fn compare<B: Book>(outcomes: u8, acts: &[Act]) -> usize {
    let mut world = World::<B>::new();
    let request = CreateMarket { taker_fee_e6bp: 0, band_bp: 9_000, ..outcome_request(700, outcomes) };
    let market = world.accept(by(OPERATOR, Kind::CreateMarket).with(&request)).value as u32;
    let mut naive = Naive { outcomes, ..Naive::default() };
    let owners: Vec<usize> =
        TRADERS.iter().map(|key| OWNERS.iter().position(|owner| owner == key).unwrap()).collect();
    for &owner in &owners {
        world.accept(sets(OWNERS[owner], Kind::MintSet, market, BEGIN));
        naive.free.extend((0..outcomes).map(|outcome| ((owner, outcome), BEGIN)));
    }
    let mut rounds = 0;
    for act in acts {
        naive.fills.clear();
        match *act {
            Act::Place { owner, outcome, side, price, lots, tif, flags, mode } => {
                let owner = owners[owner];
                let request = PlaceOrder {
                    time_in_force: tif,
                    order_flags: flags,
                    self_trade_prevention: mode,
                    ..on(market, outcome, side, price, lots)
                };
                let result = world.send(place(OWNERS[owner], request));
                let order = Resting { id: result.value, rank: 0, owner, outcome, side, price, lots };
                let expected = naive.place(order, tif, flags, mode);
                assert_eq!(
                    Code::from_number(result.code).filter(|_| result.accepted == 0),
                    expected,
                    "{act:?}"
                );
            }
            Act::Cancel(at) => {
                let Some(order) = naive.resting.get(at % naive.resting.len().max(1)).copied() else {
                    continue;
                };
                world.accept(cancel(OWNERS[order.owner], order.id));
                naive.drop(order);
            }
        }
        assert_eq!(told(&world, market), naive.fills, "{act:?}");
        rounds += world.events().iter().filter(|event| event.0 == EventKind::SetFilled).count();
        check_books(&world, market, &naive);
    }
    world.auditor.verify().unwrap();
    rounds
}

/// Levels of every book, free claims, and that no sum of best prices completes a set.
fn check_books<B: Book>(world: &World<B>, market: u32, naive: &Naive) {
    for book_side in [side::BUY, side::SELL] {
        let mut bests = Vec::new();
        for outcome in 0..naive.outcomes {
            let mut levels: BTreeMap<i64, i64> = BTreeMap::new();
            let here =
                naive.resting.iter().filter(|order| (order.outcome, order.side) == (outcome, book_side));
            here.for_each(|order| *levels.entry(order.price).or_default() += order.lots);
            let shown = world.engine.outcome_levels(market, outcome, book_side, usize::MAX);
            let shown: BTreeMap<i64, i64> = shown.iter().map(|level| (level.price, level.lots)).collect();
            assert_eq!(shown, levels);
            bests.extend(naive.first(outcome, book_side).map(|order| order.price));
        }
        if bests.len() == usize::from(naive.outcomes) {
            let sum: i64 = bests.iter().sum();
            assert!(if book_side == side::BUY { sum < PAYOUT } else { sum > PAYOUT }, "sides sum to {sum}");
        }
    }
    for (&(owner, outcome), &lots) in &naive.free {
        let account = tradewind_engine::id::account_id(&OWNERS[owner]);
        let (free, _) = world.engine.claim(&account, 0, market, outcome).unwrap();
        assert_eq!(free, lots * 1_000, "owner {owner}, outcome {outcome}");
    }
}

fn stream() -> impl Strategy<Value = (u8, Vec<Act>)> {
    (3..=8_u8).prop_flat_map(|outcomes| (Just(outcomes), prop::collection::vec(act(outcomes), 20..160)))
}

proptest! {
    #![proptest_config(config(64))]

    #[test]
    fn t04_a_naive_model_gives_the_same_replies_trades_and_books_of_categorical_markets(
        (outcomes, acts) in stream()
    ) {
        compare::<FastBook>(outcomes, &acts);
    }

    #[test]
    fn t03_t04_so_it_does_with_the_reference_book((outcomes, acts) in stream()) {
        compare::<ReferenceBook>(outcomes, &acts);
    }
}

#[test]
fn the_streams_of_the_model_reach_set_rounds_of_every_number_of_outcomes() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    for outcomes in 3..=8 {
        let rounds: usize = (0..6)
            .map(|_| {
                let acts = prop::collection::vec(act(outcomes), 200).new_tree(&mut runner).unwrap().current();
                compare::<FastBook>(outcomes, &acts)
            })
            .sum();
        assert!(rounds >= usize::from(outcomes), "{outcomes} outcomes: {rounds} fills of sets");
    }
}
