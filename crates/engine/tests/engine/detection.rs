//! Manipulation detection (P12): each signal fires by its rule and stays silent just below it; what follows from a
//! score; quiet markets stay quiet.

use proptest::prelude::*;
use tradewind_engine::detect::rules::{score, signal, step};
use tradewind_engine::detect::watch::{Fill, Raised, Watch};
use tradewind_engine::wire::command::*;
use tradewind_engine::wire::event::{CaseBody, DetectionBody, EventKind as E, SlowedBody};
use tradewind_engine::wire::{Code, Record};
use tradewind_engine::{id, Engine, FastBook};

use crate::support::*;

/// One market without an engine around it: seconds with fills, each judged when it is over.
struct Market {
    watch: Watch,
    second: i64,
    raised: Vec<Raised>,
}

/// Accounts that never reach a share of anything.
const CROWD: u32 = 1_000;

impl Market {
    fn new() -> Self {
        Market { watch: Watch::new(0), second: 0, raised: Vec::new() }
    }

    fn fill(&mut self, taker: u32, maker: u32, taker_side: u8, price: i64, dollars: i64) {
        let fill = Fill {
            price,
            lots: dollars,
            notional: dollars * 1_000_000,
            taker,
            maker,
            taker_side,
            linked: false,
        };
        self.watch.fill(&fill, self.second * SECOND + 1);
    }

    /// The second is over; what was raised by it.
    fn end_second(&mut self) -> Vec<Raised> {
        self.second += 1;
        let before = self.raised.len();
        self.watch.judge(true, self.second * SECOND, &mut self.raised);
        self.raised[before..].to_vec()
    }

    /// `seconds` of small trades of many that move the price by a few ticks up and down around 100,000.
    fn quiet(&mut self, seconds: i64, dollars: i64) {
        for _ in 0..seconds {
            let number = self.second as u32;
            let price = 100_000 + [0, 7, 3, 11, 5, 2, 9, 13, 1, 6][self.second as usize % 10];
            self.fill(CROWD + number % 40, CROWD + 40 + number % 41, (number % 2) as u8, price, dollars);
            assert_eq!(self.end_second(), [], "second {}", self.second);
        }
    }

    /// Signals of the market at the moment.
    fn signals(&self) -> u16 {
        self.watch.market_signals(true, self.second * SECOND).0
    }
}

/// A quiet quarter of an hour at $20 a second.
fn calm() -> Market {
    let mut market = Market::new();
    market.quiet(900, 20);
    market
}

#[test]
fn a_quiet_market_with_enough_samples_has_no_signal_and_none_insufficient() {
    let market = calm();
    assert_eq!(market.watch.market_signals(true, market.second * SECOND), (0, 0));
    let mut young = Market::new();
    young.fill(1, 2, 0, 100_000, 1);
    young.fill(1, 2, 0, 120_000, 50_000);
    young.end_second();
    // One pair alone has the whole volume, but nothing to compare with: velocity and wash alone are 35.
    assert_eq!(young.raised, []);
}

#[test]
fn a_price_outlier_of_one_second_counts_25_and_a_usual_change_nothing() {
    let signals = |price: i64| {
        let mut market = calm();
        market.fill(CROWD, CROWD + 1, 0, price, 20);
        market.end_second();
        market.signals() & signal::OUTLIER
    };
    assert_eq!(signals(100_020), 0);
    assert_eq!(signals(100_100), signal::OUTLIER);
    assert_eq!(score(signal::OUTLIER), 25);
}

#[test]
fn a_volume_spike_needs_five_times_the_mean_and_ten_thousand_dollars() {
    let signals = |usual: i64, dollars: i64| {
        let mut market = Market::new();
        market.quiet(900, usual);
        // Nine seconds of the window hold the usual volume.
        market.fill(CROWD, CROWD + 1, 0, 100_000, dollars);
        market.end_second();
        market.signals() & signal::VOLUME
    };
    // $20 a second: five times ten seconds is $1,000, so $10,000 decides.
    assert_eq!(signals(20, 10_000 - 9 * 20 - 1), 0);
    assert_eq!(signals(20, 10_000 - 9 * 20), signal::VOLUME);
    // $400 a second: the mean of ten seconds is $4,000, five times $20,000.
    assert_eq!(signals(400, 20_000 - 9 * 400 - 1), 0);
    assert_eq!(signals(400, 20_000 - 9 * 400 + 1), signal::VOLUME);
}

