//! Random commands and runs: most of them sensible, with fields that are now and then hostile.

use proptest::prelude::*;
use tradewind_engine::wire::command::*;
use tradewind_engine::wire::Record;
use tradewind_engine::{id, roles, RULES_VERSION};

use super::*;

/// What a random run does next: a command, or time that passes before the next batch.
#[derive(Clone)]
pub enum Step {
    Send(Box<Command>),
    Wait(i64),
}

/// One line a step, so that a shrunk failure can be read.
impl std::fmt::Debug for Step {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let command = match self {
            Step::Wait(wait_ns) => return write!(formatter, "Wait({wait_ns})"),
            Step::Send(command) => command,
        };
        let (who, key, until) = (command.principal[0], command.client_key[0], command.valid_until_ns);
        match Kind::from_code(command.kind, command.op) {
            Some(Kind::PlaceOrder) => {
                write!(formatter, "{who:X} key {key} until {until} {:?}", command.payload_as::<PlaceOrder>())
            }
            Some(Kind::ReplaceOrder) => {
                write!(
                    formatter,
                    "{who:X} key {key} until {until} {:?}",
                    command.payload_as::<ReplaceOrder>()
                )
            }
            Some(kind) => write!(formatter, "{who:X} key {key} {} {:?}", kind.name(), &command.payload[..24]),
            None => write!(formatter, "kind {:#x}", command.kind),
        }
    }
}

fn owner() -> impl Strategy<Value = Key> {
    prop_oneof![6 => Just(ALICE), 6 => Just(BOB), 4 => Just(CAROL), 1 => Just(OPERATOR), 2 => Just(SYSTEM)]
}

fn market() -> impl Strategy<Value = u32> {
    prop_oneof![12 => Just(0_u32), 6 => Just(1_u32), 1 => 2..4_u32]
}

fn hostile_i64() -> impl Strategy<Value = i64> {
    prop_oneof![
        Just(0_i64),
        Just(-1),
        Just(1),
        Just(i64::MAX),
        Just(i64::MIN),
        Just(i64::from(i32::MAX)),
        Just(1 << 40),
        Just((1 << 40) + 1),
        Just(4_000_000_000_000_000_000),
        any::<i64>(),
    ]
}

fn price() -> impl Strategy<Value = i64> {
    prop_oneof![30 => 95..106_i64, 6 => 40..180_i64, 1 => hostile_i64()]
}

fn lots() -> impl Strategy<Value = i64> {
    prop_oneof![30 => 1..40_i64, 3 => 1_000..100_000_i64, 1 => hostile_i64()]
}

fn order_id() -> impl Strategy<Value = u64> {
    prop_oneof![20 => 1..60_u64, 10 => 60..400_u64, 1 => any::<u64>()]
}

fn placing() -> impl Strategy<Value = Command> {
    let form = (
        prop_oneof![10 => Just(order_type::LIMIT), 2 => Just(order_type::MARKET), 1 => Just(9_u8)],
        prop_oneof![12 => Just(0_u8), 3 => Just(1_u8), 3 => Just(2_u8), 4 => Just(3_u8), 1 => Just(7_u8)],
        prop_oneof![10 => Just(0_u16), 2 => Just(order_flag::POST_ONLY), 1 => any::<u16>()],
        0..5_u8,
        prop_oneof![8 => 0..200 * SECOND, 1 => hostile_i64()],
        proptest::bool::weighted(0.7),
    );
    (owner(), market(), 0..2_u8, price(), lots(), form).prop_map(
        |(owner, market, side, price, lots, form)| {
            let (order_type, time_in_force, order_flags, self_trade_prevention, expiry, passive) = form;
            // Most limit orders are passive, so that books grow deep enough for sweeps.
            let shift = if passive { 12 - 24 * i64::from(side == side::BUY) } else { 0 };
            let price = price.saturating_add(shift);
            let priced = order_type != order_type::MARKET || expiry % 16 == 0;
            let time_in_force =
                if order_type == order_type::MARKET { time_in_force | 1 } else { time_in_force };
            let gtd = time_in_force == time_in_force::GTD;
            place(
                owner,
                PlaceOrder {
                    order_type,
                    time_in_force,
                    order_flags,
                    self_trade_prevention,
                    price: if priced { price } else { 0 },
                    expiry_ns: if gtd { BASE.saturating_add(expiry) } else { 0 },
                    ..limit(market, side, price, lots)
                },
            )
        },
    )
}

