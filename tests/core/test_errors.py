"""The catalogue as exceptions."""

from __future__ import annotations

import pickle

import pytest

from tradewind import _core
from tradewind.core import errors


def test_every_code_has_a_class_with_the_catalogues_facts() -> None:
    catalogue = _core.error_catalogue()
    assert len(errors.BY_CODE) == len(catalogue) == len(errors.BY_NAME)
    for number, name, http_status, retryable, _ in catalogue:
        error = errors.BY_CODE[number](bound=3, given=4)
        assert (error.code, error.name, error.http_status, error.retryable) == (
            number,
            name,
            http_status,
            retryable,
        )
        assert (error.bound, error.given) == (3, 4)
        assert "{" not in error.message
        assert isinstance(error, errors.Rejected) and isinstance(error, errors.TradewindError)


def test_classes_are_reachable_by_name_and_survive_pickling() -> None:
    error = errors.TickMisaligned(bound=10_000, given=3)
    assert error.name == "TICK_MISALIGNED" and "0.01" in str(error)
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), again.bound, again.given) == (errors.TickMisaligned, 10_000, 3)
    with pytest.raises(AttributeError):
        errors.NoSuchThing  # noqa: B018


def test_unknown_code_is_refused() -> None:
    with pytest.raises(KeyError):
        errors.reject("NO_SUCH_CODE")
    assert errors.name_of(0) == "" and errors.message_of(0) == ""


def test_journal_errors_share_the_base_class() -> None:
    for name in ("JournalCorrupt", "JournalLocked", "JournalNoSpace", "EngineStopped", "ReplayMismatch"):
        assert issubclass(getattr(errors, name), errors.TradewindError)
    assert issubclass(errors.JournalNoSpace, errors.JournalIo)
