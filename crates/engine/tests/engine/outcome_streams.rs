//! Random streams over spot and outcome markets together: conservation, both books, snapshots, replay (P17.2).

use proptest::prelude::*;
use tradewind_engine::audit::Auditor;
use tradewind_engine::replay::replay;
use tradewind_engine::wire::command::*;
use tradewind_engine::wire::event::{EventKind, TradeBody};
use tradewind_engine::{id, Batch, BatchView, Book, Engine, FastBook, ReferenceBook};

use crate::outcome::*;
use crate::outcome_books::on;
use crate::support::*;

/// Handles of the outcome markets in their worlds: two, three and nine outcomes.
const MARKETS: [(u32, u8); 3] = [(2, 2), (3, 3), (4, 9)];

fn world<B: Book>() -> World<B> {
    let mut world = World::<B>::new();
    for (handle, outcomes) in MARKETS {
        assert_eq!(with_outcomes(&mut world, outcomes), handle);
    }
    for owner in [ALICE, BOB, CAROL] {
        for (market, _) in MARKETS {
            world.accept(sets(owner, Kind::MintSet, market, 60));
        }
    }
    world.now_ns = BASE;
    world
}

fn owner() -> impl Strategy<Value = Key> {
    prop_oneof![4 => Just(ALICE), 4 => Just(BOB), 3 => Just(CAROL), 1 => Just(SYSTEM)]
}

fn placing() -> impl Strategy<Value = Command> {
    let form = (
        prop_oneof![
            8 => Just(order_type::LIMIT), 2 => Just(order_type::MARKET), 2 => Just(order_type::ICEBERG)
        ],
        prop_oneof![9 => Just(0_u8), 2 => Just(1_u8), 2 => Just(2_u8), 3 => Just(3_u8)],
        prop_oneof![
            8 => Just(0_u16), 1 => Just(order_flag::POST_ONLY), 1 => Just(order_flag::REDUCE_ONLY),
            2 => Just(order_flag::OCO)
        ],
        0..4_u8,
        (1..100 * SECOND, 1..120_u64),
    );
    let place_at = (0..10_usize, 0..10_u8, 0..2_u8, 1..30_i64, 0..24_i64);
    (owner(), place_at, form).prop_map(|(owner, (market, outcome, side, lots, price), form)| {
        let (order_type, time_in_force, order_flags, self_trade_prevention, (expiry, linked)) = form;
        // A few orders go to a spot market.
        let (market, count) = if market == 9 { (0, 1) } else { MARKETS[market % 3] };
        let outcome = outcome % count.max(1);
        let middle = if count == 1 { 100 } else { 1_000 / i64::from(count) };
        let at_market = order_type == order_type::MARKET;
        let time_in_force = if at_market { time_in_force | 1 } else { time_in_force };
        let gtd = time_in_force == time_in_force::GTD;
        place(
            owner,
            PlaceOrder {
                order_type,
                time_in_force,
                order_flags,
                self_trade_prevention,
                linked_order: if order_flags == order_flag::OCO { linked } else { 0 },
                price: if at_market { 0 } else { middle - 12 + price },
                expiry_ns: if gtd { BASE + expiry } else { 0 },
                ..on(market, outcome, side, 0, lots)
            },
        )
    })
}

/// Orders of the binary market that wait for its last trade.
fn waiting() -> impl Strategy<Value = Command> {
    let kind = order_type::STOP..=order_type::TRAILING_STOP;
    let place_at = (owner(), kind, 0..2_u8, 0..2_u8, 1..30_i64, 485..516_i64);
    let form = (1..20_i64, prop::bool::ANY, 0..4_u8, 1..120_u64);
    (place_at, form).prop_map(|(place_at, (trail, limited, flags, linked))| {
        let order_flags = [0, order_flag::REDUCE_ONLY, order_flag::OCO, 0][usize::from(flags)];
        let (owner, order_type, outcome, side, lots, trigger) = place_at;
        let trails = order_type == order_type::TRAILING_STOP;
        let limited = limited || order_type == order_type::STOP_LIMIT;
        place(
            owner,
            PlaceOrder {
                order_type,
                trigger_source: trigger_source::LAST_TRADE,
                trigger_price: if trails { 0 } else { trigger },
                trail: if trails { trail } else { 0 },
                price: if limited { trigger } else { 0 },
                order_flags,
                linked_order: if order_flags == order_flag::OCO { linked } else { 0 },
                ..on(MARKETS[0].0, outcome, side, 0, lots)
            },
        )
    })
}

