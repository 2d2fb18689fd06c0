//! Rewards of makers (P11.4) and the maker fund (P8.8): samples, uptime, volume, hours, claims.

use proptest::prelude::*;
use tradewind_engine::audit::Auditor;
use tradewind_engine::ledger::line;
use tradewind_engine::token::makers::{depth_of, is_near, Closing, MadeFill, Makers, Quoted, Score};
use tradewind_engine::token::{Season, SEASON_BUDGET};
use tradewind_engine::wire::command::*;
use tradewind_engine::wire::event::{EventKind as E, MakerRewardedBody, RewardHourBody, RewardsBody};
use tradewind_engine::wire::{Code, Record};
use tradewind_engine::{id, Engine};

use crate::audit::Recording;
use crate::leveraged::{BTC_PRICE, ETH_FEED, ETH_PRICE, PERP};
use crate::outcome::with_outcomes;
use crate::support::*;
use crate::token::{issued_world, open_season, register_token, MMT};

pub fn reward(market: u32, outcome: u8, rewarded: u8) -> Command {
    by(OPERATOR, Kind::RewardMarket).with(&RewardMarket { market, outcome, rewarded, reserved: 0 })
}

pub fn claim_made(owner: Key) -> Command {
    by(owner, Kind::ClaimMakerRewards)
}

fn link(first: Key, other: Key) -> Command {
    let other = id::account_id(&other);
    let payload = LinkOwners { other, evidence_hash: [9; 32], linked: 1, ..Record::zero() };
    Command { principal: RISK, ..by(first, Kind::LinkOwners) }.with(&payload)
}

/// The token is issued, season 1 runs, market 0 is rewarded, and the present hour ends in `seconds`.
fn season_world(seconds: i64) -> World {
    let mut world = issued_world();
    world.accept(open_season(1, SEASON_BUDGET));
    world.accept(reward(0, 0, 1));
    let hour_ns = (world.now_ns / HOUR + 1) * HOUR;
    world.wait(hour_ns - seconds * SECOND - world.now_ns);
    world
}

fn seconds(world: &mut World, count: i64) {
    for _ in 0..count {
        world.advance(SECOND);
        world.tick();
    }
}

/// `lots` on both sides, ten ticks from 10,000.
fn quote(world: &mut World, owner: Key, lots: i64) {
    world.accept(buy(owner, 0, 9_990, lots));
    world.accept(sell(owner, 0, 10_010, lots));
}

/// What the last batch rewarded: account and body.
fn rewarded(world: &World) -> Vec<(u32, MakerRewardedBody)> {
    let events = world.events().into_iter().filter(|(kind, _)| *kind == E::MakerRewarded);
    events.map(|(_, event)| (event.account, event.body_as())).collect()
}

fn hour(world: &World) -> RewardHourBody {
    let found = world.events().into_iter().find(|(kind, _)| *kind == E::RewardHourClosed);
    found.expect("an hour ended").1.body_as()
}

/// Micro-tokens that the makers of the last batch got by their scores.
fn tokens(world: &World) -> Vec<(u32, i64)> {
    rewarded(world).into_iter().map(|(account, body)| (account, body.by_score)).collect()
}

fn restores(world: &World) {
    let twin: Engine = Engine::restore(&world.engine.snapshot()).expect("a sound snapshot");
    assert_eq!(twin.state_hash(), world.engine.state_hash());
    assert_eq!(twin.next_due_ns(), world.engine.next_due_ns());
    Auditor::from_engine(&twin).expect("the auditor takes over").verify().expect("I15 holds");
    world.auditor.verify().expect("I15 holds");
}

