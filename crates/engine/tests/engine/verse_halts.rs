//! Halts of verses and their end (P15.8, P7.6).

use proptest::prelude::*;
use tradewind_engine::audit::Auditor;
use tradewind_engine::market::level::{FREEZE, FULL, NONE, PARTIAL};
use tradewind_engine::verse::status::{ACTIVE, HALTED, RESOLVED};
use tradewind_engine::verse::{slug, NONE as NO_VERSE};
use tradewind_engine::wire::command::*;
use tradewind_engine::wire::event::*;
use tradewind_engine::wire::Code;
use tradewind_engine::{Engine, FastBook};

use crate::audit::Recording;
use crate::outcome::{outcome_market, sets};
use crate::resolution::{closed_market, finalise, proposal};
use crate::support::*;

fn made(world: &mut World, name: &str, parent: u32) -> u32 {
    let slug = slug(name).expect("a short name");
    let request = CreateVerse { parent, reserved: 0, slug };
    world.accept(by(OPERATOR, Kind::CreateVerse).with(&request)).value as u32
}

fn link(market: u32, verse: u32) -> Command {
    by(OPERATOR, Kind::LinkMarket).with(&LinkMarket { market, verse })
}

fn shift(verse: u32, parent: u32) -> Command {
    by(OPERATOR, Kind::MoveVerse).with(&MoveVerse { verse, parent })
}

fn halt_request(verse: u32, level: u8, until_ns: i64) -> HaltVerse {
    HaltVerse { verse, level, reserved: 0, reserved2: 0, until_ns, reason: [b'x'; 48] }
}

fn halt(verse: u32, level: u8, until_ns: i64) -> Command {
    by(EMERGENCY, Kind::HaltVerse).with(&halt_request(verse, level, until_ns))
}

fn resumed(who: Key, verse: u32, pause_id: u32) -> Command {
    by(who, Kind::ResumeVerse).with(&ResumeVerse { verse, pause_id })
}

/// An outcome market in a verse.
fn market_in(world: &mut World, verse: u32) -> u32 {
    let nonce = 900 + world.engine.sizes().1 as u64;
    let market = world.accept(outcome_market(nonce, 2)).value as u32;
    world.accept(link(market, verse));
    market
}

/// A root with one verse below it and one beside it, each with two markets.
struct Forest {
    root: u32,
    child: u32,
    other: u32,
    in_root: [u32; 2],
    in_child: [u32; 2],
    in_other: [u32; 2],
}

fn forest(world: &mut World) -> Forest {
    let root = made(world, "root", NO_VERSE);
    let child = made(world, "child", root);
    let other = made(world, "other", NO_VERSE);
    let mut two = |verse| [market_in(world, verse), market_in(world, verse)];
    let (in_root, in_child, in_other) = (two(root), two(child), two(other));
    Forest { root, child, other, in_root, in_child, in_other }
}

fn mints(market: u32) -> Command {
    sets(ALICE, Kind::MintSet, market, 1)
}

fn restored(world: &mut World) {
    let bytes = world.engine.snapshot();
    world.engine = Engine::<FastBook>::restore(&bytes).expect("a sound snapshot");
    assert_eq!(world.engine.snapshot(), bytes);
    world.auditor = Auditor::from_engine(&world.engine).expect("a sound state");
    world.auditor.verify().expect("every invariant");
}

#[test]
fn p15_8_a_halt_pauses_every_market_below_it_and_two_others_end_it() {
    let mut world: World = World::new();
    let tree = forest(&mut world);
    let until_ns = world.now_ns + 10 * HOUR;
    let id = world.accept(halt(tree.root, FULL, until_ns)).value as u32;
    let verses = world.engine.verses();
    let found = [tree.root, tree.child, tree.other].map(|verse| verses.status(verse));
    assert_eq!(found, [HALTED, HALTED, ACTIVE]);
    for market in tree.in_root.into_iter().chain(tree.in_child) {
        world.refuse(mints(market), Code::PAUSED);
    }
    world.accept(mints(tree.in_other[0]));
    restored(&mut world);
    // A market's part of the halt ends with the halt alone.
    world.refuse(resume(RESUMER_A, tree.in_root[0], id), Code::INVALID_TRANSITION);
    // Nobody who set it, nor one person twice.
    world.refuse(resumed(EMERGENCY, tree.root, id), Code::PERMISSION_DENIED);
    world.accept(resumed(RESUMER_A, tree.root, id));
    assert_eq!(world.kinds(), [EventKind::VerseResumePending]);
    world.refuse(resumed(RESUMER_A, tree.root, id), Code::SELF_APPROVAL);
    world.refuse(mints(tree.in_child[1]), Code::PAUSED);
    restored(&mut world);
    world.accept(resumed(RESUMER_B, tree.root, id));
    assert_eq!(world.kinds()[0], EventKind::VerseResumed);
    assert_eq!(world.kinds()[1..], [EventKind::Resumed; 4]);
    for market in tree.in_root.into_iter().chain(tree.in_child) {
        world.accept(mints(market));
    }
    assert_eq!(world.engine.verses().status(tree.child), ACTIVE);
    restored(&mut world);
}