fn step() -> impl Strategy<Value = Step> {
    let order = 1..120_u64;
    let market = 2..5_u32;
    let changing = (owner(), order.clone(), prop_oneof![2 => Just(0_i64), 3 => 80..600_i64], 0..30_i64);
    let set = (owner(), market.clone(), 1..20_i64, prop::bool::ANY);
    prop_oneof![
        40 => placing().prop_map(|command| Step::Send(Box::new(command))),
        6 => waiting().prop_map(|command| Step::Send(Box::new(command))),
        6 => changing.prop_map(|(owner, order, price, lots)| {
            Step::Send(Box::new(replace(owner, order, price, lots)))
        }),
        8 => (owner(), order).prop_map(|(owner, order)| Step::Send(Box::new(cancel(owner, order)))),
        1 => (owner(), market).prop_map(|(owner, market)| Step::Send(Box::new(cancel_all(owner, market)))),
        6 => set.prop_map(|(owner, market, lots, mints)| {
            let kind = if mints { Kind::MintSet } else { Kind::MergeSet };
            Step::Send(Box::new(sets(owner, kind, market, lots)))
        }),
        3 => (0..20 * SECOND).prop_map(Step::Wait),
    ]
}

fn run<B: Book>(world: &mut World<B>, steps: &[Step]) {
    for step in steps {
        match step {
            Step::Wait(wait_ns) => {
                world.advance(*wait_ns);
                world.tick();
            }
            Step::Send(command) => {
                world.send(**command);
            }
        }
    }
}

/// Claims, books and balances as the engine and as the auditor show them.
fn assert_same_view<B: Book>(world: &World<B>) {
    world.auditor.verify().unwrap_or_else(|violation| panic!("{violation}"));
    for (handle, owner) in OWNERS.into_iter().enumerate() {
        let account = id::account_id(&owner);
        for (market, outcomes) in MARKETS {
            for outcome in 0..outcomes {
                let engine = world.engine.claim(&account, 0, market, outcome).expect("a known account");
                assert_eq!(engine, world.auditor.claim(handle as u32, 0, market, outcome));
            }
        }
    }
    for (market, outcomes) in MARKETS {
        for (outcome, book_side) in (0..outcomes).flat_map(|outcome| [(outcome, 0), (outcome, 1)]) {
            let levels = world.engine.outcome_levels(market, outcome, book_side, usize::MAX);
            let levels: Vec<_> = levels.iter().map(|level| (level.price, level.lots, level.orders)).collect();
            assert_eq!(levels, world.auditor.outcome_levels(market, outcome, book_side));
        }
        let escrow = world.engine.system_balance(0x81, market + 1, USDC);
        for outcome in 0..outcomes {
            assert_eq!(world.engine.claim_supply(market, outcome), escrow, "I05 of market {market}");
        }
    }
}