#[test]
fn p11_4_an_hours_budget_goes_pro_rata_to_what_makers_show_near_the_middle() {
    let mut world = season_world(10);
    quote(&mut world, ALICE, 2_000);
    quote(&mut world, BOB, 1_000);
    seconds(&mut world, 9);
    restores(&world);
    seconds(&mut world, 1);
    let body = hour(&world);
    let season = Season { number: 1, budget: SEASON_BUDGET, start_ns: START, paid: 0 };
    assert_eq!(body.token_pot, season.emitted(body.hour_ns) - season.emitted(body.hour_ns - HOUR));
    let pot = body.token_pot - body.token_pot / 5;
    assert_eq!(tokens(&world), [(0, pot * 2 / 3), (1, pot / 3)]);
    let depth = |lots: i64| 10 * lots * 10_000 * 10;
    let bodies = rewarded(&world);
    assert_eq!((bodies[0].1.depth, bodies[0].1.seen), (depth(2_000), 10));
    assert_eq!((bodies[1].1.depth, bodies[1].1.seen), (depth(1_000), 10));
    // What nobody earned stays with the season; what was earned waits to be claimed.
    let given = pot * 2 / 3 + pot / 3;
    assert_eq!(world.engine.system_balance(line::SEASON, 0, MMT), SEASON_BUDGET - given);
    assert_eq!(world.engine.system_balance(line::SEASON, line::CLAIMABLE, MMT), given);
    restores(&world);
    world.refuse(claim_made(CAROL), Code::NOTHING_TO_CLAIM);
    world.refuse(Command { principal: BOB, ..claim_made(ALICE) }, Code::UNAUTHORIZED_SIGNER);
    world.accept(claim_made(ALICE));
    let claimed: RewardsBody = world.events()[0].1.body_as();
    assert_eq!((claimed.amount, claimed.asset, claimed.source), (pot * 2 / 3, MMT, line::SEASON));
    assert_eq!(world.free(ALICE, MMT), pot * 2 / 3);
    world.refuse(claim_made(ALICE), Code::NOTHING_TO_CLAIM);
    restores(&world);
}

#[test]
fn quoting_for_a_moment_counts_with_the_square_of_the_time() {
    let mut world = season_world(10);
    quote(&mut world, ALICE, 1_000);
    seconds(&mut world, 5);
    quote(&mut world, CAROL, 2_000);
    seconds(&mut world, 5);
    let found = tokens(&world);
    assert_eq!(rewarded(&world)[0].1.depth, rewarded(&world)[1].1.depth);
    let pot = hour(&world).token_pot * 4 / 5;
    assert!((found[0].1 - pot * 2 / 3).abs() <= 2 && (found[1].1 - pot / 3).abs() <= 2, "{found:?} of {pot}");
}

#[test]
fn what_is_hidden_on_one_side_small_or_beyond_fifty_basis_points_scores_nothing() {
    let mut world = season_world(10);
    // The middle is 10,000; a price of 9,949 is 51 bp away, 9,950 is 50.
    world.accept(buy(ALICE, 0, 9_999, 10));
    world.accept(sell(ALICE, 0, 10_001, 10));
    world.accept(buy(BOB, 0, 9_949, 5_000));
    world.accept(sell(BOB, 0, 10_050, 5_000));
    world.accept(buy(CAROL, 0, 9_950, 5_000));
    world.accept(place(CAROL, iceberg(0, side::SELL, 10_050, 50_000, 1_000)));
    seconds(&mut world, 10);
    let found = rewarded(&world);
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].0, found[0].1.depth), (2, 10 * 1_000 * 10_000 * 10));
}

#[test]
fn neither_a_mirror_nor_a_halted_market_is_sampled() {
    // The market, and the whole venue.
    for paused in [0, u32::MAX] {
        let mut world = season_world(10);
        quote(&mut world, SYSTEM, 1_000);
        quote(&mut world, ALICE, 1_000);
        seconds(&mut world, 4);
        let until_ns = world.now_ns + HOUR;
        let pause_id = world.accept(pause(paused, 1, until_ns)).value as u32;
        seconds(&mut world, 3);
        world.accept(resume(RESUMER_A, paused, pause_id));
        world.accept(resume(RESUMER_B, paused, pause_id));
        seconds(&mut world, 3);
        let found = rewarded(&world);
        assert_eq!(found.iter().map(|(account, body)| (*account, body.seen)).collect::<Vec<_>>(), [(0, 7)]);
    }
}

#[test]
fn t22_neither_a_second_account_nor_more_orders_gain_more_than_rounding() {
    let sums = [vec![(BOB, 3_000)], vec![(BOB, 1_000); 3], vec![(BOB, 1_000), (CAROL, 2_000)]].map(|parts| {
        let mut world = season_world(6);
        quote(&mut world, ALICE, 2_000);
        for (owner, lots) in parts {
            quote(&mut world, owner, lots);
        }
        seconds(&mut world, 6);
        tokens(&world).into_iter().filter(|(account, _)| *account != 0).map(|(_, amount)| amount).sum::<i64>()
    });
    assert_eq!(sums[0], sums[1]);
    assert!(sums[2] <= sums[0] && sums[0] - sums[2] <= 1, "{sums:?}");
}