#[test]
fn p15_8_an_approval_lapses_after_600_s_and_then_counts_as_none() {
    let mut world: World = World::new();
    let tree = forest(&mut world);
    let until_ns = world.now_ns + 10 * HOUR;
    let id = world.accept(halt(tree.child, FULL, until_ns)).value as u32;
    world.accept(resumed(RESUMER_A, tree.child, id));
    world.advance(600 * SECOND + 1);
    world.accept(resumed(RESUMER_B, tree.child, id));
    assert_eq!(world.kinds(), [EventKind::VerseResumePending]);
    world.accept(resumed(RESUMER_A, tree.child, id));
    assert_eq!(world.engine.verses().status(tree.child), ACTIVE);
}

#[test]
fn p7_6_a_partial_halt_ends_by_itself_and_a_full_one_does_not() {
    for (level, ends) in [(PARTIAL, true), (FULL, false)] {
        let mut world: World = World::new();
        let tree = forest(&mut world);
        let until_ns = world.now_ns + HOUR;
        world.accept(halt(tree.root, level, until_ns));
        restored(&mut world);
        world.wait(HOUR);
        let found = world.engine.verses().status(tree.root);
        assert_eq!(found, if ends { ACTIVE } else { HALTED });
        let result = world.send(mints(tree.in_child[0]));
        assert_eq!(result.accepted == 1, ends);
        restored(&mut world);
    }
}

#[test]
fn p15_8_the_end_of_one_halt_leaves_markets_to_the_other_halts_above_them() {
    let mut world: World = World::new();
    let tree = forest(&mut world);
    let now = world.now_ns;
    let outer = world.accept(halt(tree.root, PARTIAL, now + 5 * HOUR)).value as u32;
    let inner = world.accept(halt(tree.child, PARTIAL, now + 20 * HOUR)).value as u32;
    world.accept(resumed(RESUMER_A, tree.root, outer));
    world.accept(resumed(RESUMER_B, tree.root, outer));
    world.accept(mints(tree.in_root[0]));
    world.refuse(mints(tree.in_child[0]), Code::PAUSED);
    // A stricter halt of the root takes over and hands back.
    let outer = world.accept(halt(tree.root, FULL, now + 5 * HOUR)).value as u32;
    world.refuse(sets(ALICE, Kind::MergeSet, tree.in_child[0], 1), Code::PAUSED);
    world.accept(resumed(RESUMER_A, tree.root, outer));
    world.accept(resumed(RESUMER_B, tree.root, outer));
    world.refuse(mints(tree.in_child[0]), Code::PAUSED);
    // Under PARTIAL merging goes on; here there is nothing to merge.
    world.refuse(sets(ALICE, Kind::MergeSet, tree.in_child[0], 1), Code::SET_INCOMPLETE);
    restored(&mut world);
    world.wait(20 * HOUR);
    world.accept(mints(tree.in_child[0]));
    world.refuse(resumed(RESUMER_A, tree.child, inner), Code::INVALID_TRANSITION);
}

#[test]
fn p15_8_a_pause_of_its_own_outlives_the_halt_and_falls_back_to_it() {
    let mut world: World = World::new();
    let tree = forest(&mut world);
    let now = world.now_ns;
    let [own, plain] = tree.in_root;
    let pause_id = world.accept(pause(own, FULL, now + 30 * HOUR)).value as u32;
    let halted = world.accept(halt(tree.root, PARTIAL, now + 40 * HOUR)).value as u32;
    // Its own pause was stricter; two persons end it, and the halt holds on.
    world.accept(resume(RESUMER_A, own, pause_id));
    world.accept(resume(RESUMER_B, own, pause_id));
    assert_eq!(world.kinds(), [EventKind::PauseSet]);
    world.refuse(mints(own), Code::PAUSED);
    restored(&mut world);
    world.accept(pause(plain, FULL, now + 60 * HOUR));
    world.accept(resumed(RESUMER_A, tree.root, halted));
    world.accept(resumed(RESUMER_B, tree.root, halted));
    world.accept(mints(own));
    world.refuse(mints(plain), Code::PAUSED);
}

