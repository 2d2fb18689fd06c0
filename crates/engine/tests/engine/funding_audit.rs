//! The auditor of funding and settlement: I13, I04 and I08 go red on falsified batches (P4.8, P2.3.1).

use tradewind_engine::wire::command::*;
use tradewind_engine::wire::event::*;

use crate::audit::Recording;
use crate::leveraged::*;
use crate::support::*;

/// Longs quote above the index for more than an hour; the batch whose Tick charges them.
fn charged() -> (World, Recording) {
    let mut world: World = World::exchange();
    world.accept(sell(ALICE, PERP, BTC_TICKS + 5, 10_000));
    world.accept(buy(BOB, PERP, BTC_TICKS + 10, 4_000));
    world.accept(buy(CAROL, PERP, BTC_TICKS + 4, 120_000));
    world.accept(sell(ALICE, PERP, BTC_TICKS + 9, 120_000));
    for _ in 0..7_300 {
        world.advance(SECOND);
        world.quote_all(BTC_FEED, BTC_PRICE - 5_000_000);
        world.quote_all(ETH_FEED, ETH_PRICE);
        let recording = Recording::of_run(&mut world, |world| {
            world.tick();
        });
        let mut funded = recording.events.iter().filter(|event| {
            event.kind == EventKind::FundingIndexUpdated as u16
                && event.market == PERP
                && event.body_as::<FundingBody>().rate_ppb > 0
        });
        if funded.next().is_some() {
            return (world, recording);
        }
    }
    panic!("no hour is charged");
}

fn again(recording: &Recording) -> Recording {
    Recording {
        before: recording.before.clone(),
        commands: recording.commands.clone(),
        results: recording.results.clone(),
        events: recording.events.clone(),
        postings: recording.postings.clone(),
    }
}

#[test]
fn i13_an_hour_of_funding_moves_the_index_by_its_bounded_rate_once() {
    let (mut world, hour) = charged();
    assert_eq!(hour.of_kind(EventKind::FundingIndexUpdated).market, PERP);
    let kind = EventKind::FundingIndexUpdated;
    type Funding = FundingBody;
    again(&hour).breaks("I13", |r| r.edit(kind, |body: &mut Funding| body.rate_ppb += 1));
    again(&hour).breaks("I13", |r| r.edit(kind, |body: &mut Funding| body.index_low += 1));
    again(&hour).breaks("I13", |r| r.edit(kind, |body: &mut Funding| body.index_high += 1));
    again(&hour).breaks("I13", |r| r.edit(kind, |body: &mut Funding| body.delta_low += 1));
    again(&hour).breaks("I13", |r| r.edit(kind, |body: &mut Funding| body.delta_high -= 1));
    again(&hour).breaks("I13", |r| r.edit(kind, |body: &mut Funding| body.index_ticks += 1));
    again(&hour).breaks("I13", |r| r.edit(kind, |body: &mut Funding| body.samples = 14));
    // The rate is that of the samples: a mean of one percent, either way, is another rate.
    for mean_ppb in [10_000_000, -10_000_000] {
        again(&hour).breaks("I13", |r| {
            r.edit(kind, |body: &mut Funding| body.sample_sum_ppb = i64::from(body.samples) * mean_ppb);
        });
    }
    again(&hour).breaks("I13", |r| r.edit(kind, |body: &mut Funding| body.samples = 62));
    // Sum and count scaled alike have the same mean, and more samples than an hour has.
    again(&hour).breaks("I13", |r| {
        r.edit(kind, |body: &mut Funding| {
            (body.samples, body.sample_sum_ppb) = (120, 2 * body.sample_sum_ppb)
        });
    });
    // An hour that was sampled is not given up for want of samples, nor for a feed that was silent.
    for skipped in [funding_skip::FEW_SAMPLES, funding_skip::HALTED, funding_skip::FEED] {
        again(&hour).breaks("I13", |r| {
            r.edit(kind, |body: &mut Funding| {
                let wide = |low: u64, high: i64| (i128::from(high) << 64) | i128::from(low);
                let start = wide(body.index_low, body.index_high) - wide(body.delta_low, body.delta_high);
                (body.index_low, body.index_high) = (start as u64, (start >> 64) as i64);
                (body.delta_low, body.delta_high, body.rate_ppb) = (0, 0, 0);
                body.skipped = skipped;
            });
        });
    }
    again(&hour).breaks("I13", |r| r.edit(kind, |body: &mut Funding| body.skipped = funding_skip::FEED));
    again(&hour).breaks("I13", |r| r.edit(kind, |body: &mut Funding| body.next_due_ns += 1));
    again(&hour).breaks("I13", |r| r.edit(kind, |body: &mut Funding| body.next_due_ns -= 3_600 * SECOND));
    // A rate beyond its cap, consistent in itself.
    again(&hour).breaks("I13", |r| {
        r.edit(kind, |body: &mut Funding| {
            let charge = |rate: i64| i128::from(rate) * i128::from(body.index_ticks) * 10;
            let wide = |low: u64, high: i64| (i128::from(high) << 64) | i128::from(low);
            let rate = 1_000 * body.rate_ppb.max(10_000);
            let start = wide(body.index_low, body.index_high) - charge(body.rate_ppb);
            let (delta, index) = (charge(rate), start + charge(rate));
            (body.delta_low, body.delta_high) = (delta as u64, (delta >> 64) as i64);
            (body.index_low, body.index_high) = (index as u64, (index >> 64) as i64);
            body.rate_ppb = rate;
        });
    });
    // The same hour again, in the next second.
    let later = Recording::of_run(&mut world, |world| {
        world.advance(SECOND);
        world.tick();
    });
    later.breaks("I13", |r| {
        let body: Funding = hour.of_kind(kind).body_as();
        if r.events.is_empty() {
            r.events.push(hour.of_kind(kind));
            let command = r.commands[0];
            let event = &mut r.events[0];
            (event.seq, event.time_ns, event.index) = (command.seq, command.time_ns, 0);
            (event.posting_count, event.first_posting) = (0, 0);
            (r.results[0].event_count, r.results[0].first_event) = (1, 0);
        } else {
            r.push_event(kind, &body);
            r.events.last_mut().expect("just added").market = PERP;
        }
    });
}