/// Orders that wait, come in parts or hang together.
fn special() -> impl Strategy<Value = Command> {
    let form = (
        prop_oneof![4 => 2..7_u8, 1 => Just(order_type::LIMIT), 1 => Just(order_type::MARKET)],
        prop_oneof![8 => Just(trigger_source::LAST_TRADE), 1 => 0..4_u8],
        prop_oneof![6 => 90..111_i64, 1 => hostile_i64()],
        prop_oneof![8 => 1..12_i64, 1 => hostile_i64()],
        prop_oneof![3 => Just(0_u64), 2 => order_id()],
        prop_oneof![8 => Just(0_u16), 1 => any::<u16>()],
        prop_oneof![6 => Just(0_u8), 1 => 0..4_u8],
    );
    let order = (owner(), market(), 0..2_u8, price(), lots(), form);
    order.prop_map(|(owner, market, side, price, lots, form)| {
        let (order_type, trigger_source, trigger_price, small, linked_order, flags, time_in_force) = form;
        let waits = (order_type::STOP..=order_type::TRAILING_STOP).contains(&order_type);
        let trails = order_type == order_type::TRAILING_STOP;
        let link = if linked_order == 0 { 0 } else { order_flag::OCO };
        let at_market = waits && order_type != order_type::STOP_LIMIT && small % 3 != 0;
        place(
            owner,
            PlaceOrder {
                order_type,
                time_in_force,
                trigger_source: if waits { trigger_source } else { 0 },
                trigger_price: if waits && !trails { trigger_price } else { 0 },
                trail: if trails { small } else { 0 },
                display_lots: if order_type == order_type::ICEBERG { small } else { 0 },
                linked_order,
                order_flags: link | flags,
                price: if at_market || order_type == order_type::MARKET { 0 } else { price },
                expiry_ns: if time_in_force == time_in_force::GTD {
                    BASE.saturating_add(small.saturating_mul(SECOND))
                } else {
                    0
                },
                ..limit(market, side, price, lots)
            },
        )
    })
}

/// Time-sliced orders, and headers and items of batches.
fn in_parts() -> impl Strategy<Value = Command> {
    let slices = (1..6_u16, 1..4_u32, prop_oneof![3 => Just(0_i64), 1 => price()]);
    prop_oneof![
        4 => (owner(), market(), 0..2_u8, lots(), slices).prop_map(
            |(owner, market, side, lots, (slices, interval_s, limit))| {
                let payload = PlaceTwap { limit, ..twap(market, side, lots, slices, interval_s) };
                by(owner, Kind::PlaceTwap).with(&payload)
            }
        ),
        2 => (0..3_u8).prop_map(|count| {
            by(ALICE, Kind::PlaceBatch).with(&PlaceBatch { count, ..PlaceBatch::zero() })
        }),
        3 => (market(), 0..2_u8, price(), lots()).prop_map(|(market, side, price, lots)| {
            by(ALICE, Kind::BatchItem).with(&limit(market, side, price, lots))
        }),
    ]
}

