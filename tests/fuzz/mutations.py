"""Random changes to inputs, the same for the same seed: a replacement for a fuzzer."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence

_MOST_CHANGES = 6
_MOST_BYTES = 40


def mutations(inputs: Sequence[bytes], words: Sequence[bytes], count: int, seed: int) -> Iterator[bytes]:
    """Yield `count` inputs, each one of `inputs` with changes in some places; `words` have a meaning for the target."""
    chance = random.Random(seed)
    for _ in range(count):
        data = chance.choice(inputs)
        for _ in range(chance.randint(1, _MOST_CHANGES)):
            data = chance.choice(_CHANGES)(chance, data, chance.choice([*inputs, *words, *words]))
        yield data


def _flipped(chance: random.Random, data: bytes, _other: bytes) -> bytes:
    at = chance.randrange(len(data) or 1)
    return data[:at] + bytes(byte ^ (1 << chance.randrange(8)) for byte in data[at : at + 1]) + data[at + 1 :]


def _replaced(chance: random.Random, data: bytes, _other: bytes) -> bytes:
    at = chance.randrange(len(data) or 1)
    return data[:at] + chance.randbytes(chance.randint(1, 4)) + data[at + 1 :]


def _cut(chance: random.Random, data: bytes, _other: bytes) -> bytes:
    at = chance.randrange(len(data) or 1)
    return data[:at] + data[at + chance.randint(1, _MOST_BYTES) :]


def _doubled(chance: random.Random, data: bytes, _other: bytes) -> bytes:
    at = chance.randrange(len(data) or 1)
    return data[:at] + data[at : at + chance.randint(1, _MOST_BYTES)] * 2 + data[at:]


def _with_other(chance: random.Random, data: bytes, other: bytes) -> bytes:
    at = chance.randrange(len(data) + 1)
    return data[:at] + other + data[at:]


def _spliced(chance: random.Random, data: bytes, other: bytes) -> bytes:
    return data[: chance.randrange(len(data) + 1)] + other[chance.randrange(len(other) or 1) :]


_CHANGES: Sequence[Callable[[random.Random, bytes, bytes], bytes]] = (
    _flipped, _replaced, _cut, _doubled, _with_other, _with_other, _spliced,
)  # fmt: skip
