//! Every code of the catalogue that this build can answer with is reached, and leaves the state alone (T06).

use std::collections::BTreeSet;
use std::path::Path;

use tradewind_engine::sequence::{apply_batch, MAX_BATCH};
use tradewind_engine::wire::command::*;
use tradewind_engine::wire::error::CATALOGUE;
use tradewind_engine::wire::{Code, Record};
use tradewind_engine::{roles, Batch, Engine, Output};

use crate::prices::*;
use crate::support::*;

type Build = fn(&mut World) -> Command;

/// A command that must be refused; what it needs happens in the function.
macro_rules! cases {
    ($($code:ident: $build:expr;)*) => { &[$((Code::$code, $build as Build)),*] };
}

const CASES: &[(Code, Build)] = cases! {
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
    INVALID_MARKET_KIND: |_| changed_market(CreateMarket { market_kind: 2, ..market_request() });
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

/// Answered outside of one command's checks; each has a test of its own.
const AT_ANOTHER_BORDER: &[Code] = &[
    Code::MALFORMED_FRAME,
    Code::SEQUENCE_GAP,
    Code::TIME_REGRESSION,
    Code::TIME_JUMP,
    Code::CONTINUATION_PENDING,
    Code::REPLAY_MISMATCH,
    Code::INVARIANT_BROKEN,
    Code::ENGINE_STOPPED,
];

/// In the source and not reachable yet: leveraged markets wait for feeds, and a spot market closes in the same command that makes it CLOSE_ONLY.
const NOT_REACHABLE_YET: &[Code] = &[
    Code::MARKET_CLOSE_ONLY,
    Code::POSITION_HEALTHY,
    Code::FUNDING_NOT_DUE,
    Code::INSUFFICIENT_FREE_COLLATERAL,
    Code::INSUFFICIENT_MARGIN,
    Code::INVALID_LEVERAGE,
    Code::LEVERAGE_TOO_HIGH,
    Code::MAINTENANCE_ABOVE_ENTRY_MARGIN,
    Code::OPEN_INTEREST_CAP,
    Code::POSITION_NOT_FOUND,
    Code::POSITION_TOO_LARGE,
    Code::SETTLEMENT_NOT_FINAL,
    Code::SUITABILITY_REQUIRED,
    Code::TOO_MANY_POSITIONS,
    Code::WITHDRAWAL_LOCKED,
    Code::COVERAGE_TOO_LOW,
];

/// A leveraged world whose sources publish for so many seconds: two of them 100, the third one `high`.
fn quoted(seconds: i64, high: i64) -> World {
    let mut world = World::leveraged();
    for _ in 0..seconds {
        world.advance(SECOND);
        world.tick();
        for (source, value) in SOURCES.into_iter().zip([100_000_000, 100_000_000, high]) {
            world.quote(source, 0, value);
        }
    }
    world
}

fn grant(principal: Key, role: u8, expiry_ns: i64) -> Command {
    by(ADMIN_A, Kind::GrantRole).with(&GrantRole { principal, role, expiry_ns, ..Record::zero() })
}

fn delegate(owner: Key, to: Key, scopes: u32, expiry_ns: i64) -> Command {
    by(owner, Kind::SetDelegate).with(&SetDelegate { key: to, scopes, reserved: 0, expiry_ns })
}

fn transfer(owner: Key, sub: u8, to_sub: u8, asset: u16, amount: i64) -> Command {
    let payload = Transfer { to_sub, reserved: 0, asset, reserved2: 0, amount };
    Command { sub, ..by(owner, Kind::Transfer).with(&payload) }
}

fn link(first: Key, other: Key, linked: u8, evidence_hash: [u8; 32]) -> Command {
    let other = tradewind_engine::id::account_id(&other);
    let payload = LinkOwners { other, evidence_hash, linked, ..Record::zero() };
    Command { principal: RISK, ..by(first, Kind::LinkOwners) }.with(&payload)
}

fn withdraw(owner: Key, address_hash: [u8; 32], amount: i64) -> Command {
    let payload = RequestWithdrawal { asset: USDC, reserved: 0, reserved2: 0, amount, address_hash };
    by(owner, Kind::RequestWithdrawal).with(&payload)
}

fn released_withdrawal(world: &mut World) -> u64 {
    world.advance(DAY);
    world.accept(withdraw(ALICE, [0; 32], 5_000_000)).value
}

fn open_sub(world: &mut World, owner: Key, index: u8) {
    world.accept(by(owner, Kind::OpenSubAccount).with(&OpenSubAccount { index, ..Record::zero() }));
}

fn close(market: u32) -> Command {
    by(OPERATOR, Kind::CloseMarket).with(&CloseMarket { market, reserved: 0 })
}

fn gtd(expiry_ns: i64) -> Command {
    place(ALICE, PlaceOrder { time_in_force: time_in_force::GTD, expiry_ns, ..limit(0, side::BUY, 100, 1) })
}

/// A trade at 100, which is the last price of market 0.
fn traded(world: &mut World) {
    world.accept(buy(BOB, 0, 100, 1));
    world.accept(sell(CAROL, 0, 100, 1));
}

fn twap_with(world: &mut World, change: fn(&mut PlaceTwap)) -> Command {
    traded(world);
    let mut payload = twap(0, side::BUY, 100, 4, 60);
    change(&mut payload);
    by(ALICE, Kind::PlaceTwap).with(&payload)
}

/// BOB quotes 99 to 101 for ten lots: the reference is 100.
fn two_sided(world: &mut World) {
    world.accept(buy(BOB, 0, 99, 10));
    world.accept(sell(BOB, 0, 101, 10));
}

fn market_request() -> CreateMarket {
    create_market(9, 1_000, 1_000, 0, 0).payload_as()
}

fn changed_market(request: CreateMarket) -> Command {
    by(OPERATOR, Kind::CreateMarket).with(&request)
}

fn update_request() -> UpdateMarket {
    UpdateMarket { market: 0, config_version: 1, field_mask: 1, band_bp: 500, ..Record::zero() }
}

fn update(request: UpdateMarket) -> Command {
    by(RISK, Kind::UpdateMarket).with(&request)
}

#[test]
fn every_case_gets_its_code_and_changes_nothing() {
    let fresh: World = World::new();
    for (number, (code, build)) in CASES.iter().enumerate() {
        let mut world = fresh.clone();
        let command = build(&mut world);
        let before = world.engine.state_hash();
        let result = world.send(command);
        assert_eq!(
            Code::from_number(result.code),
            Some(*code),
            "case {number}: accepted {}, bound {}, given {}",
            result.accepted,
            result.bound,
            result.given
        );
        assert_eq!((result.accepted, result.event_count), (0, 0), "case {number} for {code:?}");
        assert_eq!(world.engine.state_hash(), before, "case {number} for {code:?} changed the state");
    }
}

#[test]
fn the_cases_cover_exactly_the_codes_that_the_source_can_answer() {
    let mut named = BTreeSet::new();
    collect_codes(Path::new(env!("CARGO_MANIFEST_DIR")).join("src").as_path(), &mut named);
    let reached: BTreeSet<&str> = CASES.iter().map(|(code, _)| code.entry().name).collect();
    let elsewhere: BTreeSet<&str> =
        AT_ANOTHER_BORDER.iter().chain(NOT_REACHABLE_YET).map(|code| code.entry().name).collect();
    assert!(reached.is_disjoint(&elsewhere));
    let mut covered: BTreeSet<String> = reached.union(&elsewhere).map(|name| (*name).to_owned()).collect();
    // Concerns with a module of their own refuse there.
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/engine");
    let mut in_modules = BTreeSet::new();
    for entry in std::fs::read_dir(tests).expect("the tests are readable") {
        let path = entry.expect("an entry").path();
        if !path.ends_with("rejects.rs") && !path.ends_with("support.rs") {
            collect_codes_of(&path, &mut in_modules);
        }
    }
    covered.extend(in_modules.intersection(&named).cloned());
    assert_eq!(named, covered, "left: codes in the source, right: codes with a test");
}

/// Names behind `Code::` in one file.
fn collect_codes_of(path: &Path, names: &mut BTreeSet<String>) {
    let text = std::fs::read_to_string(path).expect("a source is text");
    let behind = text.split("Code::").skip(1);
    let name = |rest: &str| {
        rest.chars().take_while(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || *c == '_').collect()
    };
    names.extend(behind.map(name).filter(|name: &String| name.len() > 1));
}

/// Names behind `Code::` in the sources, the catalogue itself left out.
fn collect_codes(folder: &Path, names: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).expect("the sources are readable") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect_codes(&path, names);
        } else if !path.ends_with("wire/error.rs") {
            collect_codes_of(&path, names);
        }
    }
}