proptest! {
    #![proptest_config(config(96))]

    #[test]
    fn t05_i05_sets_books_and_money_agree_over_any_stream(
        steps in prop::collection::vec(step(), 20..250)
    ) {
        let mut world = world::<FastBook>();
        run(&mut world, &steps);
        assert_same_view(&world);
    }

    #[test]
    fn t03_both_books_give_the_same_outcome_markets(steps in prop::collection::vec(step(), 20..250)) {
        let (mut fast, mut plain) = (world::<FastBook>(), world::<ReferenceBook>());
        for step in &steps {
            run(&mut fast, std::slice::from_ref(step));
            run(&mut plain, std::slice::from_ref(step));
            prop_assert_eq!(&fast.batch.results, &plain.batch.results);
            prop_assert_eq!(&fast.batch.output.events, &plain.batch.output.events);
        }
        prop_assert_eq!(fast.engine.state_hash(), plain.engine.state_hash());
    }

    #[test]
    fn t01_a_snapshot_between_any_two_commands_has_the_same_future(
        steps in prop::collection::vec(step(), 20..200), cut in 0..200_usize
    ) {
        let mut world = world::<FastBook>();
        let cut = cut.min(steps.len());
        run(&mut world, &steps[..cut]);
        let restored: Engine = Engine::restore(&world.engine.snapshot()).expect("its own snapshot");
        prop_assert_eq!(restored.snapshot(), world.engine.snapshot());
        let auditor = Auditor::from_engine(&restored).expect("a sound state");
        let mut other = World { auditor, engine: restored, ..world.clone() };
        run(&mut world, &steps[cut..]);
        run(&mut other, &steps[cut..]);
        prop_assert_eq!(world.engine.state_hash(), other.engine.state_hash());
        prop_assert_eq!(world.engine.cursor_hash(), other.engine.cursor_hash());
    }

    #[test]
    fn t01_a_replay_of_the_log_gives_every_byte_again(steps in prop::collection::vec(step(), 20..200)) {
        let mut world = world::<FastBook>();
        let mut again: Engine = Engine::restore(&world.engine.snapshot()).expect("its own snapshot");
        let mut scratch = Batch::default();
        for step in &steps {
            let Step::Send(command) = step else { continue };
            world.send(**command);
            let payload = world.batch.parts(&world.batch.header()).concat();
            let view = BatchView::decode(&payload).unwrap();
            prop_assert_eq!(replay(&mut again, &view, &mut scratch), Ok(()));
        }
        prop_assert_eq!(world.engine.state_hash(), again.state_hash());
    }

    #[test]
    fn i19_a_reject_leaves_outcome_markets_alone(steps in prop::collection::vec(step(), 20..120)) {
        let mut world = world::<FastBook>();
        for step in &steps {
            let Step::Send(command) = step else { continue };
            let before = world.engine.state_hash();
            let result = world.send(**command);
            if result.accepted == 0 {
                prop_assert_eq!(world.engine.state_hash(), before);
            }
        }
    }
}

#[test]
fn the_streams_reach_every_kind_of_fill_and_the_codes_of_outcome_markets() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut kinds, mut codes) = (std::collections::BTreeSet::new(), std::collections::BTreeSet::new());
    let mut shown = std::collections::BTreeSet::new();
    for _ in 0..30 {
        let steps = prop::collection::vec(step(), 300).new_tree(&mut runner).unwrap().current();
        let mut world = world::<FastBook>();
        for step in &steps {
            run(&mut world, std::slice::from_ref(step));
            for (kind, event) in world.events() {
                shown.insert(kind as u16);
                if kind == EventKind::Trade && event.market >= 2 {
                    kinds.insert(event.body_as::<TradeBody>().trade_kind);
                }
            }
            codes.extend(world.batch.results.iter().map(|result| result.code));
        }
    }
    for kind in [
        EventKind::SetFilled,
        EventKind::IcebergShown,
        EventKind::SelfTradePrevented,
        EventKind::OrderActivated,
        EventKind::OrderResized,
    ] {
        assert!(shown.contains(&(kind as u16)), "{} is never reached", kind.name());
    }
    assert_eq!(kinds.into_iter().collect::<Vec<_>>(), [0, 1, 2], "TRANSFER, MINT, MERGE");
    let names = [
        "INSUFFICIENT_SHARES",
        "SET_INCOMPLETE",
        "PRICE_TOO_HIGH",
        "FOK_NOT_FILLABLE",
        "NO_LIQUIDITY",
        "REDUCE_ONLY_WOULD_INCREASE",
    ];
    for name in names {
        let code = tradewind_engine::wire::error::CATALOGUE.iter().find(|entry| entry.name == name).unwrap();
        assert!(codes.contains(&code.number), "{name} is never reached");
    }
}