#[test]
fn p8_8_the_maker_fund_goes_to_makers_by_the_same_score_in_the_asset_it_was_taken_in() {
    let mut world = season_world(10);
    quote(&mut world, ALICE, 2_000);
    quote(&mut world, BOB, 1_000);
    world.accept(sell(OPERATOR, 0, 10_000, 50_000));
    world.accept(buy(CAROL, 0, 10_000, 50_000));
    let fund = world.engine.system_balance(line::MAKER_FUND, 0, USDC);
    assert!(fund > 0);
    seconds(&mut world, 10);
    assert_eq!(hour(&world).fund_pot, fund);
    let shares: Vec<_> = rewarded(&world).iter().map(|(account, body)| (*account, body.fund)).collect();
    assert_eq!(shares, [(0, fund * 2 / 3), (1, fund / 3)]);
    let before = world.free(BOB, USDC);
    world.accept(claim_made(BOB));
    assert_eq!(world.kinds(), [E::MakerRewardsClaimed, E::MakerRewardsClaimed]);
    assert_eq!(world.free(BOB, USDC), before + fund / 3);
    restores(&world);
}

#[test]
fn a_long_book_is_sampled_in_continuations_and_counts_every_order() {
    let mut world = season_world(3);
    for _ in 0..100 {
        quote(&mut world, ALICE, 100);
    }
    seconds(&mut world, 3);
    let found = rewarded(&world);
    assert_eq!((found[0].1.depth, found[0].1.seen), (3 * 10_000 * 10_000 * 10, 3));
    restores(&world);
}

#[test]
fn only_the_operator_lists_books_of_one_quote_and_a_book_that_leaves_is_paid_with_its_hour() {
    let mut world = season_world(10);
    world.refuse(reward(9, 0, 1), Code::MARKET_NOT_FOUND);
    world.refuse(reward(0, 1, 1), Code::INVALID_OUTCOME);
    world.refuse(reward(0, 0, 2), Code::PARAMETER_OUT_OF_BOUNDS);
    world.refuse(reward(0, 0, 1), Code::ALREADY_EXISTS);
    world.refuse(reward(1, 0, 0), Code::INVALID_TRANSITION);
    world.refuse(Command { principal: ALICE, ..reward(1, 0, 1) }, Code::PERMISSION_DENIED);
    let padded = RewardMarket { market: 1, outcome: 0, rewarded: 1, reserved: 1 };
    world.refuse(by(OPERATOR, Kind::RewardMarket).with(&padded), Code::RESERVED_NOT_ZERO);
    let swapped =
        CreateMarket { base: USDC, quote: BTC, ..create_market(7, 10_000, 1_000, 0, 0).payload_as() };
    let other = world.accept(by(OPERATOR, Kind::CreateMarket).with(&swapped)).value as u32;
    world.refuse(reward(other, 0, 1), Code::PARAMETER_OUT_OF_BOUNDS);
    quote(&mut world, ALICE, 1_000);
    seconds(&mut world, 5);
    world.accept(reward(0, 0, 0));
    world.refuse(reward(0, 0, 0), Code::INVALID_TRANSITION);
    restores(&world);
    seconds(&mut world, 5);
    assert_eq!(rewarded(&world)[0].1.seen, 5);
    assert_eq!(world.engine.next_due_ns(), Some(START + 180 * DAY));
    restores(&world);
}

#[test]
fn outcome_books_count_absolute_distances_at_the_cheaper_side_and_go_when_their_market_closes() {
    let mut world = season_world(10);
    let market = with_outcomes(&mut world, 2);
    world.accept(reward(market, 0, 1));
    // The middle is 0.100; 50 bp are 0.005 of the payout.
    for (owner, away) in [(ALICE, 5), (BOB, 6)] {
        let mint = by(owner, Kind::MintSet).with(&OneSet { market, reserved: 0, lots: 2_000_000 });
        world.accept(mint);
        world.accept(buy(owner, market, 100 - away, 2_000_000));
        world.accept(sell(owner, market, 100 + away, 2_000_000));
    }
    seconds(&mut world, 10);
    let found = rewarded(&world);
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].0, found[0].1.depth), (0, 10 * 2_000_000 * 100));
    world.accept(by(OPERATOR, Kind::CloseMarket).with(&CloseMarket { market, reserved: 0 }));
    world.wait(HOUR);
    world.refuse(reward(market, 0, 0), Code::INVALID_TRANSITION);
    restores(&world);
}

