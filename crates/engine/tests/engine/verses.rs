//! Verses: the forest of market groups (P15.8, row 0E02).

use tradewind_engine::verse::{slug, NONE};
use tradewind_engine::wire::command::*;
use tradewind_engine::wire::event::{EventKind, VerseBody, VerseLinkBody};
use tradewind_engine::wire::Code;
use tradewind_engine::{Engine, FastBook};

use crate::support::*;

fn verse(name: &str, parent: u32) -> Command {
    let slug = slug(name).expect("a short name");
    by(OPERATOR, Kind::CreateVerse).with(&CreateVerse { parent, reserved: 0, slug })
}

fn moved(verse: u32, parent: u32) -> Command {
    by(OPERATOR, Kind::MoveVerse).with(&MoveVerse { verse, parent })
}

fn linked(market: u32, verse: u32) -> Command {
    by(OPERATOR, Kind::LinkMarket).with(&LinkMarket { market, verse })
}

/// A chain of verses, each below the one before; their handles.
fn chain(world: &mut World, name: &str, length: u8) -> Vec<u32> {
    let mut parent = NONE;
    let mut handles = Vec::new();
    for level in 0..length {
        parent = world.accept(verse(&format!("{name}-{level}"), parent)).value as u32;
        handles.push(parent);
    }
    handles
}

#[test]
fn p15_8_verses_form_a_tree_of_at_most_six_levels_and_survive_a_snapshot() {
    let mut world: World = World::new();
    let levels = chain(&mut world, "deep", 6);
    assert_eq!(world.kinds(), [EventKind::VerseCreated]);
    let body: VerseBody = world.events()[0].1.body_as();
    assert_eq!((body.verse, body.parent, body.slug), (5, 4, slug("deep-5").unwrap()));
    let deep = world.refuse(verse("too-deep", levels[5]), Code::VERSE_DEPTH);
    assert_eq!((deep.bound, deep.given), (6, 7));
    world.accept(linked(0, levels[5]));
    let bytes = world.engine.snapshot();
    world.engine = Engine::<FastBook>::restore(&bytes).expect("a sound snapshot");
    assert_eq!(world.engine.snapshot(), bytes);
    assert_eq!(world.engine.verses().of_market(0), levels[5]);
    assert_eq!(world.engine.verses().depth(levels[5]), 6);
    world.refuse(verse("too-deep", levels[5]), Code::VERSE_DEPTH);
}

#[test]
fn p15_8_moving_a_verse_takes_its_tree_along_and_never_closes_a_circle() {
    let mut world: World = World::new();
    let left = chain(&mut world, "left", 3);
    let right = chain(&mut world, "right", 4);
    world.refuse(moved(left[0], left[0]), Code::VERSE_CYCLE);
    world.refuse(moved(left[0], left[2]), Code::VERSE_CYCLE);
    // Three levels below the fourth would be seven.
    world.refuse(moved(left[0], right[3]), Code::VERSE_DEPTH);
    world.accept(moved(left[0], right[2]));
    let body: VerseLinkBody = world.events()[0].1.body_as();
    assert_eq!((body.verse, body.parent, body.previous), (left[0], right[2], NONE));
    assert_eq!(world.engine.verses().depth(left[2]), 6);
    world.refuse(moved(right[0], left[1]), Code::VERSE_CYCLE);
    world.refuse(moved(left[0], right[2]), Code::ALREADY_EXISTS);
    world.accept(moved(left[0], NONE));
    assert_eq!(world.engine.verses().depth(left[2]), 3);
    world.refuse(moved(99, NONE), Code::VERSE_NOT_FOUND);
    world.refuse(moved(left[0], 99), Code::VERSE_NOT_FOUND);
}

#[test]
fn p15_8_a_verse_has_at_most_64_below_it_and_the_platform_1024() {
    let mut world: World = World::new();
    let root = world.accept(verse("root", NONE)).value as u32;
    for child in 0..64 {
        world.accept(verse(&format!("child-{child}"), root));
    }
    let full = world.refuse(verse("one-more", root), Code::VERSE_FULL);
    assert_eq!((full.bound, full.given), (64, 64));
    let other = world.accept(verse("other", NONE)).value as u32;
    world.refuse(moved(other, root), Code::VERSE_FULL);
    // What leaves makes room.
    world.accept(moved(1, NONE));
    world.accept(moved(other, root));
    for number in 66..1_024 {
        world.accept(verse(&format!("v{number}"), NONE));
    }
    world.refuse(verse("beyond", NONE), Code::CAPACITY_EXCEEDED);
}

#[test]
fn a_slug_is_lower_case_digits_and_hyphens_and_exists_once() {
    let mut world: World = World::new();
    world.accept(verse(&"a".repeat(64), NONE));
    world.accept(verse("us-2028", NONE));
    world.refuse(verse("us-2028", 0), Code::ALREADY_EXISTS);
    for bad in ["", "Upper", "under_score", "space d", "\u{e9}"] {
        world.refuse(verse(bad, NONE), Code::PARAMETER_OUT_OF_BOUNDS);
    }
    let mut holed = slug("ab").unwrap();
    holed[5] = b'c';
    let command =
        by(OPERATOR, Kind::CreateVerse).with(&CreateVerse { parent: NONE, reserved: 0, slug: holed });
    world.refuse(command, Code::PARAMETER_OUT_OF_BOUNDS);
    let reserved = CreateVerse { parent: NONE, reserved: 1, slug: slug("x").unwrap() };
    world.refuse(by(OPERATOR, Kind::CreateVerse).with(&reserved), Code::RESERVED_NOT_ZERO);
    world.refuse(verse("orphan", 77), Code::VERSE_NOT_FOUND);
}

#[test]
fn a_market_is_in_one_verse_or_in_none() {
    let mut world: World = World::new();
    let verses = chain(&mut world, "v", 2);
    world.refuse(linked(99, verses[0]), Code::MARKET_NOT_FOUND);
    world.refuse(linked(0, 99), Code::VERSE_NOT_FOUND);
    world.refuse(linked(0, NONE), Code::ALREADY_EXISTS);
    world.accept(linked(0, verses[0]));
    world.refuse(linked(0, verses[0]), Code::ALREADY_EXISTS);
    world.accept(linked(0, verses[1]));
    let body: VerseLinkBody = world.events()[0].1.body_as();
    assert_eq!((body.verse, body.parent, body.previous), (verses[1], verses[0], verses[0]));
    world.accept(linked(0, NONE));
    assert_eq!(world.engine.verses().of_market(0), NONE);
    world.refuse(Command { principal: ALICE, ..linked(0, verses[0]) }, Code::PERMISSION_DENIED);
}
