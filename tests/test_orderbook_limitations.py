"""docs/ORDERBOOK_LIMITATIONS.md: every limit has an example, and every example is true."""

import re
from pathlib import Path

import pytest

from velox_engine.books.bucketed import Outcome

TEXT = (Path(__file__).parent.parent / "docs" / "ORDERBOOK_LIMITATIONS.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMON, *LIMITS = re.split(r"^## ", TEXT, flags=re.MULTILINE)
TITLES = [limit.splitlines()[0] for limit in LIMITS]
EXAMPLES = [(title, block) for title, limit in zip(TITLES, LIMITS, strict=True) for block in BLOCK.findall(limit)]


def run(block):
    """Run what all examples begin with, then this one."""
    names = {}
    for part in (*BLOCK.findall(COMMON), block):
        exec(compile(part, "ORDERBOOK_LIMITATIONS.md", "exec"), names)


@pytest.mark.parametrize(("title", "block"), EXAMPLES, ids=[title for title, _ in EXAMPLES])
def test_an_example_is_true(title, block):
    run(block)


@pytest.mark.parametrize("title", TITLES)
def test_each_limit_has_an_example_that_claims_something(title):
    blocks = [block for each, block in EXAMPLES if each == title]
    assert blocks
    assert all("assert " in block for block in blocks)


def test_a_claim_that_is_false_is_noticed():
    with pytest.raises(AssertionError):
        run(EXAMPLES[0][1].replace("(1_000_016, 40)", "(1_000_016, 41)"))


@pytest.mark.parametrize("outcome", Outcome, ids=lambda outcome: outcome.name)
def test_each_way_in_which_the_book_gives_up_is_shown(outcome):
    assert any(f"Outcome.{outcome.name})" in block for _, block in EXAMPLES)


def test_all_code_in_the_document_is_run():
    assert len(BLOCK.findall(TEXT)) == len(EXAMPLES) + 1
    assert TEXT.count("```") == 2 * (len(EXAMPLES) + 1)