fn changing() -> impl Strategy<Value = Command> {
    let by_key = || prop_oneof![1 => Just([0_u8; 16]), 1 => any::<u8>().prop_map(|n| [n; 16])];
    prop_oneof![
        10 => (owner(), order_id(), by_key()).prop_map(|(owner, order, target_key)| {
            let order = if target_key[0] % 4 == 1 { 0 } else { order };
            by(owner, Kind::CancelOrder).with(&CancelOrder { order, target_key })
        }),
        10 => (owner(), order_id(), price(), lots())
            .prop_map(|(owner, order, price, total)| replace(owner, order, price, total)),
        1 => (owner(), market(), prop_oneof![Just(ALL), 0..3_u8], prop_oneof![Just(ALL), 0..3_u8]).prop_map(
            |(owner, market, sub, side)| {
                let market = if market == 3 { ALL_MARKETS } else { market };
                by(owner, Kind::CancelAll).with(&CancelAll { market, sub, side, reserved: 0 })
            }
        ),
        1 => (owner(), prop_oneof![Just(0_u32), 5..20_u32, any::<u32>()]).prop_map(|(owner, window_s)| {
            by(owner, Kind::SetCancelAllAfter).with(&SetCancelAllAfter { window_s, reserved: 0 })
        }),
    ]
}

fn amount() -> impl Strategy<Value = i64> {
    prop_oneof![4 => 1..FUNDS, 4 => 1..5_000_000_i64, 1 => hostile_i64()]
}

fn money() -> impl Strategy<Value = Command> {
    let small_id = || (0..2_u8).prop_map(|n| [n; 32]);
    prop_oneof![
        (owner(), 0..3_u16, amount(), any::<u64>()).prop_map(|(owner, asset, amount, id)| {
            let mut external_id = [7; 32];
            external_id[..8].copy_from_slice(&(id % 64).to_le_bytes());
            deposit(owner, asset, amount, external_id)
        }),
        (owner(), 0..2_u8, 0..3_u8, 0..3_u16, amount()).prop_map(|(owner, sub, to_sub, asset, amount)| {
            let payload = Transfer { to_sub, reserved: 0, asset, reserved2: 0, amount };
            Command { sub, ..by(owner, Kind::Transfer).with(&payload) }
        }),
        (owner(), 0..3_u8).prop_map(|(owner, index)| {
            let payload = OpenSubAccount { index, margin_mode: 0, reserved: 0, reserved2: 0 };
            by(owner, Kind::OpenSubAccount).with(&payload)
        }),
        (owner(), 0..2_u16, small_id(), any::<bool>()).prop_map(|(owner, asset, address_hash, list)| {
            let kind = if list { Kind::ListAddress } else { Kind::UnlistAddress };
            by(owner, kind).with(&ListAddress { asset, reserved: 0, reserved2: 0, address_hash })
        }),
        (owner(), 0..2_u16, amount(), small_id()).prop_map(|(owner, asset, amount, address_hash)| {
            let payload = RequestWithdrawal { asset, reserved: 0, reserved2: 0, amount, address_hash };
            by(owner, Kind::RequestWithdrawal).with(&payload)
        }),
        (owner(), 1..5_u64).prop_map(|(owner, ticket)| {
            by(owner, Kind::CancelWithdrawal).with(&CancelWithdrawal { ticket })
        }),
        (1..6_u64, 0..2_u8).prop_map(|(ticket, ok)| {
            let payload = ConfirmWithdrawal { ticket, ok, ..ConfirmWithdrawal::zero() };
            by(SYSTEM, Kind::ConfirmWithdrawal).with(&payload)
        }),
    ]
}

