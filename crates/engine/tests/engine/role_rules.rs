//! The tables and edges of P14 that no story of a whole command reaches.

use tradewind_engine::roles::{self, permission, Roles};
use tradewind_engine::wire::Code;

use crate::support::*;

/// P14.1 as printed: the bits of every role.
const TABLE: [(u8, &[u8]); 16] = [
    (roles::TRADER, &[12]),
    (roles::LIQUIDITY_PROVIDER, &[4, 12]),
    (roles::KEEPER, &[5, 14]),
    (roles::ORACLE, &[7]),
    (roles::OPERATOR, &[0, 3, 4, 8]),
    (roles::RISK, &[9, 20]),
    (roles::EMERGENCY, &[2]),
    (roles::RESUMER, &[6]),
    (roles::GOVERNOR, &[15]),
    (roles::APPROVER, &[16]),
    (roles::ARBITER, &[1]),
    (roles::TREASURER, &[17, 18]),
    (roles::ROLE_ADMIN, &[10]),
    (roles::AUDITOR, &[11, 21]),
    (roles::SYSTEM, &[14, 19]),
    (roles::DARK_TRADER, &[12, 13]),
];

#[test]
fn p14_1_every_role_holds_the_bits_of_the_table_and_no_other() {
    for (role, bits) in TABLE {
        let mut held = Roles::default();
        held.grant(&ALICE, role, START + DAY);
        for bit in 0..=permission::AUDIT_READ {
            let found = held.require(&ALICE, bit, START).map_err(|reject| reject.code);
            let expected = if bits.contains(&bit) { Ok(()) } else { Err(Code::PERMISSION_DENIED) };
            assert_eq!(found, expected, "role {role}, bit {bit}");
        }
    }
}
