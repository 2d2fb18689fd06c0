"""The catalogue is loaded whole and strictly: one defect and nothing can be evaluated."""

from __future__ import annotations

import itertools
import math
from importlib import resources

import pytest

from tradewind.readiness.catalogue import ENVIRONMENTS, Catalogue, Threshold, load_catalogue
from tradewind.readiness.errors import CatalogueError, UnknownCriterionError, UnknownEnvironmentError

HEADER = """
schema_version = 1
stages = ["sim", "paper", "testnet", "canary", "live"]
roles = ["engineering", "security", "operations", "legal", "executive"]
"""
CRITERION = """
[[criterion]]
id = "orders-place"
title = "Placing orders"
area = "orders"
source = ["A:AC 1"]
requirement = "Every order type is accepted."
kind = "auto"
stage = "sim"
evidence_from = "sim"
threshold = [{ metric = "passed", op = "==", value = 1, unit = "ratio", role = "floor" }]
max_age_days = 30
mutation = "drop one order type"
"""


def load(text: str) -> Catalogue:
    return load_catalogue(text.encode())


def test_the_shipped_catalogue_is_valid_and_holds_every_criterion_of_its_file() -> None:
    data = resources.files("tradewind.readiness").joinpath("criteria.toml").read_bytes()
    catalogue = load_catalogue(data)
    assert len(catalogue.criteria) == data.count(b"\n[[criterion]]\n") > 300
    assert len(catalogue.catalogue_hash) == 64


def test_each_environment_demands_all_that_the_lower_ones_demand(catalogue: Catalogue) -> None:
    demanded = [{item.id for item in catalogue.demanded_by(name)} for name in ENVIRONMENTS]
    assert all(lower < upper for lower, upper in itertools.pairwise(demanded))
    assert len(demanded[-1]) == len(catalogue.criteria)


def test_a_minimal_catalogue_loads() -> None:
    criterion = load(HEADER + CRITERION).get("orders-place")
    assert (criterion.layer, criterion.signer, criterion.renewal) == (0, None, None)
    assert criterion.threshold == (Threshold("passed", "==", 1, "ratio", "floor"),)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('title = "Placing orders"', 'title = "Placing orders"\ncolour = "red"', "unknown key 'colour'"),
        ('title = "Placing orders"\n', "", "key 'title' is missing"),
        ('title = "Placing orders"', "title = 3", "title must be str"),
        ('title = "Placing orders"', 'title = ""', "title is empty"),
        ('op = "=="', 'op = "~"', "bad op"),
        ('stage = "sim"', 'stage = "moon"', "bad stage"),
        ('evidence_from = "sim"', 'evidence_from = "moon"', "bad evidence_from"),
        ('kind = "auto"', 'kind = "guess"', "bad kind"),
        ('kind = "auto"', 'kind = "attest"', "signer belongs to kind attest"),
        ('kind = "auto"', 'kind = "auto"\nsigner = "legal"', "signer belongs to kind attest"),
        ('kind = "auto"', 'kind = "attest"\nsigner = "cook"', "bad signer"),
        ('kind = "auto"', 'kind = "auto"\nlayer = 7', "bad layer"),
        ('kind = "auto"', 'kind = "auto"\nrenewal = "never"', "bad renewal"),
        ("max_age_days = 30", "max_age_days = 0", "max_age_days must be positive"),
        ("max_age_days = 30", "max_age_days = true", "max_age_days must be int"),
        ("value = 1", "value = nan", "not a finite number"),
        ("value = 1", "value = true", "not a finite number"),
        ('role = "floor"', 'role = "ceiling"', "bad threshold role"),
        ('unit = "ratio", ', "", "exactly the keys"),
        ('id = "orders-place"', 'id = "Orders Place"', "kebab-case"),
        ('id = "orders-place"', 'id = "markets-place"', "must begin with its area"),
        ("threshold = [{", "threshold = [3, {", "exactly the keys"),
    ],
)
def test_a_defect_is_named(old: str, new: str, problem: str) -> None:
    text = CRITERION.replace(old, new)
    assert text != CRITERION
    with pytest.raises(CatalogueError, match=problem):
        load(HEADER + text)


def test_a_duplicate_id_is_refused() -> None:
    with pytest.raises(CatalogueError, match="duplicate id"):
        load(HEADER + CRITERION + CRITERION)


@pytest.mark.parametrize(
    "text",
    [
        "",
        HEADER,
        HEADER.replace("1", "2") + CRITERION,
        HEADER.replace('"sim", ', "") + CRITERION,
        HEADER.replace('"legal", ', "") + CRITERION,
        "extra = 1\n" + HEADER + CRITERION,
        "not toml",
    ],
)
def test_a_bad_header_is_refused(text: str) -> None:
    with pytest.raises(CatalogueError):
        load(text)


def test_bytes_that_are_not_text_are_refused() -> None:
    with pytest.raises(CatalogueError, match="not readable"):
        load_catalogue(b"\xff\xfe")


def test_any_change_of_the_file_changes_the_hash() -> None:
    assert load(HEADER + CRITERION).catalogue_hash != load(HEADER + CRITERION + "\n").catalogue_hash


def test_unknown_names_are_typed_errors(catalogue: Catalogue) -> None:
    with pytest.raises(UnknownCriterionError):
        catalogue.get("orders-none")
    with pytest.raises(UnknownEnvironmentError):
        catalogue.demanded_by("production")


@pytest.mark.parametrize("op", ["==", "<=", ">=", "<", ">"])
@pytest.mark.parametrize("measured", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_no_number_satisfies_nothing(op: str, measured: float) -> None:
    assert not Threshold("m", op, 1, "s", "floor").holds(measured)