#[test]
fn a_young_market_has_no_volume_baseline() {
    let mut market = Market::new();
    market.quiet(50, 20);
    market.fill(CROWD, CROWD + 1, 0, 100_000, 90_000);
    market.end_second();
    let (signals, insufficient) = market.watch.market_signals(true, market.second * SECOND);
    assert_eq!((signals & signal::VOLUME, insufficient & signal::VOLUME), (0, signal::VOLUME));
}

#[test]
fn more_than_ten_percent_within_five_trades_is_velocity() {
    let signals = |prices: &[i64]| {
        let mut market = calm();
        for (place, &price) in prices.iter().enumerate() {
            market.fill(CROWD + place as u32, CROWD + 60, 0, price, 1);
        }
        market.end_second();
        market.signals() & signal::VELOCITY
    };
    let base = 100_000;
    assert_eq!(signals(&[base; 5]), 0);
    assert_eq!(signals(&[base, base, base, base, base, 110_000]), 0, "exactly 10 %");
    assert_eq!(signals(&[base, base, base, base, base, 110_001]), signal::VELOCITY);
    assert_eq!(signals(&[base, base, base, base, base, 89_999]), signal::VELOCITY);
    let slow: Vec<i64> = (0..10).map(|trade| base + trade * 2_400).collect();
    assert_eq!(signals(&slow), 0, "five trades, four steps: 9.6 %");
}

/// A rise over two minutes and a fall over two minutes; the account buys and sells this share in percent.
fn pump(up_to: i64, down_to: i64, share: i64, dollars: i64) -> bool {
    let mut market = calm();
    let path: Vec<i64> = (1..=12)
        .map(|part| 100_000 + (up_to - 100_000) * part / 12)
        .chain((1..=12).map(|part| up_to - (up_to - down_to) * part / 12))
        .collect();
    for (place, price) in path.into_iter().enumerate() {
        let side = u8::from(place >= 12);
        market.fill(7, CROWD + 50, side, price, dollars * share / 100);
        market.fill(CROWD + place as u32, CROWD + 51, side, price, dollars * (100 - share) / 100);
        for _ in 0..10 {
            market.end_second();
        }
    }
    market.raised.iter().any(|one| one.account == Some(7) && one.signals & signal::PUMP != 0)
        || market.pump_of(7)
}

impl Market {
    fn pump_of(&mut self, account: u32) -> bool {
        self.watch.pumped(account, self.second)
    }
}

#[test]
fn up_twenty_and_down_fifteen_percent_with_a_third_of_both_legs_is_pump_and_dump() {
    assert!(pump(120_100, 102_000, 40, 2_000));
    assert!(!pump(119_900, 101_000, 40, 2_000), "up less than 20 %");
    assert!(!pump(120_100, 102_200, 40, 2_000), "down less than 15 %");
    assert!(!pump(120_100, 102_000, 25, 2_000), "less than 30 % of the legs");
    assert!(!pump(120_100, 102_000, 40, 200), "without twice the volume");
}

#[test]
fn the_same_rise_and_fall_over_more_than_ten_minutes_is_none() {
    let mut market = calm();
    for part in 0..80 {
        let price = if part <= 40 { 100_000 + part * 502 } else { 120_080 - (part - 40) * 460 };
        let side = u8::from(part > 40);
        market.fill(7, CROWD + 50, side, price, 2_000);
        for _ in 0..16 {
            market.end_second();
        }
        assert!(!market.pump_of(7), "part {part}");
    }
}

#[test]
fn a_watch_restored_from_its_bytes_goes_on_the_same() {
    // By way of an engine: its snapshot holds watches, rounds, cases and slowed accounts.
    let mut world = attacked();
    let mut copy = world.clone();
    copy.engine = Engine::<FastBook>::restore(&world.engine.snapshot()).unwrap();
    assert_eq!(copy.engine.next_due_ns(), world.engine.next_due_ns());
    for one in [&mut world, &mut copy] {
        for _ in 0..5 {
            quiet_second(one);
        }
        one.advance(HOUR);
        one.tick();
        quiet_second(one);
    }
    assert_eq!(copy.engine.state_hash(), world.engine.state_hash());
}