#[test]
fn p15_8_each_check_of_a_halt_has_its_code() {
    let mut world: World = World::new();
    let tree = forest(&mut world);
    let now = world.now_ns;
    let good = halt_request(tree.root, PARTIAL, now + HOUR);
    let changed = |change: fn(&mut HaltVerse)| {
        let mut request = good;
        change(&mut request);
        by(EMERGENCY, Kind::HaltVerse).with(&request)
    };
    world.refuse(changed(|one| one.reserved = 1), Code::RESERVED_NOT_ZERO);
    world.refuse(changed(|one| one.reserved2 = 1), Code::RESERVED_NOT_ZERO);
    world.refuse(changed(|one| one.verse = 99), Code::VERSE_NOT_FOUND);
    for level in [NONE, FREEZE, 9] {
        world.refuse(halt(tree.root, level, now + HOUR), Code::PARAMETER_OUT_OF_BOUNDS);
    }
    world.refuse(changed(|one| one.reason = [b' '; 48]), Code::PARAMETER_OUT_OF_BOUNDS);
    world.refuse(halt(tree.root, PARTIAL, now), Code::PARAMETER_OUT_OF_BOUNDS);
    world.refuse(halt(tree.root, PARTIAL, now + 72 * HOUR + 1), Code::PARAMETER_OUT_OF_BOUNDS);
    world.refuse(
        Command { principal: OPERATOR, ..halt(tree.root, PARTIAL, now + HOUR) },
        Code::PERMISSION_DENIED,
    );
    world.refuse(resumed(RESUMER_A, 99, 1), Code::VERSE_NOT_FOUND);
    world.refuse(resumed(RESUMER_A, tree.root, 1), Code::INVALID_TRANSITION);
    let id = world.accept(halt(tree.root, FULL, now + 72 * HOUR)).value as u32;
    world.refuse(halt(tree.root, PARTIAL, now + HOUR), Code::INVALID_TRANSITION);
    world.refuse(halt(tree.root, FULL, now + HOUR), Code::INVALID_TRANSITION);
    world.refuse(resumed(RESUMER_A, tree.root, id + 1), Code::INVALID_TRANSITION);
    world.refuse(resumed(RESUMER_A, tree.child, id), Code::INVALID_TRANSITION);
    // What is below a halt stays where it is.
    world.refuse(link(tree.in_child[0], tree.other), Code::INVALID_TRANSITION);
    world.refuse(link(tree.in_child[0], NO_VERSE), Code::INVALID_TRANSITION);
    world.refuse(link(tree.in_other[0], tree.child), Code::INVALID_TRANSITION);
    world.refuse(shift(tree.child, NO_VERSE), Code::INVALID_TRANSITION);
    world.refuse(shift(tree.other, tree.child), Code::INVALID_TRANSITION);
}

#[test]
fn p15_8_a_verse_is_resolved_when_every_market_below_it_is_settled() {
    let mut world: World = World::new();
    let root = made(&mut world, "root", NO_VERSE);
    let child = made(&mut world, "child", root);
    let first = closed_market(&mut world, 2);
    let second = closed_market(&mut world, 2);
    world.accept(link(first, child));
    world.accept(link(second, root));
    for market in [first, second] {
        world.accept(proposal(CAROL, market, 0));
    }
    world.wait(2 * HOUR);
    world.accept(finalise(first));
    let shown: VerseResolvedBody = world.events().last().expect("an event").1.body_as();
    assert_eq!((shown.verse, shown.markets), (child, 1));
    let state = |world: &World| [root, child].map(|verse| world.engine.verses().status(verse));
    assert_eq!(state(&world), [ACTIVE, RESOLVED]);
    restored(&mut world);
    assert_eq!(state(&world), [ACTIVE, RESOLVED]);
    world.refuse(halt(child, FULL, world.now_ns + HOUR), Code::INVALID_TRANSITION);
    world.accept(finalise(second));
    let shown: VerseResolvedBody = world.events().last().expect("an event").1.body_as();
    assert_eq!((shown.verse, shown.markets), (root, 2));
    assert_eq!(state(&world), [RESOLVED, RESOLVED]);
    // Another open market makes it ACTIVE again; without its child it is so alone.
    let open = market_in(&mut world, child);
    assert_eq!(state(&world), [ACTIVE, ACTIVE]);
    world.accept(shift(child, NO_VERSE));
    assert_eq!(state(&world), [RESOLVED, ACTIVE]);
    world.accept(link(open, NO_VERSE));
    assert_eq!(state(&world), [RESOLVED, RESOLVED]);
    restored(&mut world);
}

