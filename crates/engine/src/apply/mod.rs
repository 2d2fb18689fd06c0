//! What each command does. Checks come first and return a reject; from the first posting on nothing can fail.

mod accounts;
mod collateral;
mod markets;
mod matching;
mod order_form;
mod orders;
mod pauses;
mod roles;
mod timers;
pub(crate) mod work;