#[test]
fn i13_i26_a_fill_pays_the_funding_that_is_owed_through_the_line_of_the_market() {
    let (mut world, _) = charged();
    let touched = || Recording::of(&mut world.clone(), sell(BOB, PERP, BTC_TICKS + 4, 1_000));
    let paid = touched().events.iter().any(|event| {
        event.kind == EventKind::PositionChanged as u16 && event.body_as::<PositionBody>().funding_paid > 0
    });
    assert!(paid, "a long pays");
    let kind = EventKind::PositionChanged;
    touched().breaks("I26", |r| r.edit(kind, |body: &mut PositionBody| body.funding_paid += 1));
    touched().breaks("I26", |r| r.edit(kind, |body: &mut PositionBody| body.funding_index_low += 1));
    touched().breaks("I26", |r| r.edit(kind, |body: &mut PositionBody| body.funding_index_high += 1));
    // A micro of what is paid goes to insurance, or stays with the payer.
    touched().breaks("I11", |r| {
        r.posting(0x87, USDC).amount -= 1;
        r.posting(0x85, USDC).amount += 1;
    });
    touched().breaks("I11", |r| {
        r.posting(0x87, USDC).amount -= 1;
        r.posting(0, USDC).amount += 1;
    });
    world.tick();
}

/// ALICE short and BOB long in a closed market, an hour after its price has begun to move.
fn closed() -> World {
    let mut world: World = World::exchange();
    world.accept(sell(ALICE, PERP, BTC_TICKS + 5, 4_000));
    world.accept(buy(BOB, PERP, BTC_TICKS + 10, 4_000));
    for second in 0..3_700 {
        world.second(BTC_PRICE - 1_000 * second, ETH_PRICE);
    }
    for _ in 0..2 {
        world.accept(by(OPERATOR, Kind::CloseMarket).with(&CloseMarket { market: PERP, reserved: 0 }));
    }
    world
}

#[test]
fn i04_i08_i13_a_closed_market_settles_everybody_at_the_mean_of_its_last_hour() {
    let world = closed();
    let settled = || Recording::of(&mut world.clone(), one_market(SYSTEM, Kind::SettleMarket, PERP));
    let kind = EventKind::PositionSettled;
    type Settled = PositionBody;
    settled().breaks("I26", |r| r.edit(kind, |body: &mut Settled| body.lots = 1));
    settled().breaks("I26", |r| r.edit(kind, |body: &mut Settled| body.cost = 1));
    settled().breaks("I26", |r| r.edit(kind, |body: &mut Settled| body.realised += 1));
    settled().breaks("I26", |r| r.edit(kind, |body: &mut Settled| body.funding_paid += 1));
    settled().breaks("I26", |r| r.edit(kind, |body: &mut Settled| body.funding_index_low += 1));
    settled().breaks("I26", |r| r.edit(kind, |body: &mut Settled| body.cause = position_cause::TRADE));
    // The first settles a tick higher: not the mean of the hour.
    settled().breaks("I08", |r| r.edit(kind, |body: &mut Settled| body.realised += 4_000 * 10));
    // Only the second does: not the price of the first.
    settled().breaks("I26", |r| {
        let place = r.events.iter().rposition(|event| event.kind == kind as u16).expect("two settle");
        let mut body: Settled = r.events[place].body_as();
        body.realised += 4_000 * 10;
        r.events[place].body.copy_from_slice(bytemuck::bytes_of(&body));
    });
    // Somebody is forgotten.
    settled().breaks("I04", |r| {
        let place = r.events.iter().rposition(|event| event.kind == kind as u16).expect("two settle");
        let event = r.events.remove(place);
        let first = event.first_posting as usize;
        r.postings.drain(first..first + event.posting_count as usize);
        for later in r.events.iter_mut().skip(place) {
            later.first_posting = later.first_posting.saturating_sub(u32::from(event.posting_count));
        }
        r.results[0].event_count -= 1;
        r.events.iter_mut().enumerate().for_each(|(index, event)| event.index = index as u16);
    });
    let kind = EventKind::MarketSettled;
    settled().breaks("I26", |r| r.edit(kind, |body: &mut StatusBody| body.status = 4));
    settled().breaks("I26", |r| r.edit(kind, |body: &mut StatusBody| body.previous = 3));
    settled().breaks("I04", |r| {
        // A micro of what the loser pays stays on the market's line.
        r.posting(0, USDC).amount -= 1;
        r.posting(0x87, USDC).amount += 1;
    });
    // A market that was never closed.
    let mut open: World = World::exchange();
    open.tick();
    let before = open.auditor.clone();
    assert!(before.line(0, 0, USDC, 0) > 0);
    settled().breaks("I26", |r| {
        let event = r.of_kind(EventKind::PositionSettled);
        let time_ns = open.now_ns;
        (r.before, r.events) = (before, vec![Event { index: 0, posting_count: 0, time_ns, seq: 0, ..event }]);
        let seq = r.before.seq() + 1;
        r.events[0].seq = seq;
        (r.commands[0].seq, r.commands[0].time_ns, r.results[0].seq) = (seq, time_ns, seq);
        (r.results[0].event_count, r.results[0].first_event) = (1, 0);
        r.commands.truncate(1);
        r.results.truncate(1);
        r.postings.clear();
    });
}
