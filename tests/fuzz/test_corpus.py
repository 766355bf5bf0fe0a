"""Every target holds over its corpus and over seeded changes to it, without a fuzzer."""

from __future__ import annotations

import pytest

from tests.fuzz.mutations import mutations
from tests.fuzz.targets import CORPUS, NAMES, target

COUNTS = {
    "request": 400,
    "partner_answer": 2000,
    "partner_table": 3000,
    "retry_after": 2000,
    "seal": 500,
    "settings": 300,
    "fast_path": 1000,
    "gateway_paths": 2000,
    "gateway_headers": 2000,
}


def test_every_target_has_a_corpus_and_every_corpus_a_target() -> None:
    assert sorted(path.name for path in CORPUS.iterdir()) == sorted(NAMES) == sorted(COUNTS)


@pytest.mark.parametrize("name", NAMES)
def test_the_corpus_of_a_target_has_no_findings(name: str) -> None:
    inputs = target(name).inputs
    assert len(inputs) >= 5
    for data in inputs:
        target(name).check(data)


@pytest.mark.parametrize("name", NAMES)
def test_mutations_of_the_corpus_have_no_findings(name: str) -> None:
    subject = target(name)
    for data in mutations(subject.inputs, subject.words, COUNTS[name], seed=1):
        subject.check(data)


def test_the_same_seed_makes_the_same_changes() -> None:
    subject = target("retry_after")
    first, again = (list(mutations(subject.inputs, subject.words, 50, seed=3)) for _ in range(2))
    assert first == again != list(mutations(subject.inputs, subject.words, 50, seed=4))
