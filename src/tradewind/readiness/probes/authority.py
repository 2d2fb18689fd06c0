"""The published authority matrix (protocol P14), written a second time, and commands for its cells."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from tradewind.core import commands
from tradewind.core.enums import ALL_MARKETS, Role, Scope, Side
from tradewind.core.hashing import account_id
from tradewind.core.native import command_kinds
from tradewind.core.records import codec
from tradewind.readiness.probes.exchange import DAY_NS, START_NS, Exchange, key_of

# Permission bits by role; a role not listed for a command may not send it.
BITS: Final[Mapping[Role, frozenset[str]]] = {
    Role.TRADER: frozenset({"TRADE"}),
    Role.LIQUIDITY_PROVIDER: frozenset({"LIQUIDITY", "TRADE"}),
    Role.KEEPER: frozenset({"LIQUIDATE", "CRANK"}),
    Role.ORACLE: frozenset({"ORACLE"}),
    Role.OPERATOR: frozenset({"CREATE_MARKET", "FEES", "LIQUIDITY", "KEEPERS"}),
    Role.RISK: frozenset({"CONFIG", "RISK"}),
    Role.EMERGENCY: frozenset({"PAUSE"}),
    Role.RESUMER: frozenset({"RESUME"}),
    Role.GOVERNOR: frozenset({"PROPOSE"}),
    Role.APPROVER: frozenset({"APPROVE"}),
    Role.ARBITER: frozenset({"RESOLVE_VOTE"}),
    Role.TREASURER: frozenset({"TOKEN", "TREASURY"}),
    Role.ROLE_ADMIN: frozenset({"ROLES"}),
    Role.AUDITOR: frozenset({"PRIVATE_DATA", "AUDIT_READ"}),
    Role.SYSTEM: frozenset({"CRANK", "SYSTEM"}),
    Role.DARK_TRADER: frozenset({"TRADE", "DARK"}),
}
# The bit that each administrative command wants.
NEEDED: Final[Mapping[str, str]] = {
    "CreateMarket": "CREATE_MARKET",
    "RegisterAsset": "CREATE_MARKET",
    "CloseMarket": "CREATE_MARKET",
    "LinkVenue": "CREATE_MARKET",
    "LinkMarket": "CREATE_MARKET",
    "CreateVerse": "CREATE_MARKET",
    "MoveVerse": "CREATE_MARKET",
    "UpdateMarket": "CONFIG",
    "PauseMarket": "PAUSE",
    "HaltVerse": "PAUSE",
    "CancelAll": "PAUSE",
    "ResumeMarket": "RESUME",
    "ResumeVerse": "RESUME",
    "GrantRole": "ROLES",
    "RevokeRole": "ROLES",
    "SuspendPrincipal": "ROLES",
    "ReinstatePrincipal": "ROLES",
    "Deposit": "SYSTEM",
    "ConfirmWithdrawal": "SYSTEM",
    "Tick": "SYSTEM",
    "Continue": "SYSTEM",
    "AdvanceTime": "SYSTEM",
    "Snapshot": "SYSTEM",
    "Checkpoint": "SYSTEM",
    "ActivateRules": "SYSTEM",
    "CompleteLiquidation": "SYSTEM",
    "UpdateMarketRisk": "CONFIG",
    "UpdateAsset": "CONFIG",
    "SetParameter": "CONFIG",
    "ConfigureBreaker": "CONFIG",
    "RegisterFeed": "CONFIG",
    "UpdateFeed": "CONFIG",
    "SetFeedSource": "CONFIG",
    "SetSuitability": "RISK",
    "SetRateClass": "RISK",
    "LinkOwners": "RISK",
    "CloseCase": "RISK",
    "PublishRisk": "RISK",
    "PublishPrice": "ORACLE",
    "PublishVenueBatch": "ORACLE",
    "VenueItem": "ORACLE",
    "RefreshVenue": "ORACLE",
    "RemoveKeeper": "KEEPERS",
    "ReinstateKeeper": "KEEPERS",
    "SlashKeeper": "KEEPERS",
    "DecideAppeal": "RESOLVE_VOTE",
    "VoteResolution": "RESOLVE_VOTE",
    "AllocateVesting": "TOKEN",
    "RevokeVesting": "TOKEN",
    "OpenSeason": "TOKEN",
    "SettleSeason": "SYSTEM",
    "PruneMarket": "SYSTEM",
    "ProposeAction": "PROPOSE",
    "ApproveAction": "APPROVE",
    "TripBreaker": "PAUSE",
    "OverrideFeed": "PAUSE",
    "CloseBreaker": "RESUME",
}
# Sent on the sender's own account: who has no account is refused as well, by another check.
ON_OWN_ACCOUNT: Final[Mapping[str, str]] = {
    "Liquidate": "LIQUIDATE",
    "KeeperAct": "CRANK",
    "CreatePool": "CREATE_MARKET",  # or whoever made the market, who here has the bit as well
}
# Acts on the account of somebody else, which the command names.
ON_ANY_ACCOUNT: Final = frozenset({"SetSuitability", "SetRateClass", "LinkOwners"})
# The delegate's scope that each command of an owner wants; None: the owner only.
OWNED: Final[Mapping[str, Scope | None]] = {
    "PlaceOrder": Scope.TRADE,
    "ReplaceOrder": Scope.TRADE,
    "PlaceTwap": Scope.TRADE,
    "PlaceBatch": Scope.TRADE,
    "BatchItem": Scope.TRADE,
    "ClosePosition": Scope.TRADE,
    "OpenLeveraged": Scope.TRADE,
    "CloseLeveraged": Scope.TRADE,
    "LockCredit": Scope.TRADE,
    "ReleaseCredit": Scope.TRADE,
    "StageCredit": Scope.TRADE,
    "SwapAmm": Scope.TRADE,
    "TradeDistribution": Scope.TRADE,
    "CancelOrder": Scope.CANCEL,
    "CancelDark": Scope.CANCEL,
    "CancelAll": Scope.CANCEL,
    "SetCancelAllAfter": Scope.CANCEL,
    "OpenSubAccount": None,
    "SetDelegate": None,
    "RequestWithdrawal": None,
    "CancelWithdrawal": None,
    "Transfer": None,
    "ListAddress": None,
    "UnlistAddress": None,
    "AdjustMargin": None,
    "RepayLoan": None,
    "FundInsurance": None,
    "RegisterKeeper": None,
    "StakeKeeper": None,
    "UnstakeKeeper": None,
    "WithdrawKeeperStake": None,
    "AppealSlash": None,
    "AddLiquidity": None,
    "RemoveLiquidity": None,
    "CollectLiquidity": None,
    "OpenChain": None,
    "CloseChain": None,
    "MintSet": None,
    "MergeSet": None,
    "Redeem": None,
    "ListMarket": None,
    "ProposeResolution": None,
    "DisputeResolution": None,
    "DepositCredit": None,
    "WithdrawCredit": None,
    "DepositVault": None,
    "RequestVaultExit": None,
    "ClaimVaultExit": None,
    "StakeToken": None,
    "UnstakeToken": None,
    "ClaimRewards": None,
    "ClaimVested": None,
    "ClaimMakerRewards": None,
    "ClaimBootstrap": None,
}
# Anybody may send these: what they name must exist, be due, or be the sender's own.
OPEN_TO_ALL: Final = frozenset(
    {
        "OpenAccount",
        "SettleMarket",
        "CrankFunding",
        "ExecuteAction",
        "FinaliseResolution",
        "CancelAction",
        "OfferAuthority",
        "AcceptAuthority",
        "WithdrawOffer",
        "RenounceAuthority",
    }
)
# Answers that say "you may not", as opposed to "this cannot be done".
REFUSALS: Final = frozenset(
    {
        "UNAUTHORIZED_SIGNER",
        "PERMISSION_DENIED",
        "ROLE_EXPIRED",
        "PRINCIPAL_SUSPENDED",
        "DELEGATE_SCOPE",
        "ROLE_ESCALATION",
        "CONFLICT_OF_INTEREST",
        "SELF_APPROVAL",
        "ZERO_AUTHORITY",
    }
)
VICTIM: Final = key_of("someone with a trader's role")
OWNER: Final = key_of("owner")


def raw_command(
    name: str, principal: bytes, account: bytes, client_key: bytes, payload: bytes = b""
) -> bytes:
    """A command by name with a payload of bytes, for kinds that have no builder."""
    kind, operation, _ = command_kinds()[name]
    return codec("Command").pack(
        tag=0x80,
        version=1,
        length=commands.COMMAND_SIZE,
        kind=kind,
        op=operation,
        principal=principal,
        account=account,
        client_key=client_key,
        payload=payload.ljust(72, b"\0"),
    )


def administrative(exchange: Exchange, name: str, principal: bytes) -> bytes:
    """The administrative command ``name``, such that only authority can stand in its way."""
    key = exchange.key()
    common: dict[str, Any] = {"principal": principal, "client_key": key}
    expiry_ns = START_NS + 30 * DAY_NS
    builders: Mapping[str, Callable[[], bytes]] = {
        "CreateMarket": lambda: commands.create_market(
            **common,
            account=account_id(principal),
            nonce=77,
            base=0,
            quote=1,
            tick_size=10_000,
            lot_size=1_000,
        ),
        "RegisterAsset": lambda: commands.register_asset(**common, symbol="NEW"),
        "CloseMarket": lambda: commands.close_market(**common, market=0),
        "UpdateMarket": lambda: commands.update_market(**common, market=0, config_version=1, band_bp=2_000),
        "PauseMarket": lambda: commands.pause_market(
            **common, level=1, until_ns=exchange.now_ns + 10**12, reason="drill"
        ),
        "CancelAll": lambda: commands.cancel_all(**common, market=0),
        "ResumeMarket": lambda: commands.resume_market(**common, market=ALL_MARKETS, pause_id=1),
        "GrantRole": lambda: commands.grant_role(
            **common, grantee=key_of("new"), role=Role.ROLE_ADMIN, expiry_ns=expiry_ns
        ),
        "RevokeRole": lambda: commands.revoke_role(**common, grantee=VICTIM, role=Role.TRADER),
        "SuspendPrincipal": lambda: commands.suspend_principal(**common, target=VICTIM),
        "ReinstatePrincipal": lambda: commands.suspend_principal(**common, target=VICTIM, suspended=False),
        "Deposit": lambda: commands.deposit(
            **common, account=account_id(OWNER), asset=1, amount=1, external_id=key.ljust(32, b"d")
        ),
        "ConfirmWithdrawal": lambda: commands.confirm_withdrawal(
            **common, ticket=1, ok=True, external_id=key.ljust(32, b"w")
        ),
    }
    builder = builders.get(name)
    if builder is not None:
        return builder()
    account = commands.NO_ACCOUNT_ID
    if name in ON_OWN_ACCOUNT:
        account = account_id(principal)
    elif name in ON_ANY_ACCOUNT:
        account = account_id(OWNER)
    return raw_command(name, principal, account, key)


def may_send(name: str, role: Role) -> bool:
    """Whether a living grant of ``role`` is enough for the administrative command ``name``."""
    if name == "Liquidate" and role == Role.SYSTEM:
        return True  # the exchange itself liquidates when no keeper does
    return {**NEEDED, **ON_OWN_ACCOUNT}[name] in BITS[role]


def of_owner(exchange: Exchange, name: str, principal: bytes, order: int) -> bytes:
    """The command ``name`` on the owner's account, sent by ``principal``; ``order`` is open there."""
    common: dict[str, Any] = {
        "principal": principal,
        "account": account_id(OWNER),
        "client_key": exchange.key(),
    }
    builders: Mapping[str, Callable[[], bytes]] = {
        "PlaceOrder": lambda: commands.place_order(**common, market=0, side=Side.BUY, price=90, lots=10_000),
        "ReplaceOrder": lambda: commands.replace_order(**common, order=order, total_lots=9_000),
        "CancelOrder": lambda: commands.cancel_order(**common, order=order),
        "CancelAll": lambda: commands.cancel_all(**common, market=0),
        "SetCancelAllAfter": lambda: commands.set_cancel_all_after(**common, window_s=60),
        "OpenSubAccount": lambda: commands.open_sub_account(**common, index=5),
        "SetDelegate": lambda: commands.set_delegate(
            **common, key=key_of("friend"), scopes=int(Scope.ALL), expiry_ns=exchange.now_ns + DAY_NS
        ),
        "RequestWithdrawal": lambda: commands.request_withdrawal(
            **common, asset=1, amount=10**6, address_hash=key_of("address")
        ),
        "CancelWithdrawal": lambda: commands.cancel_withdrawal(**common, ticket=1),
        "Transfer": lambda: commands.transfer(**common, to_sub=1, asset=1, amount=1),
    }
    builder = builders.get(name)
    if builder is not None:
        return builder()
    # An address goes with the commands that list one; for the others zero is a value like any other.
    payload = bytes(8) + key_of("address") if name in ("ListAddress", "UnlistAddress") else b""
    return raw_command(name, principal, account_id(OWNER), common["client_key"], payload)
