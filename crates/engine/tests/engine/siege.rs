//! Liquidations that are as expensive as limits allow keep every command, continuations included, within its effort.

use tradewind_engine::sequence::apply_singly;
use tradewind_engine::streams_siege::{Shape, Siege};
use tradewind_engine::{FastBook, Output};

/// Instructions of P18.1 less those of stamping and admitting a command.
const MOST_EFFORT: u32 = 18_000;

const SMALL: Shape =
    Shape { markets: 4, opponents: 4, bids: 4, orders: 0, lots: 10_000, money_e3: 105, insurance: 0 };

/// Prices fall until nothing is left of the liquidated one; the most effort that one command spent, and commands.
fn besiege(shape: Shape) -> (u32, usize) {
    let mut siege: Siege<FastBook> = Siege::new(shape).unwrap();
    let (mut most, mut count, mut output) = (0, 0, Output::default());
    for step in 0..160 {
        let commands = siege.step(if step < 40 { 3_000 } else { 0 });
        let now_ns = siege.now_ns();
        output.clear();
        apply_singly(&mut siege.engine, &commands, now_ns, |engine, command| {
            let result = engine.apply(command, &mut output);
            assert_eq!(result.accepted, 1, "{command:?} {result:?}");
            (most, count) = (most.max(engine.effort_spent()), count + 1);
        });
        if siege.left() == 0 {
            return (most, count);
        }
    }
    panic!("{} lots are left of {shape:?}", siege.left());
}

#[test]
fn p18_1_no_command_of_an_expensive_liquidation_spends_more_than_its_effort() {
    let shapes = [
        SMALL,
        Shape { markets: 50, opponents: 3, bids: 2, ..SMALL },
        Shape { markets: 1, opponents: 8, bids: 100, ..SMALL },
        Shape { markets: 10, orders: 100, money_e3: 125, ..SMALL },
        Shape { markets: 5, orders: 200, money_e3: 125, ..SMALL },
        Shape { markets: 2, opponents: 60, bids: 0, lots: 12_000, ..SMALL },
        Shape { markets: 12, insurance: 20_000, ..SMALL },
    ];
    for shape in shapes {
        let (most, count) = besiege(shape);
        assert!((10_000..=MOST_EFFORT).contains(&most), "{most} in {count} commands of {shape:?}");
    }
}