/// A world in whose market 1 (unit 1, no fees) BOB and CAROL have traded a dollar and more a second for two minutes.
fn calm_world() -> World {
    let mut world: World = World::new();
    world.advance(HOUR);
    for _ in 0..120 {
        quiet_second(&mut world);
    }
    world
}

fn quiet_second(world: &mut World) {
    let round = world.now_ns / SECOND;
    let price = 100_000 + [0, 7, 3, 11, 5, 2, 9, 13, 1, 6][round as usize % 10];
    let (first, other) = if round % 2 == 0 { (BOB, CAROL) } else { (CAROL, BOB) };
    // Mostly bought by one side, so that nobody's inventory is flat.
    world.accept(sell(CAROL, 1, price, 100));
    world.accept(buy(BOB, 1, price, 100));
    world.accept(sell(other, 1, price, 30));
    world.accept(buy(first, 1, price, 30));
    world.advance(SECOND);
    world.tick();
}

fn link(first: Key, other: Key, linked: u8) -> Command {
    let payload =
        LinkOwners { other: id::account_id(&other), evidence_hash: [9; 32], linked, ..Record::zero() };
    Command { principal: RISK, ..by(first, Kind::LinkOwners) }.with(&payload)
}

/// ALICE buys the price up from OPERATOR, with whom she is linked, until the second is judged.
fn attacked() -> World {
    let mut world = calm_world();
    world.accept(link(ALICE, OPERATOR, 1));
    for part in 0..7 {
        let price = 100_000 + part * 2_600;
        world.accept(sell(OPERATOR, 1, price, 100_000));
        world.accept(buy(ALICE, 1, price, 100_000));
    }
    world.advance(SECOND);
    world.tick();
    world
}

fn bodies(world: &World, wanted: E) -> Vec<(u32, DetectionBody)> {
    let events = world.events();
    events
        .iter()
        .filter(|(kind, _)| *kind == wanted)
        .map(|(_, event)| (event.account, event.body_as()))
        .collect()
}

#[test]
fn p12_2_eighty_points_slow_the_account_and_open_cases_without_touching_the_market() {
    let mut world = attacked();
    let alerts = bodies(&world, E::ManipulationAlert);
    assert_eq!(alerts.len(), 2, "{alerts:?}");
    let (subject, market) = alerts[0];
    assert_eq!((subject, market.step, market.score), (u32::MAX, step::WATCH, 65));
    let (subject, account) = alerts[1];
    let own = signal::WASH | signal::BURST;
    let all = signal::OUTLIER | signal::VOLUME | signal::VELOCITY | own;
    assert_eq!((subject, account.step, account.score, account.signals), (0, step::SLOW, 95, all));
    assert_eq!(account.until_ns - account.from_ns, HOUR, "the evidence of wash reaches back an hour");
    assert_eq!(account.insufficient, signal::PUMP, "two minutes are too few for it");
    let kinds = world.kinds();
    assert_eq!(kinds.iter().filter(|kind| **kind == E::CaseOpened).count(), 2);
    assert_eq!(kinds.iter().filter(|kind| **kind == E::AccountSlowed).count(), 1);
    let quiet = [E::OrderCancelled, E::PauseSet, E::MarketClosing];
    assert!(kinds.iter().all(|kind| !quiet.contains(kind)));

    // Slowed: nothing that takes, everything that rests, cancels as ever.
    let ask = world.accept(sell(BOB, 1, 100_010, 10)).value;
    world.refuse(buy(ALICE, 1, 100_010, 10), Code::POST_ONLY_WOULD_TAKE);
    let market_order = PlaceOrder { order_type: 1, time_in_force: 1, ..limit(1, side::BUY, 0, 10) };
    world.refuse(place(ALICE, market_order), Code::POST_ONLY_WOULD_TAKE);
    let bid = world.accept(buy(ALICE, 1, 100_009, 10)).value;
    world.refuse(replace(ALICE, bid, 100_010, 10), Code::POST_ONLY_WOULD_TAKE);
    world.accept(cancel(ALICE, bid));
    world.accept(buy(CAROL, 1, 100_010, 5));
    world.advance(300 * SECOND - 1);
    world.tick();
    world.refuse(buy(ALICE, 1, 100_010, 5), Code::POST_ONLY_WOULD_TAKE);
    world.advance(1);
    world.tick();
    assert!(world.kinds().contains(&E::AccountFreed));
    world.accept(buy(ALICE, 1, 100_010, 5));
    world.refuse(cancel(BOB, ask), Code::ORDER_NOT_OPEN);
}