#[test]
fn the_catalogue_holds_every_code_once_with_a_message() {
    let names: BTreeSet<&str> = CATALOGUE.iter().map(|entry| entry.name).collect();
    assert_eq!(names.len(), CATALOGUE.len());
    for entry in CATALOGUE {
        assert!(!entry.template.is_empty() && (400..600).contains(&entry.http_status), "{}", entry.name);
    }
}

#[test]
fn a_frame_of_a_fraction_of_a_record_is_malformed_and_applies_nothing() {
    let mut world: World = World::new();
    let before = world.engine.next_seq();
    let refusal = apply_batch(&mut world.engine, &[0; 193], START, &mut Batch::default()).unwrap_err();
    assert_eq!((refusal.code, refusal.bound, refusal.given), (Code::MALFORMED_FRAME, 192, 193));
    let bytes = vec![0; (MAX_BATCH + 1) * COMMAND_SIZE];
    let refusal = apply_batch(&mut world.engine, &bytes, START, &mut Batch::default()).unwrap_err();
    assert_eq!((refusal.code, refusal.bound), (Code::CAPACITY_EXCEEDED, MAX_BATCH as i64));
    assert_eq!(world.engine.next_seq(), before);
}

/// Applies one stamped command; the cursor may not move when the stamp is refused.
fn stamp(engine: &mut Engine, seq: u64, time_ns: i64, command: Command) -> Option<Code> {
    let (state, cursor) = (engine.state_hash(), engine.cursor_hash());
    let result = engine.apply(&Command { seq, time_ns, ..command }, &mut Output::default());
    if result.accepted == 0 {
        assert_eq!((engine.state_hash(), engine.cursor_hash()), (state, cursor));
    }
    Code::from_number(result.code)
}

