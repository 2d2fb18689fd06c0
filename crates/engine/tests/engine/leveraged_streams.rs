//! Random runs over leveraged markets: orders of all types, positions, money, prices that go and stop, hostile input.

use proptest::prelude::*;
use tradewind_engine::wire::command::*;
use tradewind_engine::wire::Record;
use tradewind_engine::Book;

use crate::leveraged::*;
use crate::prices::publish;
use crate::support::*;

/// What happens next. Prices and moments are relative, so that a move means the same wherever it stands.
#[derive(Clone, Debug)]
pub enum Move {
    Send(Box<Command>),
    /// An order at a distance in ticks from where its market is expected.
    Order {
        owner: Key,
        sub: u8,
        distance: i64,
        order: PlaceOrder,
    },
    Replace {
        owner: Key,
        order: u64,
        market: u32,
        distance: i64,
        lots: i64,
    },
    Wait(i64),
    /// BTC goes by so many bp in so many steps of two seconds, in which all sources publish and time is told.
    Go {
        bp: i64,
        steps: i64,
    },
    /// One source publishes: how far from the truth in ppm, how old, how sure.
    Quote {
        source: u8,
        feed: u32,
        off_ppm: i64,
        age_ns: i64,
        confidence: i64,
    },
    Pause {
        market: u32,
        level: u8,
        seconds: i64,
    },
    Tick,
}

fn owner() -> impl Strategy<Value = Key> {
    prop_oneof![6 => Just(ALICE), 6 => Just(BOB), 5 => Just(CAROL), 1 => Just(OPERATOR), 1 => Just(SYSTEM)]
}

fn sub() -> impl Strategy<Value = u8> {
    prop_oneof![6 => Just(0_u8), 6 => Just(1_u8), 6 => Just(2_u8), 1 => 3..6_u8]
}

fn market() -> impl Strategy<Value = u32> {
    prop_oneof![12 => Just(PERP), 6 => Just(PERP_ETH), 1 => 2..4_u32]
}

fn hostile() -> impl Strategy<Value = i64> {
    prop_oneof![
        Just(0_i64),
        Just(-1),
        Just(i64::MAX),
        Just(i64::MIN),
        Just(i64::from(i32::MAX)),
        Just(1 << 40),
        Just(4_000_000_000_000_000_000),
        any::<i64>(),
    ]
}

fn lots() -> impl Strategy<Value = i64> {
    prop_oneof![
        8 => 10..2_000_i64,
        12 => 2_000..100_000_i64,
        4 => 100_000..2_000_000_i64,
        1 => hostile(),
    ]
}

fn distance() -> impl Strategy<Value = i64> {
    prop_oneof![20 => -60..60_i64, 4 => -900..900_i64, 1 => hostile()]
}

fn placing() -> impl Strategy<Value = Move> {
    let form = (
        prop_oneof![24 => Just(order_type::LIMIT), 6 => Just(order_type::MARKET), 4 => 2..9_u8],
        prop_oneof![14 => Just(0_u8), 4 => Just(1_u8), 2 => Just(2_u8), 2 => Just(3_u8)],
        prop_oneof![
            14 => Just(0_u16),
            2 => Just(order_flag::POST_ONLY),
            4 => Just(order_flag::REDUCE_ONLY),
            1 => any::<u16>()
        ],
        0..5_u8,
        prop_oneof![10 => Just(0_u16), 3 => 100..1_100_u16, 1 => any::<u16>()],
        prop_oneof![3 => Just(0_i64), 2 => 1..200_i64, 1 => hostile()],
    );
    (owner(), sub(), market(), 0..2_u8, distance(), lots(), form).prop_map(
        |(owner, sub, market, side, distance, lots, form)| {
            let (order_type, time_in_force, order_flags, self_trade_prevention, leverage_e2, extra) = form;
            let order = PlaceOrder {
                order_type,
                time_in_force: if order_type == order_type::MARKET { 1 } else { time_in_force },
                order_flags,
                self_trade_prevention,
                leverage_e2,
                display_lots: if order_type == order_type::ICEBERG { lots / 7 + extra % 2 } else { 0 },
                trail: if order_type == order_type::TRAILING_STOP { extra } else { 0 },
                trigger_price: if matches!(order_type, 2..=4) { extra } else { 0 },
                ..limit(market, side, 0, lots)
            };
            Move::Order { owner, sub, distance, order }
        },
    )
}

fn changing() -> impl Strategy<Value = Move> {
    let number = || prop_oneof![12 => 1..60_u64, 6 => 60..300_u64, 1 => any::<u64>()];
    prop_oneof![
        6 => (owner(), number()).prop_map(|(owner, order)| Move::Send(Box::new(cancel(owner, order)))),
        6 => (owner(), number(), market(), distance(), lots())
            .prop_map(|(owner, order, market, distance, lots)| Move::Replace { owner, order, market, distance, lots }),
        1 => (owner(), market()).prop_map(|(owner, market)| Move::Send(Box::new(cancel_all(owner, market)))),
        4 => (owner(), sub(), market(), prop_oneof![3 => Just(0_i64), 1 => lots()]).prop_map(
            |(owner, sub, market, lots)| {
                Move::Send(Box::new(Command { sub, ..close_position(owner, market, lots, 0) }))
            }
        ),
    ]
}

