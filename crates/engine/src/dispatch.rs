//! The catalogue of P2.2 as code: each kind of command and the function that applies it.

use crate::book::Book;
use crate::engine::{Context, Engine};
use crate::output::Output;
use crate::wire::command::{Command, Kind};
use crate::wire::error::Reject;

impl<B: Book> Engine<B> {
    /// Runs the handler of a command that has passed every step before (P2.1.3).
    ///
    /// # Errors
    /// What its row of the catalogue says; a refused command has changed nothing.
    pub(crate) fn dispatch(
        &mut self,
        command: &Command,
        kind: Kind,
        context: Context,
        output: &mut Output,
    ) -> Result<u64, Reject> {
        match kind {
            Kind::PlaceOrder => self.place_order(command, context, output),
            Kind::CancelOrder => self.cancel_order(command, context, output),
            Kind::ReplaceOrder => self.replace_order(command, context, output),
            Kind::CancelAll => self.cancel_all(command, context, output),
            Kind::SetCancelAllAfter => self.set_cancel_all_after(command, context, output),

            Kind::SettleMarket => self.settle_market(command, output),
            Kind::ClosePosition => self.close_position(command, context, output),
            Kind::AdjustMargin => self.adjust_margin(command, context, output),
            Kind::OpenLeveraged => self.open_leveraged(command, context, output),
            Kind::CloseLeveraged => self.close_leveraged(command, context, output),
            Kind::RepayLoan => self.repay_loan(command, context, output),
            Kind::PlaceDark => self.place_dark(command, context, output),
            Kind::CancelDark => self.cancel_dark(command, context, output),
            Kind::CreatePool => self.create_pool(command, context, output),
            Kind::SwapAmm => self.swap_amm(command, context, output),
            Kind::AddLiquidity => self.add_liquidity(command, context, output),
            Kind::RemoveLiquidity => self.remove_liquidity(command, context, output),
            Kind::TradeDistribution => self.trade_distribution(command, context, output),
            Kind::CollectLiquidity => self.collect_liquidity(command, context, output),
            Kind::OpenChain => self.open_chain(command, context, output),
            Kind::CloseChain => self.close_chain(command, context, output),
            Kind::MintSet => self.mint_set(command, context, output),
            Kind::MergeSet => self.merge_set(command, context, output),
            Kind::CrankFunding => self.crank_funding(command, output),
            Kind::Redeem => self.redeem(command, context, output),
            Kind::ProposeResolution => self.propose_resolution(command, context, output),
            Kind::DisputeResolution => self.dispute_resolution(command, context, output),
            Kind::VoteResolution => self.vote_resolution(command, output),
            Kind::PruneMarket => self.prune_market(command, output),
            Kind::FinaliseResolution => self.finalise_resolution(command, output),
            Kind::CreateVerse => self.create_verse(command, output),
            Kind::LinkMarket => self.link_market(command, output),
            Kind::MoveVerse => self.move_verse(command, output),
            Kind::HaltVerse => self.halt_verse(command, output),
            Kind::ResumeVerse => self.resume_verse(command, output),
            Kind::FundInsurance => self.fund_insurance(command, context, output),
            Kind::DepositVault => self.deposit_vault(command, context, output),
            Kind::RequestVaultExit => self.request_vault_exit(command, context, output),
            Kind::ClaimVaultExit => self.claim_vault_exit(command, context, output),
            Kind::LockCredit => self.lock_credit(command, context, output),
            Kind::ReleaseCredit => self.release_credit(command, context, output),
            Kind::DepositCredit => self.deposit_credit(command, context, output),
            Kind::WithdrawCredit => self.withdraw_credit(command, context, output),
            Kind::StageCredit => self.stage_credit(command, context, output),
            Kind::PublishRisk => self.publish_risk(command, output),
            Kind::SetSuitability => self.set_suitability(command, context, output),
            Kind::SetRateClass => self.set_rate_class(command, context.account, output),
            Kind::PlaceTwap => self.place_twap(command, context, output),
            Kind::PlaceBatch => self.place_batch(command, context, output),
            Kind::BatchItem => self.batch_item(command, context, output),
            Kind::PublishPrice => self.publish_price(command, output),
            Kind::PublishVenueBatch => self.publish_venue_batch(command, output),
            Kind::VenueItem => self.venue_item(command, output),
            Kind::RefreshVenue => self.refresh_venue(command, output),
            Kind::LinkVenue => self.link_venue(command, output),
            Kind::OverrideFeed => self.override_feed(command, output),
            Kind::TripBreaker => self.trip_breaker(command, output),
            Kind::CloseBreaker => self.close_breaker(command, output),
            Kind::LinkOwners => self.link_owners(command, context.account, output),
            Kind::CloseCase => self.close_case(command, output),
            Kind::RegisterKeeper => self.register_keeper(command, context, output),
            Kind::RemoveKeeper => self.remove_keeper(command, output),
            Kind::ReinstateKeeper => self.reinstate_keeper(command, output),
            Kind::StakeKeeper => self.stake_keeper(command, context, output),
            Kind::UnstakeKeeper => self.unstake_keeper(command, context, output),
            Kind::WithdrawKeeperStake => self.withdraw_keeper_stake(command, context, output),
            Kind::KeeperAct => self.keeper_act(command, context, output),
            Kind::SlashKeeper => self.slash_keeper(command, output),
            Kind::AppealSlash => self.appeal_slash(command, context, output),
            Kind::DecideAppeal => self.decide_appeal(command, output),
            Kind::ProposeAction => self.propose_action(command, output),
            Kind::ApproveAction => self.approve_action(command, output),
            Kind::CancelAction => self.cancel_action(command, output),
            Kind::ExecuteAction => self.execute_action(command, output),
            Kind::OfferAuthority => self.offer_authority(command, output),
            Kind::AcceptAuthority => self.accept_authority(command, output),
            Kind::WithdrawOffer => self.withdraw_offer(command, output),
            Kind::RenounceAuthority => self.renounce_authority(command, output),
            Kind::Liquidate => self.liquidate(command, context, output),
            Kind::CompleteLiquidation => self.complete_liquidation(command, output),
            Kind::Tick => self.tick(command, output),
            Kind::Continue => self.resume_work(command, output),
            Kind::AdvanceTime => self.advance_time(command, output),
            Kind::Snapshot | Kind::Checkpoint => self.record_hashes(command, kind, output),
            Kind::ActivateRules => self.activate_rules(command, output),
            Kind::CreateMarket => self.create_market(command, context, output),
            Kind::ListMarket => self.list_market(command, context, output),
            Kind::StakeToken => self.stake_token(command, context, output),
            Kind::UnstakeToken => self.unstake_token(command, context, output),
            Kind::ClaimRewards => self.claim_rewards(command, context, output),
            Kind::GrantLaunch => self.grant_launch(command, context.account, output),
            Kind::ClaimBootstrap => self.claim_bootstrap(command, context, output),
            Kind::RewardMarket => self.reward_market(command, output),
            Kind::ClaimMakerRewards => self.claim_maker_rewards(command, context, output),
            Kind::ClaimVested => self.claim_vested(command, context, output),
            Kind::SettleSeason => self.settle_season(command, output),
            Kind::UpdateMarket
            | Kind::UpdateMarketRisk
            | Kind::UpdateAsset
            | Kind::RegisterFeed
            | Kind::UpdateFeed
            | Kind::SetFeedSource
            | Kind::ConfigureBreaker
            | Kind::AllocateVesting
            | Kind::RevokeVesting
            | Kind::OpenSeason
            | Kind::SetParameter => self.change_directly(command, kind, output),
            Kind::PauseMarket => self.pause_market(command, output),
            Kind::ResumeMarket => self.resume_market(command, output),
            Kind::CloseMarket => self.close_market(command, output),
            Kind::RegisterAsset => self.register_asset(command, output),
            Kind::OpenAccount => self.open_account(command, context, output),
            Kind::OpenSubAccount => self.open_sub_account(command, context, output),
            Kind::SetDelegate => self.set_delegate(command, context, output),
            Kind::Deposit => self.deposit(command, context, output),
            Kind::RequestWithdrawal => self.request_withdrawal(command, context, output),
            Kind::CancelWithdrawal => self.cancel_withdrawal(command, context, output),
            Kind::ConfirmWithdrawal => self.confirm_withdrawal(command, output),
            Kind::Transfer => self.transfer(command, context, output),
            Kind::ListAddress | Kind::UnlistAddress => self.edit_address(command, kind, context, output),
            Kind::GrantRole => self.grant_role(command, output),
            Kind::RevokeRole => self.revoke_role(command, output),
            Kind::SuspendPrincipal => self.suspend_principal(command, output),
            Kind::ReinstatePrincipal => self.reinstate_principal(command, output),
        }
    }
}