#[test]
fn a_wrong_stamp_is_refused_and_moves_not_even_the_cursor() {
    let mut engine = World::<tradewind_engine::FastBook>::new().engine;
    let (next, now) = (engine.next_seq(), engine.time_ns());
    let command = Command { client_key: [3; 16], ..buy(ALICE, 0, 100, 1) };
    assert_eq!(stamp(&mut engine, next + 1, now, command), Some(Code::SEQUENCE_GAP));
    assert_eq!(stamp(&mut engine, next - 1, now, command), Some(Code::SEQUENCE_GAP));
    assert_eq!(stamp(&mut engine, next, now - 1, command), Some(Code::TIME_REGRESSION));
    assert_eq!(stamp(&mut engine, next, now + HOUR + 1, command), Some(Code::TIME_JUMP));
    assert_eq!(stamp(&mut engine, next, now + HOUR, command), None);
    let far = by(SYSTEM, Kind::AdvanceTime).with(&AdvanceTime { reason: [b'x'; 48] });
    assert_eq!(stamp(&mut engine, next + 1, now + 100 * HOUR, far), None);
}

#[test]
fn a_stopped_engine_refuses_every_command() {
    let mut world: World = World::new();
    world.engine.stop();
    let seq = world.engine.stopped().expect("stopped");
    let refusal = apply_batch(&mut world.engine, &[0; 192], START, &mut Batch::default()).unwrap_err();
    assert_eq!((refusal.code, refusal.bound), (Code::ENGINE_STOPPED, seq as i64));
    let command = Command { seq: world.engine.next_seq(), time_ns: START, ..buy(ALICE, 0, 100, 1) };
    let result = world.engine.apply(&command, &mut Output::default());
    assert_eq!((result.accepted, Code::from_number(result.code)), (0, Some(Code::ENGINE_STOPPED)));
}