fn governing() -> impl Strategy<Value = Command> {
    let paused = || prop_oneof![1 => Just(0_u32), 1 => Just(1_u32), 2 => Just(ALL_MARKETS)];
    let governor =
        || prop_oneof![3 => Just(EMERGENCY), 3 => Just(RESUMER_A), 3 => Just(RESUMER_B), 1 => Just(ALICE)];
    prop_oneof![
        5 => (governor(), paused(), 0..4_u8, 1..400_i64).prop_map(|(who, market, level, seconds)| {
            let mask = if level == 0 { 1 << (seconds % 8) } else { 0 };
            masked_pause(who, market, (level, mask), BASE + seconds * SECOND)
        }),
        6 => (governor(), paused(), 1..4_u32)
            .prop_map(|(who, market, pause_id)| { resume(who, market, pause_id) }),
        1 => (0..3_u32, 1..3_u32, any::<u32>(), prop_oneof![0..28_000_000_u32, 0..200_000_000_u32]).prop_map(|(market, version, mask, fee)| {
            let payload = UpdateMarket {
                market,
                config_version: version,
                field_mask: mask % 80,
                band_bp: 9_000,
                slippage_bp: 100,
                taker_fee_e6bp: fee,
                maker_fee_e6bp: fee / 3,
                min_notional: 1,
                max_notional: 1_000_000_000_000,
            };
            by(RISK, Kind::UpdateMarket).with(&payload)
        }),
        1 => (0..12_u8).prop_map(|chance| {
            let market = if chance == 0 { 1 } else { 9 };
            by(OPERATOR, Kind::CloseMarket).with(&CloseMarket { market, reserved: 0 })
        }),
        2 => (any::<bool>(), 0..2_u8, prop_oneof![Just(roles::ROLE_ADMIN), 0..20_u8], 0..400_i64).prop_map(
            |(grant, to, role, days)| {
                let kind = if grant { Kind::GrantRole } else { Kind::RevokeRole };
                let payload = GrantRole {
                    principal: key(0xD0 + to),
                    role,
                    expiry_ns: START + days * DAY,
                    ..GrantRole::zero()
                };
                by(ADMIN_A, kind).with(&payload)
            }
        ),
        4 => (any::<bool>(), any::<bool>(), 4..6_u8).prop_map(|(suspend, first, to)| {
            let kind = if suspend { Kind::SuspendPrincipal } else { Kind::ReinstatePrincipal };
            let principal = if to == 5 { CAROL } else { key(0xD0 + to) };
            by(if first { ADMIN_A } else { ADMIN_B }, kind).with(&SuspendPrincipal { principal })
        }),
        1 => (owner(), 0..3_u8, 0..9_u32, 0..500_i64).prop_map(|(owner, delegate, scopes, seconds)| {
            let expiry_ns = BASE + seconds * SECOND;
            by(owner, Kind::SetDelegate).with(&SetDelegate {
                key: key(0xE0 + delegate),
                scopes,
                reserved: 0,
                expiry_ns,
            })
        }),
        1 => (market(), prop_oneof![Just(EMERGENCY), Just(ALICE)]).prop_map(|(market, who)| {
            let payload = CancelAll { market, sub: ALL, side: ALL, reserved: 0 };
            Command { principal: who, account: [0; 32], ..by(who, Kind::CancelAll).with(&payload) }
        }),
        3 => Just(by(SYSTEM, Kind::Tick)),
        2 => (0..4_u8, paused(), 0..11_u8, 1..4_u32, prop_oneof![3 => Just(0_i64), 1 => 100..2_100_i64]).prop_map(
            |(what, market, breaker, version, threshold)| match what {
                0 => trip_breaker(EMERGENCY, market, breaker),
                1 => close_breaker(RESUMER_A, market, breaker),
                2 => close_breaker(RESUMER_B, market, breaker),
                _ => configure(market, breaker, |payload| {
                    (payload.config_version, payload.threshold, payload.halt_s) = (version, threshold, 60);
                }),
            }
        ),
        1 => Just(by(SYSTEM, Kind::Checkpoint)),
        1 => Just(by(SYSTEM, Kind::Snapshot)),
        1 => Just(by(SYSTEM, Kind::ActivateRules).with(&ActivateRules { rules_version: RULES_VERSION, reserved: 0 })),
        1 => (0..4_u64, 1..3_i64).prop_map(|(nonce, lot)| create_market(nonce, 1_000, lot * 500, 5_000_000, 0)),
        1 => (0..4_u8).prop_map(|letter| register_asset([b'A' + letter; 16])),
        1 => (0..3_u8).prop_map(|owner| open_account(key(0x70 + owner))),
        1 => any::<u64>().prop_map(|token| by(SYSTEM, Kind::Continue).with(&Continue { token })),
    ]
}