#[test]
fn without_the_link_the_same_account_scores_below_what_slows_it_only_by_its_own_signals() {
    let mut world = calm_world();
    // Five takes from someone who is not linked: no burst, no wash; the market is watched, the account is not.
    for part in 1..6 {
        let price = 100_000 + part * 2_600;
        world.accept(sell(OPERATOR, 1, price, 100_000));
        world.accept(buy(ALICE, 1, price, 100_000));
    }
    world.advance(SECOND);
    world.tick();
    let alerts = bodies(&world, E::ManipulationAlert);
    assert_eq!(alerts.iter().map(|(account, _)| *account).collect::<Vec<_>>(), [u32::MAX]);
    world.accept(sell(BOB, 1, 113_000, 10));
    world.accept(buy(ALICE, 1, 113_000, 10));
}

#[test]
fn a_step_is_told_once_and_again_only_after_five_minutes() {
    let mut world = attacked();
    let mut told = 0;
    for _ in 0..8 {
        quiet_second(&mut world);
        told += bodies(&world, E::ManipulationAlert).iter().filter(|(account, _)| *account == 0).count();
    }
    assert_eq!(told, 0, "ALICE was told of already");
}

#[test]
fn accounts_of_system_show_an_outside_book_and_are_not_judged() {
    let mut world = calm_world();
    world.accept(link(SYSTEM, OPERATOR, 1));
    for part in 0..7 {
        let price = 100_000 + part * 2_600;
        world.accept(sell(OPERATOR, 1, price, 100_000));
        world.accept(buy(SYSTEM, 1, price, 100_000));
    }
    world.advance(SECOND);
    world.tick();
    let alerts = bodies(&world, E::ManipulationAlert);
    assert_eq!(alerts.iter().map(|(account, _)| *account).collect::<Vec<_>>(), [u32::MAX]);
}

fn close(case: u64, founded: u8) -> Command {
    by(RISK, Kind::CloseCase).with(&CloseCase { case, founded, evidence_hash: [3; 32], ..Record::zero() })
}

#[test]
fn a_person_closes_the_case_and_an_unfounded_one_frees_the_account() {
    let mut world = attacked();
    let of_alice = bodies(&world, E::ManipulationAlert)[1].1.case;
    world.refuse(Command { principal: ALICE, ..close(of_alice, 0) }, Code::PERMISSION_DENIED);
    world.refuse(close(99, 0), Code::INVALID_TRANSITION);
    world.refuse(close(of_alice, 2), Code::PARAMETER_OUT_OF_BOUNDS);
    let bare = CloseCase { case: of_alice, ..Record::zero() };
    world.refuse(by(RISK, Kind::CloseCase).with(&bare), Code::EVIDENCE_INVALID);
    let reserved = CloseCase { reserved3: 1, case: of_alice, ..Record::zero() };
    world.refuse(by(RISK, Kind::CloseCase).with(&reserved), Code::RESERVED_NOT_ZERO);
    world.accept(close(of_alice, 0));
    assert_eq!(world.kinds(), [E::CaseClosed, E::AccountFreed]);
    let closed: CaseBody = world.events()[0].1.body_as();
    assert_eq!((closed.case, closed.founded, closed.score), (of_alice, 0, 95));
    let freed: SlowedBody = world.events()[1].1.body_as();
    assert_eq!(freed.until_ns, world.now_ns);
    world.refuse(close(of_alice, 0), Code::INVALID_TRANSITION);
    world.accept(sell(BOB, 1, 100_010, 10));
    world.accept(buy(ALICE, 1, 100_010, 10));
}

