//! Authority changes hands in two steps, or is given up after two days (protocol P14.4, row 0C05).

use super::roles::emit_role;
use crate::book::Book;
use crate::engine::Engine;
use crate::governance::Offer;
use crate::keeper::slash_state;
use crate::limits::{MAX_OFFERS, OFFER_LAPSE_NS};
use crate::output::{Output, Subject};
use crate::roles::SYSTEM;
use crate::wire::command::{Command, OfferAuthority, OneOffer, RenounceAuthority};
use crate::wire::error::{reject, Code, Reject};
use crate::wire::event::{EventKind, OfferBody};

impl<B: Book> Engine<B> {
    /// The holder names who shall have his role.
    pub(crate) fn offer_authority(&mut self, command: &Command, output: &mut Output) -> Result<u64, Reject> {
        let request: OfferAuthority = command.payload_as();
        match u32::from(request.reserved) | u32::from(request.reserved2) | request.reserved3 {
            0 => {}
            given => return reject(Code::RESERVED_NOT_ZERO, 0, i64::from(given)),
        }
        if request.nominee == [0; 32] {
            return Err(Code::ZERO_AUTHORITY.into());
        }
        if request.nominee == command.principal {
            return Err(Code::SELF_APPROVAL.into());
        }
        self.check_hand_over(command, request.authority)?;
        self.state.roles.check_receive(&request.nominee, request.authority)?;
        self.keep_offer(command, request.authority, request.nominee, output)
    }

    /// The holder gives his role up; it ends 48 hours later.
    pub(crate) fn renounce_authority(
        &mut self,
        command: &Command,
        output: &mut Output,
    ) -> Result<u64, Reject> {
        let request: RenounceAuthority = command.payload_as();
        match u32::from(request.reserved) | u32::from(request.reserved2) | request.reserved3 {
            0 => {}
            given => return reject(Code::RESERVED_NOT_ZERO, 0, i64::from(given)),
        }
        self.check_hand_over(command, request.authority)?;
        self.keep_offer(command, request.authority, [0; 32], output)
    }

    /// The sender holds the role, and it is not the one that the sequencer itself works with.
    fn check_hand_over(&self, command: &Command, role: u8) -> Result<(), Reject> {
        self.state.roles.grant_of(&command.principal, role, command.time_ns)?;
        if role == SYSTEM && self.state.roles.first_system() == Some(command.principal) {
            return reject(Code::INVALID_TRANSITION, 1, i64::from(role));
        }
        let offers = &self.state.governance.offers;
        let same = |offer: &Offer| offer.holder == command.principal && offer.role == role;
        if let Some((&known, _)) = offers.iter().find(|(_, offer)| same(offer)) {
            return reject(Code::ALREADY_EXISTS, 0, known as i64);
        }
        if offers.len() >= MAX_OFFERS {
            return reject(Code::CAPACITY_EXCEEDED, MAX_OFFERS as i64, offers.len() as i64);
        }
        Ok(())
    }

    fn keep_offer(
        &mut self,
        command: &Command,
        role: u8,
        nominee: [u8; 32],
        output: &mut Output,
    ) -> Result<u64, Reject> {
        let offer = Offer { holder: command.principal, nominee, role, offered_ns: command.time_ns };
        let governance = &mut self.state.governance;
        governance.next_offer += 1;
        let id = governance.next_offer;
        governance.offers.insert(id, offer);
        self.state.due.extend(self.state.governance.offer_due(id));
        emit_offer(command, EventKind::AuthorityOffered, id, &offer, output);
        Ok(id)
    }