fn amount() -> impl Strategy<Value = i64> {
    prop_oneof![6 => 1_000_000..STAKE, 3 => 1..5_000_000_000_i64, 1 => hostile()]
}

fn money() -> impl Strategy<Value = Move> {
    let command = prop_oneof![
        3 => (owner(), sub(), 1..3_u8, amount())
            .prop_map(|(owner, sub, market, amount)| adjust_margin(owner, sub, u32::from(market) - 1, amount)),
        4 => (owner(), sub(), sub(), 0..3_u16, amount())
            .prop_map(|(owner, sub, to, asset, amount)| transfer(owner, sub, to, asset, amount)),
        3 => (owner(), sub(), amount()).prop_map(|(owner, sub, amount)| {
            let payload = RequestWithdrawal { asset: USDC, reserved: 0, reserved2: 0, amount, address_hash: [0; 32] };
            Command { sub, ..by(owner, Kind::RequestWithdrawal).with(&payload) }
        }),
        1 => (1..9_u64, 0..2_u8).prop_map(|(ticket, ok)| {
            by(SYSTEM, Kind::ConfirmWithdrawal).with(&ConfirmWithdrawal { ticket, ok, ..ConfirmWithdrawal::zero() })
        }),
        2 => (owner(), sub(), 0..3_u16, amount(), any::<u64>()).prop_map(|(owner, sub, asset, amount, id)| {
            let mut external_id = [9; 32];
            external_id[..8].copy_from_slice(&id.to_le_bytes());
            Command { sub, ..deposit(owner, asset, amount, external_id) }
        }),
        1 => (owner(), amount()).prop_map(|(owner, amount)| {
            by(owner, Kind::FundInsurance).with(&FundInsurance { asset: USDC, reserved: 0, reserved2: 0, amount })
        }),
    ];
    command.prop_map(|command| Move::Send(Box::new(command)))
}

fn running() -> impl Strategy<Value = Move> {
    let target = (owner(), sub(), market());
    let command = prop_oneof![
        4 => (target, 0..3_usize).prop_map(|((owner, target_sub, market), who)| {
            let target = tradewind_engine::id::account_id(&owner);
            let payload = Liquidate { target, market, target_sub, reserved: 0, reserved2: 0 };
            by([SYSTEM, KEEPERS[0], ALICE][who], Kind::Liquidate).with(&payload)
        }),
        2 => market().prop_map(|market| one_market(ALICE, Kind::CrankFunding, market)),
        1 => (market(), 100..1_200_u32, 0..4_u32).prop_map(|(market, leverage, version)| {
            let payload = UpdateMarketRisk {
                market,
                config_version: version,
                field_mask: 1,
                max_leverage_e2: leverage,
                ..UpdateMarketRisk::zero()
            };
            by(RISK, Kind::UpdateMarketRisk).with(&payload)
        }),
        2 => (0..2_usize, prop_oneof![Just(PERP), Just(ALL_MARKETS)], 1..6_u32)
            .prop_map(|(who, market, id)| resume([RESUMER_A, RESUMER_B][who], market, id)),
    ];
    command.prop_map(|command| Move::Send(Box::new(command)))
}

fn pricing() -> impl Strategy<Value = Move> {
    prop_oneof![
        10 => (-60..60_i64, 1..3_i64).prop_map(|(bp, steps)| Move::Go { bp, steps }),
        1 => (-1_800..1_800_i64, 8..24_i64).prop_map(|(bp, steps)| Move::Go { bp, steps }),
        3 => (0..4_u8, 0..3_u32, -20_000..20_000_i64, 0..20 * SECOND, 0..5_000_000_i64).prop_map(
            |(source, feed, off_ppm, age_ns, confidence)| Move::Quote { source, feed, off_ppm, age_ns, confidence }
        ),
        1 => (0..3_u8, 0..2_u32, hostile(), hostile(), hostile()).prop_map(
            |(source, feed, off_ppm, age_ns, confidence)| Move::Quote { source, feed, off_ppm, age_ns, confidence }
        ),
        4 => Just(Move::Tick),
        4 => (0..SECOND / 2).prop_map(Move::Wait),
    ]
}

/// What keeps a market still for a while: pauses, and time in which nobody publishes.
fn stopping() -> impl Strategy<Value = Move> {
    let level = prop_oneof![20 => Just(1_u8), 1 => Just(2_u8)];
    prop_oneof![
        2 => (prop_oneof![Just(PERP), Just(ALL_MARKETS)], level, 1..20_i64)
            .prop_map(|(market, level, seconds)| Move::Pause { market, level, seconds }),
        2 => (0..100 * SECOND).prop_map(Move::Wait),
        1 => (0..2 * HOUR).prop_map(Move::Wait),
    ]
}

