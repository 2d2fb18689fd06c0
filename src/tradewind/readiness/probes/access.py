"""access-control-matrix and access-admin-authority: who may do what, cell by cell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from tradewind.core import commands
from tradewind.core.engine import Grant
from tradewind.core.enums import Role, Scope, Side
from tradewind.core.hashing import account_id
from tradewind.core.native import Batch, Engine, command_kinds
from tradewind.core.records import codec
from tradewind.readiness.probe import ProbeContext, count
from tradewind.readiness.probes.authority import (
    BITS,
    NEEDED,
    ON_OWN_ACCOUNT,
    OPEN_TO_ALL,
    OWNED,
    OWNER,
    REFUSALS,
    VICTIM,
    administrative,
    may_send,
    of_owner,
)
from tradewind.readiness.probes.drill import Facts, drill, ratio
from tradewind.readiness.probes.exchange import (
    DAY_NS,
    SECOND_NS,
    STAFF,
    START_NS,
    Exchange,
    Send,
    honest,
    key_of,
)
from tradewind.readiness.probes.routes import http_routes, is_tested, unauthorised
from tradewind.readiness.record import MeasuredValue

NOBODY: Final = key_of("nobody")
STATES: Final = ("active", "expired", "suspended", "removed")
PASSED_NS: Final = 2 * SECOND_NS
DELEGATES: Final[Mapping[str, Scope]] = {
    "delegate TRADE": Scope.TRADE,
    "delegate CANCEL": Scope.CANCEL,
    "delegate TRANSFER_IN": Scope.TRANSFER_IN,
    "delegate ALL": Scope.ALL,
}


def principal_of(role: Role, state: str) -> bytes:
    """The key of the principal that holds, or held, a role."""
    if state == "active":
        return STAFF[role]
    # The smallest key with SYSTEM is the sequencer's own, which nobody can remove.
    key = key_of(f"{role.name} {state}")
    return b"\xff" + key[1:] if role == Role.SYSTEM else key


def _grants() -> Iterator[Grant]:
    later_ns = START_NS + 300 * DAY_NS
    for role in Role:
        yield Grant(principal_of(role, "expired"), role, START_NS + SECOND_NS + PASSED_NS // 2)
        yield Grant(principal_of(role, "suspended"), role, later_ns)
        yield Grant(principal_of(role, "removed"), role, later_ns)
    yield Grant(VICTIM, Role.TRADER, later_ns)


class Matrix:
    """One prepared exchange; every cell is asked on a fresh copy of its state."""

    def __init__(self, send: Send = honest) -> None:
        self.exchange = Exchange(extra=_grants())
        self.send = send
        self._prepare()
        self.exchange.now_ns += PASSED_NS
        self.image = self.exchange.engine.snapshot()

    def _prepare(self) -> None:
        exchange = self.exchange
        exchange.open_market()
        admin = STAFF[Role.ROLE_ADMIN]
        for role in Role:
            for state in STATES:
                principal = principal_of(role, state)
                if principal != STAFF[Role.OPERATOR]:
                    exchange.open_account(principal)
            removed, suspended = principal_of(role, "removed"), principal_of(role, "suspended")
            exchange.must(
                commands.revoke_role(principal=admin, client_key=exchange.key(), grantee=removed, role=role)
            )
            if role != Role.SYSTEM:
                exchange.must(
                    commands.suspend_principal(principal=admin, client_key=exchange.key(), target=suspended)
                )
        exchange.open_account(NOBODY)
        account = exchange.fund(OWNER)
        exchange.must(
            commands.open_sub_account(principal=OWNER, account=account, client_key=exchange.key(), index=1)
        )
        for name, scope in DELEGATES.items():
            self._delegate(key_of(name), int(scope), DAY_NS)
        self._delegate(key_of("delegate expired"), int(Scope.ALL), PASSED_NS // 2)
        self._delegate(key_of("delegate removed"), int(Scope.ALL), DAY_NS)
        self._delegate(key_of("delegate removed"), 0, DAY_NS)
        self.order = exchange.must(exchange.order(OWNER, Side.BUY, 90, 10_000)).value

    def _delegate(self, key: bytes, scopes: int, life_ns: int) -> None:
        exchange = self.exchange
        exchange.must(
            commands.set_delegate(
                principal=OWNER,
                account=account_id(OWNER),
                client_key=exchange.key(),
                key=key,
                scopes=scopes,
                expiry_ns=exchange.now_ns + life_ns,
            )
        )

    def ask(self, frame: bytes) -> tuple[str, bool]:
        """The refusal code ("" when authority let the command pass) and whether the state hash changed."""
        exchange = self.exchange
        exchange.engine, exchange.send = Engine.restore(self.image), self.send
        before = exchange.hash()
        code = exchange.ask(frame).code
        return (code if code in REFUSALS else ""), exchange.hash() != before


def _cell(matrix: Matrix, name: str, who: str, frame: bytes, allowed: bool) -> dict[str, Any]:
    code, changed = matrix.ask(frame)
    return {"command": name, "who": who, "allowed": allowed, "refused": code, "changed": changed}


def _role_cells(matrix: Matrix) -> Iterator[dict[str, Any]]:
    for name in (*NEEDED, *ON_OWN_ACCOUNT):
        for role in Role:
            for state in STATES:
                if (role, state) == (Role.SYSTEM, "suspended"):
                    continue  # SYSTEM cannot be suspended: the sequencer would lose its own identity
                principal = principal_of(role, state)
                allowed = state == "active" and may_send(name, role)
                frame = administrative(matrix.exchange, name, principal)
                yield _cell(matrix, name, f"{role.name} {state}", frame, allowed)
        yield _cell(matrix, name, "nobody", administrative(matrix.exchange, name, NOBODY), False)


def _owner_cells(matrix: Matrix) -> Iterator[dict[str, Any]]:
    people = {"owner": OWNER, "nobody": NOBODY, **{role.name: STAFF[role] for role in Role}}
    people |= {name: key_of(name) for name in (*DELEGATES, "delegate expired", "delegate removed")}
    for name, scope in OWNED.items():
        for who, principal in people.items():
            given = DELEGATES.get(who, Scope(0))
            allowed = who == "owner" or (scope is not None and bool(given & scope))
            yield _cell(matrix, name, who, of_owner(matrix.exchange, name, principal, matrix.order), allowed)


def _grant_cells(matrix: Matrix) -> Iterator[dict[str, Any]]:
    """Every role grants every role, to another and to itself."""
    for grantor in Role:
        for role in Role:
            for grantee, whom in ((key_of("grantee"), "another"), (STAFF[grantor], "itself")):
                frame = commands.grant_role(
                    principal=STAFF[grantor],
                    client_key=matrix.exchange.key(),
                    grantee=grantee,
                    role=role,
                    expiry_ns=matrix.exchange.now_ns + DAY_NS,
                )
                covered = BITS[role] <= BITS[grantor]
                allowed = "ROLES" in BITS[grantor] and covered and whom == "another"
                cell = _cell(
                    matrix, "GrantRole", f"{grantor.name} gives {role.name} to {whom}", frame, allowed
                )
                yield {**cell, "escalation": not covered or whom == "itself"}


def _handover_cells(matrix: Matrix) -> Iterator[dict[str, Any]]:
    """Every role's holder offers every role to a nominee: one's own only, and never to oneself or nobody."""
    nominees = {"another": key_of("nominee"), "itself": b"", "nobody": bytes(32)}
    for holder in Role:
        for role in Role:
            for name, nominee in nominees.items():
                if name != "another" and role != holder:
                    continue
                frame = commands.build(
                    "OfferAuthority",
                    principal=STAFF[holder],
                    client_key=matrix.exchange.key(),
                    nominee=nominee or STAFF[holder],
                    authority=role,
                )
                who = f"{holder.name} offers {role.name} to {name}"
                allowed = role == holder and name == "another"
                yield {**_cell(matrix, "OfferAuthority", who, frame, allowed), "escalation": not allowed}


def _observe_matrix(context: ProbeContext, send: Send = honest) -> Facts:
    matrix = Matrix(send)
    known = set(NEEDED) | set(ON_OWN_ACCOUNT) | set(OWNED) | OPEN_TO_ALL
    return {
        "commands_without_cell": sorted(set(command_kinds()) - known),
        "commands": len(command_kinds()),
        "cells": [
            *_role_cells(matrix),
            *_owner_cells(matrix),
            *_grant_cells(matrix),
            *_handover_cells(matrix),
        ],
    }


def _is(name: str, frame: bytes) -> bool:
    kind, operation, _ = command_kinds()[name]
    fields = codec("Command").unpack(frame)
    return (fields["kind"], fields["op"]) == (kind, operation)


def _with_generous_manager(context: ProbeContext) -> Facts:
    """The role manager's grants are taken without comparing their bits with its own."""
    offset = next(o for name, o, _ in codec("Command").fields if name == "payload")
    offset += next(o for name, o, _ in codec("GrantRole").fields if name == "role")

    def generous(engine: Any, frames: bytes, now_ns: int) -> Batch:
        if _is("GrantRole", frames):
            frames = frames[:offset] + bytes([Role.ROLE_ADMIN]) + frames[offset + 1 :]
        return honest(engine, frames, now_ns)

    return _observe_matrix(context, generous)