#[test]
fn p2_1_4_a_halt_of_many_markets_goes_on_in_continuations_of_bounded_work() {
    let mut world: World = World::new();
    let verse = made(&mut world, "wide", NO_VERSE);
    let beside = made(&mut world, "beside", NO_VERSE);
    let markets: Vec<u32> = (0..150).map(|_| market_in(&mut world, verse)).collect();
    for _ in 0..150 {
        market_in(&mut world, beside);
    }
    let until_ns = world.now_ns + HOUR;
    let id = world.accept(halt(verse, FULL, until_ns)).value as u32;
    let paused = world.kinds().iter().filter(|kind| **kind == EventKind::PauseSet).count();
    assert_eq!(paused, markets.len());
    assert!(world.batch.commands.len() >= 13, "12 pauses a command, not {}", world.batch.commands.len());
    for result in &world.batch.results {
        assert!(result.event_count <= 14);
    }
    world.refuse(mints(markets[149]), Code::PAUSED);
    world.accept(resumed(RESUMER_A, verse, id));
    world.accept(resumed(RESUMER_B, verse, id));
    world.accept(mints(markets[149]));
    world.auditor.verify().expect("every invariant");
}

#[test]
fn i25_the_auditor_sees_a_market_that_a_halt_forgets_and_a_halt_that_ends_alone() {
    let mut world: World = World::new();
    let tree = forest(&mut world);
    let until_ns = world.now_ns + HOUR;
    let begins = || Recording::of(&mut world.clone(), halt(tree.root, FULL, until_ns));
    begins().breaks("I25", |r| r.edit(EventKind::VerseHalted, |body: &mut VerseHaltBody| body.level = 3));
    begins().breaks("I25", |r| r.edit(EventKind::VerseHalted, |body: &mut VerseHaltBody| body.until_ns = 1));
    begins().breaks("I25", |r| r.drop_events(EventKind::PauseSet));
    begins().breaks("I25", |r| r.edit(EventKind::PauseSet, |body: &mut PauseBody| body.level = PARTIAL));
    let id = world.accept(halt(tree.root, FULL, until_ns)).value as u32;
    let first = || Recording::of(&mut world.clone(), resumed(RESUMER_A, tree.root, id));
    let kind = EventKind::VerseResumePending;
    first().breaks("I25", |r| r.edit(kind, |body: &mut VerseResumeBody| body.principal = EMERGENCY));
    first().breaks("I25", |r| r.edit(kind, |body: &mut VerseResumeBody| body.until_ns += 1));
    world.accept(resumed(RESUMER_A, tree.root, id));
    let second = || Recording::of(&mut world.clone(), resumed(RESUMER_B, tree.root, id));
    let kind = EventKind::VerseResumed;
    second().breaks("I25", |r| r.edit(kind, |body: &mut VerseResumeBody| body.principal = RESUMER_A));
    second().breaks("I25", |r| r.edit(kind, |body: &mut VerseResumeBody| body.principal = [0; 32]));
    second().breaks("I25", |r| r.drop_events(kind));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// Whatever is halted, resumed or waited for: a market is open exactly while no verse above it is halted and no
    /// pause of its own stands, also behind a snapshot.
    #[test]
    fn p15_8_a_market_is_open_exactly_while_nothing_above_it_is_halted(
        steps in prop::collection::vec((0_u8..5, 0_usize..3, 1_u8..=2, 1_i64..20), 1..24),
    ) {
        let mut world: World = World::new();
        let tree = forest(&mut world);
        let verses = [tree.root, tree.child, tree.other];
        for (act, at, level, hours) in steps {
            let verse = verses[at];
            let halt_of = |world: &World| world.engine.verses().get(verse).and_then(|entry| entry.halt);
            match (act, halt_of(&world)) {
                (0 | 1, _) => {
                    world.send(halt(verse, level, world.now_ns + hours * HOUR));
                }
                (2, Some(present)) => {
                    world.accept(resumed(RESUMER_A, verse, present.id));
                    world.accept(resumed(RESUMER_B, verse, present.id));
                }
                (3, _) => restored(&mut world),
                _ => world.wait(hours * HOUR),
            }
            for (market, of) in [(tree.in_root, tree.root), (tree.in_child, tree.child), (tree.in_other, tree.other)] {
                let halted = world.engine.verses().halts_over(of).next().is_some();
                let answer = world.send(mints(market[0]));
                prop_assert_eq!(answer.accepted == 0, halted, "verse {}", of);
            }
        }
    }
}
