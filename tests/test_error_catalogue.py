"""The error catalogue against the sources (P20.3): what nothing raises or no test names is only a promise."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tradewind import _core
from tradewind.core import errors

ROOT = Path(__file__).resolve().parents[1]

RESERVED: dict[str, str] = {
    "CROSS_SHARD_CHAIN": "one shard has every market, account and pool that a step can name",
    "PROBABILITY_SUM_INVALID": "quotes are normalised when they are taken, so no sum is off inside",
}
"""Numbers that this build never answers with, and why."""

TABLE = "crates/engine/src/wire/error.rs"


def _sources() -> tuple[str, str]:
    """Text of the product and of the tests; a module of tests inside of a source file is a test."""
    product, tests = [], []
    for path in sorted([*ROOT.glob("crates/*/src/**/*.rs"), *ROOT.glob("src/tradewind/**/*.py")]):
        if path.relative_to(ROOT).as_posix() == TABLE:
            continue
        text = path.read_text()
        begin = 0 if path.name == "tests.rs" else text.find("#[cfg(test)]")
        product.append(text if begin < 0 else text[:begin])
        tests.append("" if begin < 0 else text[begin:])
    for path in sorted([*ROOT.glob("crates/*/tests/**/*.rs"), *ROOT.glob("tests/**/*.py")]):
        if path != Path(__file__):
            tests.append(path.read_text())
    return "\n".join(product), "\n".join(tests)


PRODUCT, TESTS = _sources()


def _names(code: int) -> re.Pattern[str]:
    entry = errors.BY_CODE[code]
    return re.compile(rf"\b(?:{entry.name}|{entry.__name__})\b")


@pytest.mark.parametrize("code", sorted(errors.BY_CODE), ids=errors.name_of)
def test_every_code_is_raised_by_the_product_and_named_by_a_test(code: int) -> None:
    raised, tested = (bool(_names(code).search(text)) for text in (PRODUCT, TESTS))
    if errors.name_of(code) in RESERVED:
        assert not raised, "the code is in use now: take it off the list"
    else:
        assert raised, "nothing answers with this code"
        assert tested, "no test sees this code"


def test_every_code_has_a_sentence_of_its_own() -> None:
    sentences = [template for _, _, _, _, template in _core.error_catalogue()]
    assert len(set(sentences)) == len(sentences)
    assert all(len(sentence.split()) >= 3 for sentence in sentences)