def _unexpected(cells: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        cell
        for cell in cells
        if cell["allowed"] == bool(cell["refused"]) or (cell["refused"] and cell["changed"])
    ]


def _summarise_matrix(facts: Facts) -> Mapping[str, MeasuredValue]:
    cells = facts["cells"]
    grants = [cell for cell in cells if cell.get("escalation")]
    covered = facts["commands"] - len(facts["commands_without_cell"])
    return {
        "matrix_cells_tested": MeasuredValue(covered / facts["commands"], "ratio", len(cells)),
        "unexpected_outcomes": count(len(_unexpected(cells)), len(cells)),
        "privilege_escalations": count(sum(not cell["refused"] for cell in grants), len(grants)),
    }


matrix_probe = drill(
    "access-control-matrix",
    observe=_observe_matrix,
    broken=_with_generous_manager,
    summarise=_summarise_matrix,
    provenance="virtual",
)


def _observe_admin(context: ProbeContext, send: Send = honest) -> Facts:
    matrix = Matrix(send)
    administrative_commands = set(command_kinds()) - set(OWNED) - OPEN_TO_ALL
    tested = administrative_commands & (set(NEEDED) | set(ON_OWN_ACCOUNT))
    return {
        "administrative": len(administrative_commands),
        "tested": len(tested),
        "cells": list(_role_cells(matrix)),
        "accepted_with_nothing_granted": _hard_coded(send),
        "routes": http_routes(context),
    }