#[test]
fn without_a_season_only_the_fund_is_shared_and_the_rest_of_a_season_goes_back() {
    let mut world: World = World::new();
    world.accept(reward(0, 0, 1));
    quote(&mut world, ALICE, 2_000);
    world.accept(sell(OPERATOR, 0, 10_000, 50_000));
    world.accept(buy(CAROL, 0, 10_000, 50_000));
    seconds(&mut world, 3);
    world.wait(HOUR);
    let twin = world.engine.maker_rewards(&id::account_id(&ALICE));
    assert_eq!(twin.len(), 1);
    assert_eq!(twin[0].0, USDC);
    world.accept(claim_made(ALICE));
    restores(&world);
    let mut season = season_world(10);
    quote(&mut season, ALICE, 1_000);
    seconds(&mut season, 10);
    let given = tokens(&season)[0].1;
    season.accept(reward(0, 0, 0));
    season.wait(180 * DAY);
    assert_eq!(season.engine.system_balance(line::SEASON, 0, MMT), 0);
    assert_eq!(season.engine.system_balance(line::SEASON, line::CLAIMABLE, MMT), given);
    season.accept(claim_made(ALICE));
    assert_eq!(season.free(ALICE, MMT), given);
    restores(&season);
}

/// A leveraged world with a season, in which the token's index is that of ETH, $20; PERP is rewarded.
fn priced_world(left_s: i64) -> World {
    let mut world = World::exchange();
    let token = world.accept(register_token(asset_flag::TOKEN)).value as u16;
    let update = UpdateAsset { feed: ETH_FEED, ..crate::leveraged::collateral(token, ETH_FEED) };
    world.govern(by(RISK, Kind::UpdateAsset).with(&update), 0);
    world.accept(open_season(1, SEASON_BUDGET));
    world.accept(reward(PERP, 0, 1));
    let hour_ns = (world.now_ns / HOUR + 2) * HOUR;
    world.wait(hour_ns - (left_s + 130) * SECOND - world.now_ns);
    for _ in 0..130 {
        world.second(BTC_PRICE, ETH_PRICE);
    }
    world
}

fn rest_of_hour(world: &mut World, seconds: i64) {
    for _ in 0..seconds {
        world.second(BTC_PRICE, ETH_PRICE);
    }
}

fn made(world: &World) -> Vec<(u32, i64, i64)> {
    let bodies = rewarded(world).into_iter();
    bodies.map(|(account, body)| (account, body.volume, body.by_volume)).collect()
}

#[test]
fn p8_7_volume_is_rewarded_at_a_fifth_of_its_fee_at_most_and_not_twice_in_a_minute() {
    let mut world = priced_world(90);
    for _ in 0..2 {
        world.accept(sell(BOB, PERP, 10_000, 2_000));
        world.accept(buy(ALICE, PERP, 10_000, 2_000));
        rest_of_hour(&mut world, 1);
    }
    world.accept(sell(BOB, PERP, 10_000, 900));
    world.accept(buy(ALICE, PERP, 10_000, 900));
    rest_of_hour(&mut world, 60);
    world.accept(sell(BOB, PERP, 10_000, 999));
    world.accept(buy(ALICE, PERP, 10_000, 999));
    restores(&world);
    rest_of_hour(&mut world, 28);
    // Of three fills above $100 within a minute the first counts: $200, fee 5 bp = $0.10, a fifth of it at $20 a token.
    assert_eq!(hour(&world).token_price, ETH_PRICE);
    assert_eq!(made(&world), [(1, 200_000_000, 1_000)]);
    restores(&world);
}

#[test]
fn round_trips_and_fills_between_linked_owners_score_nothing() {
    let mut world = priced_world(70);
    world.accept(sell(BOB, PERP, 10_000, 2_000));
    world.accept(buy(ALICE, PERP, 10_000, 2_000));
    world.accept(sell(ALICE, PERP, 10_000, 2_000));
    world.accept(buy(BOB, PERP, 10_000, 2_000));
    rest_of_hour(&mut world, 65);
    world.accept(link(BOB, CAROL));
    world.accept(sell(BOB, PERP, 10_000, 2_000));
    world.accept(buy(CAROL, PERP, 10_000, 2_000));
    rest_of_hour(&mut world, 5);
    assert_eq!(hour(&world).volume, 0);
    assert_eq!(made(&world), []);
    restores(&world);
}

