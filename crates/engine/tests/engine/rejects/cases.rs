//! Each code of the catalogue and commands that must be refused with it.

use tradewind_engine::roles;
use tradewind_engine::wire::command::*;
use tradewind_engine::wire::{Code, Record};

use super::requests::*;
use crate::prices::*;
use crate::support::*;
use crate::token::{self, issued_world, token_world, MMT, TOKEN};

pub type Build = fn(&mut World) -> Command;

/// A command that must be refused; what it needs happens in the function.
macro_rules! cases {
    ($($code:ident: $build:expr;)*) => { &[$((Code::$code, $build as Build)),*] };
}

/// Codes and the commands that get them.
pub const CASES: &[(Code, Build)] = cases! {
    INVALID_RECORD_LENGTH: |_| Command { length: 191, ..buy(ALICE, 0, 100, 1) };
    INVALID_TYPE_TAG: |_| Command { tag: 0x81, ..buy(ALICE, 0, 100, 1) };
    UNSUPPORTED_VERSION: |_| Command { version: 2, ..buy(ALICE, 0, 100, 1) };
    UNSUPPORTED_VERSION: |_| by(SYSTEM, Kind::ActivateRules).with(&ActivateRules { rules_version: 3, reserved: 0 });
    UNKNOWN_COMMAND: |_| Command { kind: 0x0399, ..buy(ALICE, 0, 100, 1) };
    UNKNOWN_COMMAND: |_| Command { op: 9, ..buy(ALICE, 0, 100, 1) };
    RESERVED_NOT_ZERO: |_| Command { flags: 1, ..buy(ALICE, 0, 100, 1) };
    RESERVED_NOT_ZERO: |_| Command { reserved: 1, ..buy(ALICE, 0, 100, 1) };
    RESERVED_NOT_ZERO: |_| {
        let mut command = cancel(ALICE, 1);
        command.payload[71] = 1;
        command
    };
    RESERVED_NOT_ZERO: |_| by(ALICE, Kind::CancelAll).with(&CancelAll { market: 0, sub: ALL, side: ALL, reserved: 1 });
    RESERVED_NOT_ZERO: |_| by(SYSTEM, Kind::ConfirmWithdrawal).with(&ConfirmWithdrawal { ok: 2, ..Record::zero() });
    WRONG_SHARD: |_| Command { shard: 4, ..buy(ALICE, 0, 100, 1) };
    COMMAND_EXPIRED: |_| Command { valid_until_ns: START - 1, ..buy(ALICE, 0, 100, 1) };
    PARAMETER_OUT_OF_BOUNDS: |_| Command { valid_until_ns: START + 301 * SECOND, ..buy(ALICE, 0, 100, 1) };
    PARAMETER_OUT_OF_BOUNDS: |_| pause(0, 4, START + SECOND);
    PARAMETER_OUT_OF_BOUNDS: |_| pause(0, 0, START + SECOND);
    PARAMETER_OUT_OF_BOUNDS: |_| pause(0, 3, START + 25 * HOUR);
    PARAMETER_OUT_OF_BOUNDS: |_| masked_pause(EMERGENCY, 0, (1, 2), START + SECOND);
    RESERVED_NOT_ZERO: |_| {
        by(EMERGENCY, Kind::PauseMarket).with(&PauseMarket { reserved: 1, level: 1, ..Record::zero() })
    };
    BREAKER_ACTIVE: |world| {
        world.accept(trip_breaker(EMERGENCY, 0, 2));
        buy(ALICE, 0, 100, 1)
    };
    BREAKER_NOT_TRIPPED: |_| close_breaker(RESUMER_A, 0, 2);
    COOLDOWN_ACTIVE: |world| {
        world.accept(trip_breaker(EMERGENCY, ALL_MARKETS, 4));
        for _ in 0..2 {
            world.accept(close_breaker(RESUMER_A, ALL_MARKETS, 4));
            world.accept(close_breaker(RESUMER_B, ALL_MARKETS, 4));
        }
        trip_breaker(EMERGENCY, ALL_MARKETS, 4)
    };
    RESUME_CONDITION_UNMET: |world| {
        let pause_id = world.accept(pause(0, 1, START + HOUR)).value as u32;
        world.accept(trip_breaker(EMERGENCY, 0, 2));
        world.accept(resume(RESUMER_A, 0, pause_id));
        resume(RESUMER_B, 0, pause_id)
    };
    FROZEN: |world| {
        freeze(world, ALL_MARKETS, START + HOUR);
        cancel(ALICE, 1)
    };
    FROZEN: |world| {
        freeze(world, ALL_MARKETS, START + HOUR);
        deposit(ALICE, USDC, 1, [1; 32])
    };
    SELF_APPROVAL: |world| {
        world.accept(pause(0, 3, START + HOUR));
        pause(0, 3, START + HOUR)
    };
    INVALID_TRANSITION: |world| {
        world.accept(masked_pause(EMERGENCY, 0, (1, 16), START + HOUR));
        pause(0, 1, START + 2 * HOUR)
    };
    PARAMETER_OUT_OF_BOUNDS: |_| pause(0, 1, START);
    PARAMETER_OUT_OF_BOUNDS: |_| pause(0, 1, START + 73 * HOUR);
    PARAMETER_OUT_OF_BOUNDS: |_| {
        by(EMERGENCY, Kind::PauseMarket).with(&PauseMarket { market: 0, level: 1, until_ns: START + 1, ..Record::zero() })
    };
    PARAMETER_OUT_OF_BOUNDS: |_| register_asset([0; 16]);
    PARAMETER_OUT_OF_BOUNDS: |_| create_market(9, 1_000, 1_000, 100_000_001, 0);
    PARAMETER_OUT_OF_BOUNDS: |_| {
        by(ALICE, Kind::SetDelegate).with(&SetDelegate { key: BOB, scopes: 8, reserved: 0, expiry_ns: START + DAY })
    };
    PARAMETER_OUT_OF_BOUNDS: |_| {
        by(ALICE, Kind::SetDelegate).with(&SetDelegate { key: BOB, scopes: 1, reserved: 0, expiry_ns: START })
    };
    PARAMETER_OUT_OF_BOUNDS: |_| grant(key(0xD0), roles::ROLE_ADMIN, START + 366 * DAY);
    PARAMETER_OUT_OF_BOUNDS: |_| {
        place(ALICE, PlaceOrder { order_type: 1, time_in_force: 1, slippage_bp: 501, ..limit(0, 0, 0, 1) })
    };
    IDEMPOTENCY_CONFLICT: |world| {
        let command = Command { client_key: [5; 16], ..buy(ALICE, 0, 100, 1) };
        world.accept(command);
        Command { client_key: [5; 16], ..buy(ALICE, 0, 100, 2) }
    };
    IDEMPOTENCY_WINDOW_FULL: |world| {
        let switch = by(CAROL, Kind::SetCancelAllAfter);
        let fill: Vec<_> = (0..4_096).map(|_| Command { client_key: world.fresh_key(), ..switch }).collect();
        let full = world.run(&fill).iter().filter(|result| result.accepted == 0).count();
        // What the world's set-up used before counts too.
        assert!((1..100).contains(&full));
        switch
    };
    RATE_LIMITED: |world| {
        for _ in 0..3 {
            let many: Vec<_> =
                (0..3_000).map(|_| Command { client_key: world.fresh_key(), ..list_address(CAROL, USDC, [0; 32]) }).collect();
            world.run(&many);
        }
        buy(CAROL, 0, 100, 1)
    };
    UNAUTHORIZED_SIGNER: |_| Command { principal: BOB, ..buy(ALICE, 0, 100, 1) };
    UNAUTHORIZED_SIGNER: |_| Command { principal: [0; 32], ..buy(ALICE, 0, 100, 1) };
    UNAUTHORIZED_SIGNER: |_| Command { principal: BOB, ..open_account(key(0x60)) };
    PRINCIPAL_SUSPENDED: |world| {
        world.accept(by(ADMIN_A, Kind::SuspendPrincipal).with(&SuspendPrincipal { principal: CAROL }));
        buy(CAROL, 0, 100, 1)
    };
    ROLE_EXPIRED: |world| {
        world.accept(grant(key(0xD0), roles::ROLE_ADMIN, START + 10 * SECOND));
        world.advance(10 * SECOND);
        by(key(0xD0), Kind::SuspendPrincipal).with(&SuspendPrincipal { principal: CAROL })
    };
    ROLE_EXPIRED: |world| {
        world.accept(delegate(ALICE, BOB, scope::ALL, START + SECOND));
        world.advance(SECOND);
        Command { principal: BOB, ..buy(ALICE, 0, 100, 1) }
    };
    PERMISSION_DENIED: |_| Command { principal: ALICE, ..register_asset([b'X'; 16]) };
    PERMISSION_DENIED: |_| Command { principal: ALICE, ..by(SYSTEM, Kind::Tick) };
    SELF_APPROVAL: |world| {
        let pause_id = world.accept(pause(0, 2, START + DAY)).value as u32;
        world.accept(resume(RESUMER_A, 0, pause_id));
        resume(RESUMER_A, 0, pause_id)
    };
    SELF_APPROVAL: |_| grant(ADMIN_A, roles::ROLE_ADMIN, START + DAY);
    ROLE_ESCALATION: |_| grant(key(0xD0), roles::OPERATOR, START + DAY);
    ROLE_FULL: |world| {
        for number in 0..998_u16 {
            let mut principal = [0xAB; 32];
            principal[..2].copy_from_slice(&number.to_le_bytes());
            world.accept(grant(principal, roles::ROLE_ADMIN, START + DAY));
        }
        grant(key(0xD0), roles::ROLE_ADMIN, START + DAY)
    };
    CONFLICT_OF_INTEREST: |_| grant(SYSTEM, roles::ROLE_ADMIN, START + DAY);
    CONFLICT_OF_INTEREST: |_| by(ADMIN_A, Kind::SuspendPrincipal).with(&SuspendPrincipal { principal: SYSTEM });
    DELEGATE_SCOPE: |world| {
        world.accept(delegate(ALICE, BOB, scope::CANCEL, START + DAY));
        Command { principal: BOB, ..buy(ALICE, 0, 100, 1) }
    };
    ZERO_AUTHORITY: |_| delegate(ALICE, [0; 32], scope::TRADE, START + DAY);
    ZERO_AUTHORITY: |_| grant([0; 32], roles::ROLE_ADMIN, START + DAY);
    DERIVED_ID_MISMATCH: |_| Command { account: by(BOB, Kind::Tick).account, ..open_account(key(0x60)) };
    WRONG_OWNER: |world| {
        let order = world.accept(buy(ALICE, 0, 100, 1)).value;
        cancel(BOB, order)
    };
    WRONG_OWNER: |world| {
        let ticket = released_withdrawal(world);
        by(BOB, Kind::CancelWithdrawal).with(&CancelWithdrawal { ticket })
    };
    ACCOUNT_NOT_FOUND: |_| buy(key(0x60), 0, 100, 1);
    SUB_ACCOUNT_NOT_FOUND: |_| Command { sub: 9, ..buy(ALICE, 0, 100, 1) };
    SUB_ACCOUNT_NOT_FOUND: |_| Command { sub: 128, ..buy(ALICE, 0, 100, 1) };
    SUB_ACCOUNT_NOT_FOUND: |_| transfer(ALICE, 0, 9, USDC, 1);
    ASSET_NOT_FOUND: |_| deposit(ALICE, 2, 1, [1; 32]);
    ASSET_NOT_FOUND: |_| by(OPERATOR, Kind::CreateMarket).with(&CreateMarket {
        base: 7,
        ..create_market(9, 1_000, 1_000, 0, 0).payload_as()
    });
    ALREADY_EXISTS: |_| open_account(ALICE);
    ALREADY_EXISTS: |_| register_asset(*b"BTC\0\0\0\0\0\0\0\0\0\0\0\0\0");
    ALREADY_EXISTS: |_| create_market(0, 1_000, 1_000, 0, 0);
    ALREADY_EXISTS: |_| list_address(ALICE, USDC, [0; 32]);
    INVALID_AMOUNT: |_| deposit(ALICE, USDC, 0, [1; 32]);
    INVALID_AMOUNT: |_| deposit(ALICE, USDC, i64::MIN, [1; 32]);
    ABOVE_MAXIMUM: |_| deposit(ALICE, USDC, i64::MAX, [1; 32]);
    DUPLICATE_DEPOSIT: |world| {
        world.accept(deposit(ALICE, USDC, 1, [1; 32]));
        deposit(BOB, USDC, 1, [1; 32])
    };
    ASSET_CAP_EXCEEDED: |_| deposit(ALICE, USDC, 4_000_000_000_000_000_000, [1; 32]);
    ADDRESS_NOT_ALLOWED: |_| withdraw(ALICE, [0x77; 32], 5_000_000);
    ADDRESS_NOT_ALLOWED: |world| {
        world.advance(DAY - 1);
        withdraw(ALICE, [0; 32], 5_000_000)
    };
    BELOW_MINIMUM: |world| {
        world.advance(DAY);
        withdraw(ALICE, [0; 32], 999_999)
    };
    INSUFFICIENT_BALANCE: |world| {
        world.advance(DAY);
        withdraw(ALICE, [0; 32], FUNDS + 1)
    };
    INSUFFICIENT_BALANCE: |world| {
        open_sub(world, ALICE, 1);
        Command { sub: 1, ..buy(ALICE, 0, 100, 1) }
    };
    WITHDRAWAL_NOT_FOUND: |_| by(ALICE, Kind::CancelWithdrawal).with(&CancelWithdrawal { ticket: 1 });
    WITHDRAWAL_NOT_CANCELLABLE: |world| {
        let ticket = released_withdrawal(world);
        by(ALICE, Kind::CancelWithdrawal).with(&CancelWithdrawal { ticket })
    };
    TRANSFER_SAME_ACCOUNT: |_| transfer(ALICE, 0, 0, USDC, 1);
    INVALID_TRANSITION: |world| {
        world.advance(DAY);
        world.accept(pause(ALL_MARKETS, 1, START + DAY + HOUR));
        let ticket = world.accept(withdraw(ALICE, [0; 32], 5_000_000)).value;
        by(SYSTEM, Kind::ConfirmWithdrawal).with(&ConfirmWithdrawal { ticket, ok: 1, ..Record::zero() })
    };
    INVALID_TRANSITION: |_| by(SYSTEM, Kind::Continue).with(&Continue { token: 1 });
    INVALID_TRANSITION: |world| {
        world.accept(close(0));
        close(0)
    };
    INVALID_TRANSITION: |_| by(ADMIN_A, Kind::RevokeRole).with(&GrantRole {
        principal: SYSTEM,
        role: roles::SYSTEM,
        ..Record::zero()
    });
    CAPACITY_EXCEEDED: |_| by(ALICE, Kind::OpenSubAccount).with(&OpenSubAccount { index: 128, ..Record::zero() });
    CAPACITY_EXCEEDED: |world| {
        for number in 0..12 {
            world.accept(list_address(ALICE, BTC, [0x40 + number; 32]));
        }
        list_address(ALICE, BTC, [0x60; 32])
    };
    CAPACITY_EXCEEDED: |world| {
        for number in 0..16 {
            world.accept(delegate(ALICE, key(0x40 + number), scope::TRADE, START + DAY));
        }
        delegate(ALICE, key(0x60), scope::TRADE, START + DAY)
    };
    MARKET_NOT_FOUND: |_| buy(ALICE, 2, 100, 1);
    MARKET_NOT_ACTIVE: |world| {
        world.accept(close(0));
        buy(ALICE, 0, 100, 1)
    };
    PAUSED: |world| {
        world.accept(pause(0, 1, START + HOUR));
        buy(ALICE, 0, 100, 1)
    };
    PAUSED: |world| {
        world.accept(pause(ALL_MARKETS, 2, START + HOUR));
        deposit(ALICE, USDC, 1, [1; 32])
    };
    INVALID_OUTCOME: |_| place(ALICE, PlaceOrder { outcome: 1, ..limit(0, 0, 100, 1) });
    INVALID_SIZE: |_| buy(ALICE, 0, 100, 0);
    INVALID_SIZE: |_| buy(ALICE, 0, 100, -1);
    INVALID_SIZE: |_| buy(ALICE, 0, 100, (1 << 40) + 1);
    ORDER_TOO_SMALL: |world| {
        let request = CreateMarket { min_notional: 1_000_000, ..create_market(9, 1_000, 1_000, 0, 0).payload_as() };
        world.accept(by(OPERATOR, Kind::CreateMarket).with(&request));
        buy(ALICE, 2, 100, 9_999)
    };
    ORDER_TOO_LARGE: |_| buy(ALICE, 1, 1_000_000, 1_000_001);
    MATH_OVERFLOW: |_| buy(ALICE, 0, i64::from(i32::MAX), 1 << 40);
    INVALID_TIME_IN_FORCE: |_| place(ALICE, PlaceOrder { time_in_force: 4, ..limit(0, 0, 100, 1) });
    INVALID_TIME_IN_FORCE: |_| {
        place(ALICE, PlaceOrder { time_in_force: time_in_force::IOC, expiry_ns: START + 1, ..limit(0, 0, 100, 1) })
    };
    INVALID_TIME_IN_FORCE: |_| {
        let order_flags = order_flag::POST_ONLY;
        place(ALICE, PlaceOrder { time_in_force: time_in_force::FOK, order_flags, ..limit(0, 0, 100, 1) })
    };
    INVALID_ORDER_TYPE: |_| place(ALICE, PlaceOrder { order_type: 7, ..limit(0, 0, 100, 1) });
    INVALID_ORDER_TYPE: |_| place(ALICE, PlaceOrder { order_flags: 32, ..limit(0, 0, 100, 1) });
    INVALID_ORDER_TYPE: |_| place(ALICE, PlaceOrder { slippage_bp: 50, ..iceberg(0, 0, 100, 10, 1) });
    INVALID_TRIGGER: |_| place(ALICE, stop(0, side::BUY, 110, 1));
    INVALID_TRIGGER: |world| {
        traded(world);
        place(ALICE, PlaceOrder { trigger_source: trigger_source::MARK, ..stop(0, side::BUY, 110, 1) })
    };
    INVALID_TRIGGER: |world| {
        traded(world);
        place(ALICE, stop(0, side::BUY, 0, 1))
    };
    INVALID_TRIGGER: |world| {
        traded(world);
        place(ALICE, PlaceOrder { order_type: order_type::STOP_LIMIT, ..stop(0, side::BUY, 110, 1) })
    };
    INVALID_TRIGGER: |_| place(ALICE, PlaceOrder { trigger_source: 2, ..iceberg(0, 0, 100, 10, 1) });
    TRIGGER_WOULD_FIRE: |world| {
        traded(world);
        place(ALICE, stop(0, side::BUY, 100, 1))
    };
    TRIGGER_WOULD_FIRE: |world| {
        traded(world);
        place(ALICE, PlaceOrder { order_type: order_type::TAKE_PROFIT, ..stop(0, side::BUY, 100, 1) })
    };
    INVALID_TRAIL: |world| {
        traded(world);
        place(ALICE, trailing(0, side::SELL, 100, 1))
    };
    INVALID_TRAIL: |world| {
        traded(world);
        place(ALICE, trailing(0, side::SELL, 0, 1))
    };
    INVALID_TRAIL: |world| {
        traded(world);
        let order_flags = order_flag::TRAIL_PPM;
        place(ALICE, PlaceOrder { order_flags, ..trailing(0, side::BUY, 1_000_001, 1) })
    };
    INVALID_TRAIL: |_| place(ALICE, PlaceOrder { trail: 1, ..iceberg(0, 0, 100, 10, 1) });
    INVALID_DISPLAY_SIZE: |_| place(ALICE, iceberg(0, 0, 100, 1_000, 9));
    INVALID_DISPLAY_SIZE: |_| place(ALICE, iceberg(0, 0, 100, 1_000, 1_001));
    INVALID_DISPLAY_SIZE: |_| place(ALICE, iceberg(0, 0, 100, 1_000, -1));
    INVALID_TIME_IN_FORCE: |_| {
        place(ALICE, PlaceOrder { time_in_force: time_in_force::IOC, ..iceberg(0, 0, 100, 10, 1) })
    };
    INVALID_TIME_IN_FORCE: |world| {
        traded(world);
        place(ALICE, PlaceOrder { time_in_force: time_in_force::FOK, ..stop(0, side::BUY, 110, 1) })
    };
    BATCH_TOO_LARGE: |_| by(ALICE, Kind::PlaceBatch).with(&PlaceBatch { count: 9, ..Record::zero() });
    BATCH_TOO_LARGE: |_| by(ALICE, Kind::PlaceBatch).with(&PlaceBatch { count: 0, ..Record::zero() });
    PARAMETER_OUT_OF_BOUNDS: |_| by(ALICE, Kind::PlaceBatch).with(&PlaceBatch { count: 1, mode: 1, ..Record::zero() });
    RESERVED_NOT_ZERO: |_| by(ALICE, Kind::PlaceBatch).with(&PlaceBatch { count: 1, reserved: 1, ..Record::zero() });
    INVALID_TWAP: |world| twap_with(world, |twap| twap.slices = 1);
    INVALID_TWAP: |world| twap_with(world, |twap| twap.slices = 101);
    INVALID_TWAP: |world| twap_with(world, |twap| twap.interval_s = 0);
    INVALID_TWAP: |world| twap_with(world, |twap| twap.interval_s = 3_601);
    INVALID_TWAP: |world| twap_with(world, |twap| (twap.slices, twap.interval_s) = (26, 3_600));
    INVALID_TWAP: |world| twap_with(world, |twap| (twap.slices, twap.lots) = (20, 19));
    INVALID_PRICE: |world| twap_with(world, |twap| twap.limit = -1);
    INVALID_SIZE: |world| twap_with(world, |twap| twap.lots = 0);
    INVALID_ORDER_TYPE: |world| twap_with(world, |twap| twap.order_flags = 1);
    RESERVED_NOT_ZERO: |world| twap_with(world, |twap| twap.reserved3 = 1);
    NO_LIQUIDITY: |_| by(ALICE, Kind::PlaceTwap).with(&twap(0, side::BUY, 10, 4, 60));
    REDUCE_ONLY_WOULD_INCREASE: |_| {
        place(ALICE, PlaceOrder { order_flags: order_flag::REDUCE_ONLY, ..limit(0, 0, 100, 1) })
    };
    INVALID_ORDER_TYPE: |_| place(ALICE, PlaceOrder { side: 2, ..limit(0, 0, 100, 1) });
    INVALID_ORDER_TYPE: |_| place(ALICE, PlaceOrder { self_trade_prevention: 4, ..limit(0, 0, 100, 1) });
    INVALID_LINK: |_| place(ALICE, PlaceOrder { order_flags: order_flag::OCO, ..limit(0, 0, 100, 1) });
    INVALID_LINK: |_| {
        place(ALICE, PlaceOrder { order_flags: order_flag::OCO, linked_order: 7 << 21, ..limit(0, 0, 100, 1) })
    };
    INVALID_LINK: |world| {
        let linked_order = world.accept(buy(BOB, 0, 90, 1)).value;
        place(ALICE, PlaceOrder { order_flags: order_flag::OCO, linked_order, ..limit(0, 0, 80, 1) })
    };
    INVALID_LINK: |world| {
        let linked_order = world.accept(buy(ALICE, 1, 90, 1)).value;
        place(ALICE, PlaceOrder { order_flags: order_flag::OCO, linked_order, ..limit(0, 0, 80, 1) })
    };
    INVALID_ORDER_TYPE: |_| place(ALICE, PlaceOrder { display_lots: 1, ..limit(0, 0, 100, 1) });
    ORDER_EXPIRED: |_| gtd(START);
    ORDER_EXPIRY_TOO_FAR: |_| gtd(START + 30 * DAY + 1);
    MARKET_ORDER_HAS_PRICE: |world| {
        two_sided(world);
        place(ALICE, PlaceOrder { order_type: 1, time_in_force: 1, ..limit(0, 0, 100, 1) })
    };
    INVALID_PRICE: |_| buy(ALICE, 0, 0, 1);
    INVALID_PRICE: |_| buy(ALICE, 0, -1, 1);
    INVALID_PRICE: |_| buy(ALICE, 0, 1 << 31, 1);
    NO_LIQUIDITY: |_| place(ALICE, PlaceOrder { order_type: 1, time_in_force: 1, ..limit(0, 0, 0, 1) });
    NO_LIQUIDITY: |world| {
        two_sided(world);
        world.accept(cancel_all(BOB, 0));
        world.accept(buy(BOB, 0, 99, 5));
        world.accept(sell(CAROL, 0, 99, 1));
        place(ALICE, PlaceOrder { order_type: 1, time_in_force: 1, ..limit(0, side::BUY, 0, 1) })
    };
    PRICE_TOO_HIGH: |world| {
        two_sided(world);
        buy(ALICE, 0, 191, 1)
    };
    PRICE_TOO_HIGH: |world| {
        two_sided(world);
        sell(ALICE, 0, 151, 1)
    };
    PRICE_TOO_LOW: |world| {
        two_sided(world);
        buy(ALICE, 0, 49, 1)
    };
    PRICE_TOO_LOW: |world| {
        two_sided(world);
        sell(ALICE, 0, 9, 1)
    };
    TOO_MANY_OPEN_ORDERS: |world| {
        (0..200).for_each(|_| { world.accept(buy(ALICE, 0, 100, 1)); });
        buy(ALICE, 0, 100, 1)
    };
    TOO_MANY_OPEN_ORDERS: |world| {
        for number in 0..4 {
            world.accept(create_market(20 + number, 1_000, 1_000, 0, 0));
        }
        for order in 0..1_000 {
            world.accept(buy(ALICE, order % 6, 100, 1));
        }
        buy(ALICE, 0, 100, 1)
    };
    POST_ONLY_WOULD_TAKE: |world| {
        two_sided(world);
        place(ALICE, PlaceOrder { order_flags: order_flag::POST_ONLY, ..limit(0, side::BUY, 101, 1) })
    };
    FOK_NOT_FILLABLE: |world| {
        two_sided(world);
        place(ALICE, PlaceOrder { time_in_force: time_in_force::FOK, ..limit(0, side::BUY, 101, 11) })
    };
    SELF_TRADE_PREVENTED: |world| {
        two_sided(world);
        buy(BOB, 0, 101, 1)
    };
    ORDER_NOT_FOUND: |_| cancel(ALICE, 1);
    ORDER_NOT_FOUND: |_| cancel(ALICE, u64::MAX);
    ORDER_NOT_FOUND: |_| by(ALICE, Kind::CancelOrder).with(&CancelOrder { order: 0, target_key: [9; 16] });
    ORDER_NOT_OPEN: |world| {
        let order = world.accept(buy(ALICE, 0, 100, 1)).value;
        world.accept(cancel(ALICE, order));
        replace(ALICE, order, 99, 1)
    };
    REPLACE_BELOW_FILLED: |world| {
        let order = world.accept(buy(ALICE, 0, 100, 10)).value;
        world.accept(sell(BOB, 0, 100, 4));
        replace(ALICE, order, 100, 4)
    };
    INVALID_SWITCH_WINDOW: |_| by(ALICE, Kind::SetCancelAllAfter).with(&SetCancelAllAfter { window_s: 4, reserved: 0 });
    INVALID_SWITCH_WINDOW: |_| {
        by(ALICE, Kind::SetCancelAllAfter).with(&SetCancelAllAfter { window_s: 86_401, reserved: 0 })
    };
    INVALID_OUTCOME_COUNT: |_| changed_market(CreateMarket { outcome_count: 2, ..market_request() });
    INVALID_TICK_LOT: |_| changed_market(CreateMarket { tick_size: 1_001, ..market_request() });
    INVALID_TICK_LOT: |_| changed_market(CreateMarket { lot_size: 0, ..market_request() });
    EVIDENCE_INVALID: |_| link(ALICE, BOB, 1, [0; 32]);
    ALREADY_EXISTS: |world| {
        world.accept(link(ALICE, BOB, 1, [1; 32]));
        link(BOB, ALICE, 1, [1; 32])
    };
    INVALID_TRANSITION: |_| by(RISK, Kind::CloseCase).with(&CloseCase { case: 1, evidence_hash: [1; 32], ..Record::zero() });
    INVALID_TRANSITION: |_| link(ALICE, BOB, 0, [1; 32]);
    PARAMETER_OUT_OF_BOUNDS: |_| link(ALICE, BOB, 2, [1; 32]);
    PARAMETER_OUT_OF_BOUNDS: |_| link(ALICE, ALICE, 1, [1; 32]);
    ACCOUNT_NOT_FOUND: |_| link(ALICE, key(0x60), 1, [1; 32]);
    FEED_NOT_FOUND: |_| changed_market(CreateMarket { feed: 1, ..market_request() });
    FEED_NOT_FOUND: |world| {
        let request = publication(world, 0, 1);
        publish(SOURCES[0], request)
    };
    SOURCE_NOT_REGISTERED: |world| {
        let feed = world.accept(register_feed(feed_request("BTC-USD"))).value as u32;
        let request = publication(world, feed, 1);
        publish(SOURCES[0], request)
    };
    PUBLISH_OUT_OF_ORDER: |world| {
        let feed = world.open_feed(feed_request("BTC-USD"));
        let request = publication(world, feed, 1);
        world.accept(publish(SOURCES[0], request));
        publish(SOURCES[0], request)
    };
    STALE_PRICE: |world| {
        *world = quoted(11, 100_000_000);
        world.wait_seconds(6);
        buy(ALICE, 0, 10_000, 1)
    };
    LOW_CONFIDENCE: |world| {
        *world = quoted(11, 100_000_000);
        world.quote(SOURCES[0], 0, 99_000_000);
        world.quote(SOURCES[1], 0, 101_000_000);
        buy(ALICE, 0, 10_000, 1)
    };
    INSUFFICIENT_SOURCES: |world| {
        *world = quoted(11, 100_000_000);
        world.quote(SOURCES[0], 0, 50_000_000);
        buy(ALICE, 0, 10_000, 1)
    };
    SOURCE_DIVERGENCE: |world| {
        *world = quoted(75, 102_500_000);
        buy(ALICE, 0, 10_000, 1)
    };
    NON_POSITIVE_PRICE: |world| {
        *world = World::leveraged();
        buy(ALICE, 0, 10_000, 1)
    };
    FUTURE_TIMESTAMP: |world| {
        let feed = world.open_feed(feed_request("BTC-USD"));
        let request = publication(world, feed, 1);
        publish(SOURCES[0], PublishPrice { source_time_ns: START + SECOND + 1, ..request })
    };
    NON_POSITIVE_PRICE: |world| {
        let feed = world.open_feed(feed_request("BTC-USD"));
        let request = publication(world, feed, 0);
        publish(SOURCES[0], request)
    };
    CROSSED_SOURCE: |world| {
        let feed = world.open_feed(feed_request("BTC-USD"));
        let request = publication(world, feed, 100);
        publish(SOURCES[0], PublishPrice { bid: 101, ask: 100, ..request })
    };
    SUPPLY_EXCEEDED: |world| {
        *world = issued_world();
        deposit(ALICE, MMT, 1, [1; 32])
    };
    SUPPLY_EXCEEDED: |world| {
        *world = issued_world();
        token::allocate(ALICE, 0, 20 * token::MILLION + 1, 0)
    };
    VESTING_CLIFF: |world| {
        *world = issued_world();
        let schedule = world.accept(token::allocate(ALICE, 0, TOKEN, 0)).value;
        token::claim_vested(ALICE, schedule)
    };
    VESTING_REVOKED: |world| {
        *world = issued_world();
        let schedule = world.accept(token::allocate(ALICE, 1, TOKEN, 0)).value;
        world.govern(token::revoke(schedule), 0);
        token::claim_vested(ALICE, schedule)
    };
    NOT_REVOCABLE: |world| {
        *world = issued_world();
        let schedule = world.accept(token::allocate(ALICE, 0, TOKEN, 0)).value;
        token::revoke(schedule)
    };
    NOTHING_TO_CLAIM: |world| {
        *world = issued_world();
        token::claim(ALICE, 0)
    };
    SEASON_NOT_ACTIVE: |world| {
        *world = issued_world();
        token::settle_season(1)
    };
    TOO_EARLY: |world| {
        *world = issued_world();
        world.accept(token::open_season(1, 1));
        token::settle_season(1)
    };
    INVALID_LOCK: |world| {
        *world = token_world();
        token::stake(ALICE, 100 * TOKEN, 1)
    };
    STAKE_LOCKED: |world| {
        *world = token_world();
        let lot = world.accept(token::stake(ALICE, 100 * TOKEN, token::LOCK_30)).value;
        token::unstake(ALICE, lot)
    };
    TOO_MANY_STAKE_LOTS: |world| {
        *world = token_world();
        (0..64).for_each(|_| { world.accept(token::stake(ALICE, 100 * TOKEN, 0)); });
        token::stake(ALICE, 100 * TOKEN, 0)
    };
    MARKET_LIMIT_REACHED: |world| {
        let mut request = market_request();
        while world.engine.sizes().1 < 65_536 {
            let many = (0..8_192.min(65_536 - world.engine.sizes().1)).map(|_| {
                request.nonce += 1;
                // OPERATOR's keys would run out; without an account there is no key, so each batch takes new ones.
                changed_market(request)
            });
            let many: Vec<Command> = many.collect();
            for part in many.chunks(4_000) {
                world.advance(100 * SECOND);
                let keyed: Vec<Command> =
                    part.iter().map(|command| Command { client_key: world.fresh_key(), ..*command }).collect();
                world.run(&keyed);
            }
        }
        create_market(1_000_000, 1_000, 1_000, 0, 0)
    };
    CONFIG_VERSION_MISMATCH: |_| update(UpdateMarket { config_version: 2, ..update_request() });
    IMMUTABLE_PARAMETER: |_| update(UpdateMarket { field_mask: 64, ..update_request() });
    PARAMETER_COOLDOWN: |world| {
        world.accept(update(update_request()));
        world.advance(DAY - 1);
        update(UpdateMarket { config_version: 2, ..update_request() })
    };
};