#[test]
fn a_founded_case_leaves_the_account_slowed_to_its_end() {
    let mut world = attacked();
    let of_alice = bodies(&world, E::ManipulationAlert)[1].1.case;
    world.accept(close(of_alice, 1));
    assert_eq!(world.kinds(), [E::CaseClosed]);
    world.accept(sell(BOB, 1, 100_010, 10));
    world.refuse(buy(ALICE, 1, 100_010, 10), Code::POST_ONLY_WOULD_TAKE);
}

#[test]
fn p12_3_a_link_is_declared_once_either_way_and_can_be_taken_back() {
    let mut world: World = World::new();
    world.accept(link(ALICE, BOB, 1));
    assert_eq!(world.kinds(), [E::OwnersLinked]);
    world.refuse(link(BOB, ALICE, 1), Code::ALREADY_EXISTS);
    world.accept(link(BOB, ALICE, 0));
    world.refuse(link(ALICE, BOB, 0), Code::INVALID_TRANSITION);
    world.refuse(Command { principal: ALICE, ..link(ALICE, BOB, 1) }, Code::PERMISSION_DENIED);
    world.accept(link(ALICE, BOB, 1));
}

/// ALICE, three times: a small sale, after which bids over half of the depth vanish, and this many idle orders. Then
/// she takes five times while the market jumps. The alert about her.
fn spoofing(idle_orders: usize) -> Option<DetectionBody> {
    let mut world = calm_world();
    for _ in 0..3 {
        let layers: Vec<u64> =
            (0..3).map(|level| world.accept(buy(ALICE, 1, 99_000 - level, 5_000)).value).collect();
        let others = world.accept(buy(CAROL, 1, 98_000, 10_000)).value;
        world.accept(buy(BOB, 1, 99_500, 1));
        world.accept(sell(ALICE, 1, 99_500, 1));
        world.advance(SECOND / 10);
        for order in layers {
            world.accept(cancel(ALICE, order));
        }
        world.accept(cancel(CAROL, others));
        for _ in 0..idle_orders {
            let order = world.accept(buy(ALICE, 1, 90_000, 1)).value;
            world.accept(cancel(ALICE, order));
        }
        world.advance(SECOND - SECOND / 10);
        world.tick();
    }
    // Past the minute of a burst.
    for _ in 0..61 {
        quiet_second(&mut world);
    }
    for part in 1..6 {
        let price = 100_000 + part * 2_600;
        world.accept(sell(OPERATOR, 1, price, 100_000));
        world.accept(buy(ALICE, 1, price, 100_000));
    }
    world.advance(SECOND);
    world.tick();
    let alerts = bodies(&world, E::ManipulationAlert);
    alerts.into_iter().find(|(account, _)| *account == 0).map(|(_, body)| body)
}

#[test]
fn spoofed_layers_of_an_engine_are_seen_with_the_depth_of_the_book() {
    let found = spoofing(150).expect("450 orders and more for 8 fills");
    let all = signal::OUTLIER | signal::VOLUME | signal::VELOCITY | signal::SPOOF;
    assert_eq!((found.signals, found.score, found.step), (all, 80, step::SLOW));
    assert_eq!(spoofing(48), None, "about 150 orders for 8 fills are no more than 50 for one");
}

/// A small generator with a normal-like step.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: u64) -> u64 {
        (self.next() >> 11) % bound
    }

    /// Sum of twelve uniform numbers: mean 0, deviation 1,000.
    fn normal(&mut self) -> i64 {
        (0..12).map(|_| self.below(1_001) as i64 - 500).sum::<i64>()
    }
}

/// Alerts of one quiet day: two makers quote, forty others take at random, the price walks at 60 % a year.
fn alerts_of_a_quiet_day(seed: u64) -> usize {
    let (mut random, mut market) = (Random(seed | 1), Market::new());
    let mut price_e3 = 100_000_000_i64;
    for _ in 0..86_400 {
        price_e3 += price_e3 / 100_000_000 * random.normal() * 11 / 1_000 * 100_000 / 100_000;
        price_e3 += random.normal();
        for _ in 0..random.below(4) {
            let taker = CROWD + random.below(40) as u32;
            let side = random.below(2) as u8;
            let price = price_e3 / 1_000 + if side == 0 { 2 } else { -2 };
            let dollars = 5 + random.below(200) as i64 * random.below(20) as i64;
            market.fill(taker, 3 + random.below(2) as u32, side, price, dollars);
        }
        market.end_second();
    }
    market.raised.len()
}