pub fn any_move() -> impl Strategy<Value = Move> {
    prop_oneof![
        600 => placing(),
        200 => changing(),
        100 => money(),
        70 => running(),
        200 => pricing(),
        2 => stopping(),
    ]
}

pub fn any_moves(length: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Move>> {
    proptest::collection::vec(any_move(), length)
}

/// Where a run stands: its clock, the truth about prices, the numbers of publications and keys.
#[derive(Clone, Debug)]
pub struct Stage {
    pub now_ns: i64,
    btc: i64,
    published: u64,
    keys: u64,
}

impl Stage {
    pub fn of<B: Book>(world: &World<B>) -> Self {
        let btc = world.index(BTC_FEED).max(1_000_000);
        Stage { now_ns: world.now_ns, btc, published: 1 << 40, keys: 0 }
    }

    fn ticks(&self, market: u32) -> i64 {
        if market == PERP {
            self.btc / 10_000
        } else {
            ETH_PRICE / 1_000
        }
    }

    fn quote(&mut self, source: Key, feed: u32, off_ppm: i64, age_ns: i64, confidence: i64) -> Command {
        self.published += 1;
        let truth = if feed == BTC_FEED { self.btc } else { ETH_PRICE };
        let value = truth.saturating_add((i128::from(truth) * i128::from(off_ppm) / 1_000_000) as i64);
        let source_time_ns = self.now_ns.saturating_sub(age_ns);
        let request = PublishPrice {
            feed,
            value,
            confidence,
            source_time_ns,
            source_seq: self.published,
            ..Record::zero()
        };
        publish(source, request)
    }

    /// A fresh client key, so that the command is not a repetition.
    fn keyed(&mut self, command: Command) -> Command {
        self.keys += 1;
        let mut client_key = [0xDD; 16];
        client_key[..8].copy_from_slice(&self.keys.to_le_bytes());
        Command { client_key, ..command }
    }

    /// The moves as batches of up to seven commands, each with the moment at which it is sequenced.
    pub fn batches(&mut self, moves: &[Move]) -> Vec<(i64, Vec<Command>)> {
        let mut batches: Vec<(i64, Vec<Command>)> = Vec::new();
        for next in moves {
            for command in self.commands(next, &mut batches) {
                let command = self.keyed(command);
                match batches.last_mut() {
                    Some((time_ns, open)) if *time_ns == self.now_ns && open.len() < 7 => open.push(command),
                    _ => batches.push((self.now_ns, vec![command])),
                }
            }
        }
        batches
    }

    fn commands(&mut self, next: &Move, batches: &mut Vec<(i64, Vec<Command>)>) -> Vec<Command> {
        match next {
            Move::Send(command) => vec![**command],
            Move::Order { owner, sub, distance, order } => {
                let around = self.ticks(order.market).saturating_add(*distance);
                let price = if order.order_type == order_type::MARKET { 0 } else { around };
                let trigger_price = match order.trigger_price {
                    0 => 0,
                    away => self.ticks(order.market).saturating_add(if order.side == 0 {
                        away
                    } else {
                        away.saturating_neg()
                    }),
                };
                vec![Command { sub: *sub, ..place(*owner, PlaceOrder { price, trigger_price, ..*order }) }]
            }
            Move::Replace { owner, order, market, distance, lots } => {
                vec![replace(*owner, *order, self.ticks(*market).saturating_add(*distance), *lots)]
            }
            Move::Wait(wait_ns) => {
                self.now_ns += wait_ns;
                Vec::new()
            }
            Move::Pause { market, level, seconds } => {
                vec![pause(*market, *level, self.now_ns + seconds * SECOND)]
            }
            Move::Tick => vec![by(SYSTEM, Kind::Tick)],
            Move::Quote { source, feed, off_ppm, age_ns, confidence } => {
                let who = SOURCES.get(*source as usize).copied().unwrap_or(ALICE);
                vec![self.quote(who, *feed, *off_ppm, *age_ns, *confidence)]
            }
            Move::Go { bp, steps } => {
                let from = self.btc;
                let to = (from + from * bp / 10_000).clamp(20_000_000, 500_000_000);
                for step in 1..=*steps {
                    self.now_ns += 2 * SECOND;
                    self.btc = from + (to - from) * step / steps;
                    let mut commands = Vec::new();
                    for feed in [BTC_FEED, ETH_FEED] {
                        commands.extend(SOURCES.map(|source| self.quote(source, feed, 0, 0, 0)));
                    }
                    commands.push(by(SYSTEM, Kind::Tick));
                    let commands = commands.into_iter().map(|command| self.keyed(command)).collect();
                    batches.push((self.now_ns, commands));
                }
                Vec::new()
            }
        }
    }
}