/// Keepers and governance, mostly sensible; the world has no staking asset unless a run registers one.
fn institutions() -> impl Strategy<Value = Command> {
    let keeper = || prop_oneof![6 => Just(ALICE), 1 => Just(BOB)];
    let staff = || prop_oneof![3 => Just(OPERATOR), 3 => Just(OPERATORS_B_C[0]), 1 => Just(ARBITER), 1 => Just(ALICE)];
    let token = RegisterAsset {
        asset_flags: asset_flag::STAKE,
        ..register_asset(*b"MMT\0\0\0\0\0\0\0\0\0\0\0\0\0").payload_as()
    };
    let approver = || prop_oneof![Just(APPROVERS[0]), Just(APPROVERS[1]), Just(APPROVERS[2]), Just(GOVERNOR)];
    let evidence = || prop_oneof![4 => Just([1_u8; 32]), 1 => Just([0_u8; 32])];
    prop_oneof![
        3 => Just(by(OPERATOR, Kind::RegisterAsset).with(&token)),
        3 => (owner(), 2..4_u16, any::<u64>()).prop_map(|(owner, asset, id)| {
            let mut external_id = [8; 32];
            external_id[..8].copy_from_slice(&id.to_le_bytes());
            deposit(owner, asset, 5_000_000_000, external_id)
        }),
        5 => (keeper(), prop_oneof![4 => Just(16_u32), 1 => 0..40_u32], prop_oneof![Just(1_000_000_000_i64), amount()]).prop_map(
            |(owner, capabilities, stake)| {
                by(owner, Kind::RegisterKeeper).with(&RegisterKeeper { capabilities, reserved: 0, stake })
            }
        ),
        5 => (keeper(), 0..3_usize, prop_oneof![3 => 1..1_000_000_i64, 1 => amount()]).prop_map(|(owner, which, amount)| {
            let kinds = [Kind::StakeKeeper, Kind::UnstakeKeeper, Kind::WithdrawKeeperStake];
            by(owner, kinds[which]).with(&KeeperStake { amount })
        }),
        1 => (staff(), keeper(), any::<bool>()).prop_map(|(who, keeper, remove)| {
            let kind = if remove { Kind::RemoveKeeper } else { Kind::ReinstateKeeper };
            by(who, kind).with(&KeeperTarget { keeper: id::account_id(&keeper) })
        }),
        5 => (staff(), keeper(), evidence(), prop_oneof![6 => Just(4_u8), 1 => 0..6_u8], prop_oneof![6 => Just(50_000_u32), 1 => 0..120_000_u32]).prop_map(
            |(who, keeper, evidence, fault, ppm)| {
                let keeper = id::account_id(&keeper);
                let terms = SlashKeeper { keeper, evidence, fault, ppm, ..Record::zero() };
                by(who, Kind::SlashKeeper).with(&terms)
            }
        ),
        3 => (keeper(), staff(), 0..4_u64, 0..2_u8, any::<bool>()).prop_map(
            |(keeper, who, slash, uphold, decides)| {
                let terms = SlashAppeal { slash, uphold: if decides { uphold } else { 0 }, ..Record::zero() };
                match decides {
                    true => by(who, Kind::DecideAppeal).with(&terms),
                    false => by(keeper, Kind::AppealSlash).with(&terms),
                }
            }
        ),
        2 => (keeper(), 0..6_u8, market()).prop_map(|(owner, action, market)| {
            by(owner, Kind::KeeperAct).with(&KeeperAct { action, market, ..Record::zero() })
        }),
        4 => (0..2_u32, 1..3_u32, 0..10_000_u16, 0..3_u32).prop_map(|(market, config_version, band_bp, version)| {
            let update = UpdateMarket { market, config_version, field_mask: 1, band_bp, ..Record::zero() };
            propose(by(RISK, Kind::UpdateMarket).with(&update), version)
        }),
        2 => (64..67_u32, 0..3_u32, 0..40_i64).prop_map(|(parameter, config_version, value)| {
            let request = SetParameter { parameter, config_version, value };
            propose(by(RISK, Kind::SetParameter).with(&request), config_version)
        }),
        6 => (approver(), 1..4_u64, 0..8_u8).prop_map(|(who, action, verb)| {
            let kind = match verb {
                0 => Kind::CancelAction,
                1 => Kind::ExecuteAction,
                _ => Kind::ApproveAction,
            };
            by(who, kind).with(&OneAction { action })
        }),
        2 => (0..4_u64, 0..3_u8, prop_oneof![4 => Just(roles::RISK), 1 => 0..17_u8]).prop_map(|(offer, verb, authority)| match verb {
            0 => by(RISK, Kind::OfferAuthority).with(&OfferAuthority { nominee: key(0xD0), authority, ..Record::zero() }),
            1 => by(RESUMER_A, Kind::RenounceAuthority).with(&RenounceAuthority { authority, ..Record::zero() }),
            _ => by(if offer % 2 == 0 { RISK } else { key(0xD0) }, Kind::AcceptAuthority).with(&OneOffer { offer }),
        }),
        1 => (owner(), 0..5_u8, -1..400_i64).prop_map(|(owner, level, days)| {
            let request = SetSuitability { level, expiry_ns: START + days * DAY, ..Record::zero() };
            Command { principal: RISK, ..by(owner, Kind::SetSuitability).with(&request) }
        }),
    ]
}