#[test]
fn p2_1_3_the_earlier_check_answers_when_several_causes_hold() {
    let mut world: World = World::new();
    world.accept(by(ADMIN_A, Kind::SuspendPrincipal).with(&SuspendPrincipal { principal: CAROL }));
    world.accept(Command { client_key: [5; 16], ..buy(ALICE, 0, 100, 1) });
    world.accept(pause(0, 1, START + HOUR));
    // Every later cause stays in the command while the earlier ones are mended one by one.
    let worst = Command {
        length: 1,
        tag: 0,
        version: 9,
        flags: 1,
        shard: 4,
        valid_until_ns: 1,
        client_key: [5; 16],
        principal: CAROL,
        ..buy(ALICE, 0, 0, 0)
    };
    let mut command = worst;
    world.refuse(command, Code::INVALID_RECORD_LENGTH);
    command.length = 192;
    world.refuse(command, Code::INVALID_TYPE_TAG);
    command.tag = COMMAND_TAG;
    world.refuse(command, Code::UNSUPPORTED_VERSION);
    command.version = COMMAND_VERSION;
    world.refuse(command, Code::RESERVED_NOT_ZERO);
    command.flags = 0;
    world.refuse(command, Code::WRONG_SHARD);
    command.shard = 3;
    world.refuse(command, Code::COMMAND_EXPIRED);
    command.valid_until_ns = 0;
    world.refuse(command, Code::IDEMPOTENCY_CONFLICT);
    command.client_key = [6; 16];
    world.refuse(command, Code::PRINCIPAL_SUSPENDED);
    command.principal = BOB;
    world.refuse(command, Code::UNAUTHORIZED_SIGNER);
    command.principal = ALICE;
    world.refuse(command, Code::PAUSED);
    let id = world.batch.commands.len() as u32;
    assert_eq!(id, 1);
    world.accept(resume(RESUMER_A, 0, 1));
    world.accept(resume(RESUMER_B, 0, 1));
    world.refuse(command, Code::INVALID_SIZE);
    command = command.with(&limit(0, side::BUY, 0, 1));
    world.refuse(command, Code::INVALID_PRICE);
    command = command.with(&limit(0, side::BUY, i64::from(i32::MAX), 1 << 20));
    world.refuse(command, Code::ORDER_TOO_LARGE);
    command = command.with(&limit(0, side::BUY, 100, 1));
    world.accept(command);
}

#[test]
fn p2_4_order_rules_answer_in_their_order() {
    let mut world: World = World::new();
    two_sided(&mut world);
    let mut order = PlaceOrder {
        market: 7,
        outcome: 1,
        lots: 0,
        order_type: 9,
        time_in_force: time_in_force::GTD,
        expiry_ns: 1,
        price: 1 << 40,
        ..limit(7, side::BUY, 0, 0)
    };
    world.refuse(place(ALICE, order), Code::MARKET_NOT_FOUND);
    order.market = 0;
    world.refuse(place(ALICE, order), Code::INVALID_OUTCOME);
    order.outcome = 0;
    world.refuse(place(ALICE, order), Code::INVALID_SIZE);
    order.lots = 1;
    world.refuse(place(ALICE, order), Code::INVALID_ORDER_TYPE);
    order.order_type = order_type::LIMIT;
    world.refuse(place(ALICE, order), Code::ORDER_EXPIRED);
    order.expiry_ns = START + 31 * DAY;
    world.refuse(place(ALICE, order), Code::ORDER_EXPIRY_TOO_FAR);
    order.expiry_ns = START + DAY;
    world.refuse(place(ALICE, order), Code::INVALID_PRICE);
    order.price = 1_000;
    world.refuse(place(ALICE, order), Code::PRICE_TOO_HIGH);
    order.price = 101;
    world.accept(place(ALICE, order));
}

#[test]
fn a_reject_names_the_bound_and_the_value_that_violated_it() {
    let mut world: World = World::new();
    two_sided(&mut world);
    let high = world.refuse(buy(ALICE, 0, 191, 1), Code::PRICE_TOO_HIGH);
    assert_eq!((high.bound, high.given), (190, 191));
    let low = world.refuse(sell(ALICE, 0, 9, 1), Code::PRICE_TOO_LOW);
    assert_eq!((low.bound, low.given), (10, 9));
    let fok = PlaceOrder { time_in_force: time_in_force::FOK, ..limit(0, side::BUY, 101, 11) };
    let fok = world.refuse(place(ALICE, fok), Code::FOK_NOT_FILLABLE);
    assert_eq!((fok.bound, fok.given), (10, 11));
}