#[test]
fn an_auditor_refuses_rewards_without_a_score_beyond_the_pot_or_claimed_twice() {
    let mut world = season_world(3);
    quote(&mut world, ALICE, 2_000);
    quote(&mut world, BOB, 1_000);
    seconds(&mut world, 2);
    world.advance(SECOND);
    let ended = || {
        Recording::of_run(&mut world.clone(), |world| {
            world.tick();
        })
    };
    type Paid = MakerRewardedBody;
    let breaks = |change: fn(&mut Paid)| ended().breaks("I15", |r| r.edit(E::MakerRewarded, change));
    breaks(|body| body.by_score += 1);
    breaks(|body| body.depth += 1_000_000_000);
    breaks(|body| body.volume = 1);
    breaks(|body| body.outcome = 1);
    breaks(|body| body.fund = 1);
    let breaks =
        |change: fn(&mut RewardHourBody)| ended().breaks("I15", |r| r.edit(E::RewardHourClosed, change));
    breaks(|body| body.token_pot += 1);
    breaks(|body| body.fund_pot += 1);
    breaks(|body| body.hour_ns += HOUR);
    breaks(|body| body.volume_pct += 1);
    breaks(|body| body.score_low /= 2);
    // An account that is paid a second time.
    ended().breaks("I15", |r| {
        let paid: Vec<usize> =
            (0..r.events.len()).filter(|&at| r.events[at].kind == E::MakerRewarded as u16).collect();
        r.events[paid[1]].account = r.events[paid[0]].account;
    });
    world.tick();
    Recording::of(&mut world, claim_made(ALICE))
        .breaks("I15", |r| r.edit(E::MakerRewardsClaimed, |body: &mut RewardsBody| body.amount -= 1));
}

fn book_of(makers: &mut Makers) {
    makers.books.insert((0, 0), Quoted::default());
}

proptest! {
    #[test]
    fn t21_whatever_one_trades_the_volume_reward_is_worth_less_than_a_fifth_of_the_fees(
        fills in proptest::collection::vec((0..4_u32, 0..4_u32, any::<bool>(), 1..1_000_000_i64, any::<bool>()), 1..60),
        price in 1_000..1_000_000_000_i64,
        pot in 1..SEASON_BUDGET,
        fee_bp in 3..28_i64,
    ) {
        let mut makers = Makers::default();
        book_of(&mut makers);
        let mut fees = 0;
        for (maker, taker, taker_buys, lots, rewarded) in fills {
            if maker == taker {
                continue;
            }
            let value = lots * 1_000;
            let fee = (value * fee_bp + 9_999) / 10_000;
            fees += fee;
            makers.count_fill((0, 0), &MadeFill { maker, taker, taker_buys, lots, value, fee, rewarded });
        }
        let volumes: i64 = makers.books[&(0, 0)].scores.values().map(|score| score.volume).sum();
        prop_assert_eq!(volumes, makers.total_volume);
        let mut closing = makers.take_scores();
        (closing.token_pot, closing.token_price, closing.volume_pct) = (pot, price, 20);
        let scores: Vec<Score> = closing.books[0].1.values().copied().collect();
        let rewards: i64 = scores.iter().map(|score| closing.earned(score).by_volume).sum();
        prop_assert!(rewards <= pot / 5);
        prop_assert!(i128::from(rewards) * i128::from(price) * 5 <= i128::from(fees) * 1_000_000);
    }

    #[test]
    fn t22_no_split_of_what_is_shown_among_accounts_gains_more_than_rounding(
        bids in proptest::collection::vec(1..50_000_i64, 1..8),
        asks in proptest::collection::vec(1..50_000_i64, 8),
        others in 1..100_000_i64,
        pot in 1..SEASON_BUDGET,
        samples in 1..50_u32,
    ) {
        let earns = |parts: &[(i64, i64)]| {
            let mut makers = Makers::default();
            book_of(&mut makers);
            for _ in 0..samples {
                makers.count_sample((0, 0), 99, depth_of(others, 20_000, 100, None));
                for (account, &(bids, asks)) in parts.iter().enumerate() {
                    makers.count_sample((0, 0), account as u32, depth_of(bids.min(asks), 20_000, 100, None));
                }
            }
            let mut closing: Closing = makers.take_scores();
            closing.token_pot = pot;
            let own = closing.books[0].1.iter().filter(|(&account, _)| account != 99);
            let scores: Vec<Score> = own.map(|(_, score)| *score).collect();
            scores.iter().map(|score| closing.earned(score).by_score).sum::<i64>()
        };
        let parts: Vec<(i64, i64)> = bids.into_iter().zip(asks).collect();
        let whole = parts.iter().fold((0, 0), |(bids, asks), part| (bids + part.0, asks + part.1));
        prop_assert!(earns(&parts) <= earns(&[whole]) + 1);
    }

    #[test]
    fn a_price_is_near_within_fifty_basis_points_on_either_side_alike(mid in 201..1_000_000_i64, away in 0..10_000_i64) {
        let near = away * 10_000 <= mid * 50;
        prop_assert_eq!(is_near(mid - away, 2 * mid, None), near);
        prop_assert_eq!(is_near(mid + away, 2 * mid, None), near);
    }
}