#[test]
fn a_quiet_market_day_raises_at_most_one_alert() {
    for seed in [0x5EED_0001, 0x1234_5678_9ABC, 0xFEED_FACE_0003] {
        let alerts = alerts_of_a_quiet_day(seed);
        assert!(alerts <= 1, "{alerts} alerts with {seed:#x}");
    }
}

proptest! {
    #![proptest_config(config(2))]

    #[test]
    fn any_quiet_market_day_raises_at_most_one_alert(seed in any::<u64>()) {
        prop_assert!(alerts_of_a_quiet_day(seed) <= 1);
    }
}

/// As [`calm_world`], with a leveraged market 2 at 100,000 ticks in which ALICE is long and BOB short.
fn leveraged_world() -> (World, u32) {
    let mut world: World = World::bare();
    world.accept(register_asset(*b"BTC\0\0\0\0\0\0\0\0\0\0\0\0\0"));
    let usdc: RegisterAsset = register_asset(*b"USDC\0\0\0\0\0\0\0\0\0\0\0\0").payload_as();
    let usdc = RegisterAsset { asset_flags: asset_flag::SETTLEMENT, ..usdc };
    world.accept(by(OPERATOR, Kind::RegisterAsset).with(&usdc));
    for owner in OWNERS {
        world.accept(open_account(owner));
        for asset in [BTC, USDC] {
            world.deposit(owner, asset, FUNDS);
        }
    }
    let index = 100_000_000;
    let feed = world.valid_feed("BTC-USD", index);
    world.accept(create_market(0, 10_000, 1_000, 28_000_000, 10_000_000));
    world.accept(create_market(1, 1_000, 1_000, 0, 0));
    let spot: CreateMarket = create_market(2, 1_000, 1_000, 0, 0).payload_as();
    let perpetual = CreateMarket { market_kind: 1, feed, ..spot };
    world.accept(by(OPERATOR, Kind::CreateMarket).with(&perpetual));
    world.keep_quoting(feed, index, 90);
    world.accept(sell(BOB, 2, 100_000, 1_000));
    world.accept(buy(ALICE, 2, 100_000, 1_000));
    for _ in 0..120 {
        quiet_second(&mut world);
        world.quote_all(feed, index);
    }
    (world, feed)
}

/// Initial margin of ALICE, who has neither profit nor other collateral: what all of her money could not leave for.
fn initial_margin(world: &mut World) -> i64 {
    let free = world.free(ALICE, USDC);
    let all = Transfer { to_sub: 1, reserved: 0, asset: USDC, reserved2: 0, amount: free };
    let refusal = world.refuse(by(ALICE, Kind::Transfer).with(&all), Code::INSUFFICIENT_FREE_COLLATERAL);
    free - refusal.bound
}

#[test]
fn p12_2_a_slowed_account_has_half_as_much_margin_again_and_may_only_reduce() {
    let (mut world, feed) = leveraged_world();
    world.accept(by(ALICE, Kind::OpenSubAccount).with(&OpenSubAccount { index: 1, ..Record::zero() }));
    world.accept(link(ALICE, OPERATOR, 1));
    let usual = initial_margin(&mut world);
    assert!(usual > 0);
    for part in 0..7 {
        let price = 100_000 + part * 2_600;
        world.accept(sell(OPERATOR, 1, price, 100_000));
        world.accept(buy(ALICE, 1, price, 100_000));
    }
    world.advance(SECOND);
    world.tick();
    assert!(world.kinds().contains(&E::AccountSlowed));
    world.quote_all(feed, 100_000_000);
    assert_eq!(initial_margin(&mut world), (usual * 3 + 1) / 2);
    world.refuse(buy(ALICE, 2, 99_000, 10), Code::REDUCE_ONLY_WOULD_INCREASE);
    let reducing = world.accept(sell(ALICE, 2, 101_000, 10)).value;
    world.accept(cancel(ALICE, reducing));
    world.accept(buy(BOB, 2, 99_000, 10));
    world.refuse(sell(ALICE, 2, 99_000, 10), Code::POST_ONLY_WOULD_TAKE);
}