    /// The nominee takes the role over, a day after the offer at the earliest.
    pub(crate) fn accept_authority(&mut self, command: &Command, output: &mut Output) -> Result<u64, Reject> {
        let id = command.payload_as::<OneOffer>().offer;
        let Some(offer) = self.state.governance.offers.get(&id).copied().filter(|offer| !offer.renounces())
        else {
            return reject(Code::TRANSFER_NOT_PENDING, 0, id as i64);
        };
        if offer.nominee != command.principal {
            return Err(Code::UNAUTHORIZED_SIGNER.into());
        }
        if command.time_ns < offer.usable_ns() {
            return reject(Code::TIMELOCK_ACTIVE, offer.usable_ns(), command.time_ns);
        }
        let lapses_ns = offer.offered_ns.saturating_add(OFFER_LAPSE_NS);
        let expiry_ns = match self.state.roles.grant_of(&offer.holder, offer.role, command.time_ns) {
            Ok(expiry_ns) if command.time_ns < lapses_ns => expiry_ns,
            _ => return reject(Code::TRANSFER_NOT_PENDING, lapses_ns, command.time_ns),
        };
        self.state.roles.check_receive(&offer.nominee, offer.role)?;
        let held = self.state.roles.get(&offer.nominee).and_then(|entry| entry.roles.get(&offer.role));
        let expiry_ns = held.map_or(expiry_ns, |&held_ns| held_ns.max(expiry_ns));
        self.forget_offer(id);
        self.state.roles.revoke(&offer.holder, offer.role);
        emit_role(command, EventKind::RoleRevoked, offer.holder, offer.role, 0, output);
        self.state.roles.grant(&offer.nominee, offer.role, expiry_ns);
        emit_role(command, EventKind::RoleGranted, offer.nominee, offer.role, expiry_ns, output);
        emit_offer(command, EventKind::AuthorityTransferred, id, &offer, output);
        Ok(u64::from(offer.role))
    }

    /// The holder takes an offer or a renunciation back.
    pub(crate) fn withdraw_offer(&mut self, command: &Command, output: &mut Output) -> Result<u64, Reject> {
        let id = command.payload_as::<OneOffer>().offer;
        let Some(offer) = self.state.governance.offers.get(&id).copied() else {
            return reject(Code::TRANSFER_NOT_PENDING, 0, id as i64);
        };
        if offer.holder != command.principal {
            return Err(Code::UNAUTHORIZED_SIGNER.into());
        }
        self.forget_offer(id);
        emit_offer(command, EventKind::OfferWithdrawn, id, &offer, output);
        Ok(id)
    }

    fn forget_offer(&mut self, id: u64) {
        if let Some(item) = self.state.governance.offer_due(id) {
            self.state.due.remove(&item);
        }
        self.state.governance.offers.remove(&id);
    }

    pub(super) fn lapse_offer(&mut self, command: &Command, id: u64, output: &mut Output) {
        if let Some(offer) = self.state.governance.offers.remove(&id) {
            emit_offer(command, EventKind::OfferLapsed, id, &offer, output);
        }
    }

    /// Two days have passed since a renunciation.
    pub(super) fn renounce_now(&mut self, command: &Command, id: u64, output: &mut Output) {
        let Some(offer) = self.state.governance.offers.remove(&id) else { return };
        let last_system = offer.role == SYSTEM && self.state.roles.first_system() == Some(offer.holder);
        let held =
            self.state.roles.get(&offer.holder).is_some_and(|entry| entry.roles.contains_key(&offer.role));
        if !held || last_system {
            return emit_offer(command, EventKind::OfferLapsed, id, &offer, output);
        }
        self.state.roles.revoke(&offer.holder, offer.role);
        emit_role(command, EventKind::RoleRevoked, offer.holder, offer.role, 0, output);
        emit_offer(command, EventKind::AuthorityRenounced, id, &offer, output);
    }

    /// Offers by a suspended principal, or to it, end.
    pub(super) fn drop_offers(&mut self, command: &Command, principal: [u8; 32], output: &mut Output) {
        let concerned = |offer: &Offer| offer.holder == principal || offer.nominee == principal;
        let offers = &self.state.governance.offers;
        let ids: Vec<u64> = offers.iter().filter(|(_, offer)| concerned(offer)).map(|(&id, _)| id).collect();
        for id in ids {
            let offer = self.state.governance.offers[&id];
            self.forget_offer(id);
            emit_offer(command, EventKind::OfferWithdrawn, id, &offer, output);
        }
    }

    /// First signatures of a suspended principal under slashes end.
    pub(super) fn drop_signatures(&mut self, command: &Command, principal: [u8; 32], output: &mut Output) {
        let signed = |slash: &crate::keeper::Slash| {
            slash.state == slash_state::SIGNED && slash.first_signer == principal
        };
        let slashes = &self.state.keepers.slashes;
        let ids: Vec<u64> = slashes.iter().filter(|(_, slash)| signed(slash)).map(|(&id, _)| id).collect();
        for id in ids {
            self.lapse_slash(command, id, output);
        }
    }
}

fn emit_offer(command: &Command, event: EventKind, id: u64, offer: &Offer, output: &mut Output) {
    let body = OfferBody {
        holder: offer.holder,
        nominee: offer.nominee,
        offer: id as u32,
        authority: offer.role,
        reserved: 0,
        reserved2: 0,
    };
    output.emit(command, event, Subject::NONE, &body);
}