def _hard_coded(send: Send) -> list[str]:
    """Administrative commands that an identity without any grant may send: it must be built in."""
    exchange, asked = Exchange(send), (*NEEDED, *ON_OWN_ACCOUNT)
    # On his own account somebody without one is refused for that.
    without = REFUSALS | {"ACCOUNT_NOT_FOUND"}
    candidates = {"zero": bytes(32), "ones": b"\xff" * 32, "one": (1).to_bytes(32, "big"), "nobody": NOBODY}
    return [
        f"{name} by {who}"
        for name in asked
        for who, principal in candidates.items()
        if exchange.ask(administrative(exchange, name, principal)).code
        not in (without if name in ON_OWN_ACCOUNT else REFUSALS)
    ]


def _without_check_of_pause(context: ProbeContext) -> Facts:
    """The permission check of PauseMarket is always true."""
    offset = next(o for name, o, _ in codec("Command").fields if name == "principal")

    def open_door(engine: Any, frames: bytes, now_ns: int) -> Batch:
        if _is("PauseMarket", frames):
            frames = frames[:offset] + STAFF[Role.EMERGENCY] + frames[offset + 32 :]
        return honest(engine, frames, now_ns)

    return _observe_admin(context, open_door)


def _summarise_admin(facts: Facts) -> Mapping[str, MeasuredValue]:
    denied = [cell for cell in facts["cells"] if not cell["allowed"]]
    # Of reading routes nothing is administrative, but they too may be read with the permission only.
    routes = facts["routes"]
    paths = facts["administrative"] + len(routes)
    accepted = sum(not cell["refused"] for cell in denied) + sum(len(unauthorised(row)) for row in routes)
    asked = sum(wanted != "" for row in routes for wanted in row["expected"].values())
    return {
        "admin_paths_tested": ratio(facts["tested"] + sum(is_tested(row) for row in routes), paths),
        "unauthorised_accepted": count(accepted, len(denied) + asked),
        "hard_coded_identities": count(len(facts["accepted_with_nothing_granted"]), len(NEEDED)),
    }


admin_probe = drill(
    "access-admin-authority",
    observe=_observe_admin,
    broken=_without_check_of_pause,
    summarise=_summarise_admin,
    provenance="virtual",
)