/// A command of any kind, most of them sensible, with fields that are now and then hostile.
pub fn any_command() -> impl Strategy<Value = Command> {
    let body = prop_oneof![
        45 => placing().boxed(),
        14 => special().boxed(),
        6 => in_parts().boxed(),
        20 => changing().boxed(),
        12 => money().boxed(),
        8 => governing().boxed(),
        20 => institutions().boxed(),
    ];
    let key_bytes = prop_oneof![1 => any::<u8>().prop_map(|n| [n; 16]), 9 => any::<[u8; 16]>()];
    let envelope = (
        key_bytes,
        prop_oneof![30 => Just(None), 1 => owner().prop_map(Some), 1 => (0..3_u8).prop_map(|n| Some(key(0xE0 + n)))],
        prop_oneof![40 => Just(0_i64), 1 => hostile_i64(), 1 => (0..400 * SECOND).prop_map(|after| BASE + after)],
        prop_oneof![20 => Just(0_u8), 2 => 1..4_u8, 1 => any::<u8>()],
        prop_oneof![60 => Just(None), 1 => (0..192_usize, any::<u8>()).prop_map(Some)],
    );
    (body, envelope).prop_map(|(mut command, (client_key, principal, valid_until_ns, sub, damage))| {
        command.client_key = client_key;
        command.principal = principal.unwrap_or(command.principal);
        command.valid_until_ns = valid_until_ns;
        command.sub = if command.sub == 0 { sub } else { command.sub };
        if let Some((offset, byte)) = damage {
            bytemuck::bytes_of_mut(&mut command)[offset] = byte;
        }
        command
    })
}

/// A random run.
pub fn any_steps(length: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Step>> {
    let wait = prop_oneof![16 => 0..3 * SECOND, 4 => 0..100 * SECOND, 1 => 0..2 * DAY];
    let step = prop_oneof![
        12 => any_command().prop_map(|command| Step::Send(Box::new(command))),
        1 => wait.prop_map(Step::Wait),
    ];
    proptest::collection::vec(step, length)
}

/// Cases of a property; the variable PROPTEST_CASES asks for more (the nightly job).
pub fn config(cases: u32) -> ProptestConfig {
    let standard = ProptestConfig::default();
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { standard.cases } else { cases };
    ProptestConfig { cases, failure_persistence: None, ..standard }
}
