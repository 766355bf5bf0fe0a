"""The targets by name, each a module with `check` and `WORDS`, and the kept inputs of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

NAMES = (
    "request",
    "partner_answer",
    "partner_table",
    "retry_after",
    "seal",
    "settings",
    "fast_path",
    "gateway_paths",
    "gateway_headers",
)
CORPUS = Path(__file__).parent / "corpus"


@dataclass(frozen=True)
class Target:
    check: Callable[[bytes], None]
    words: Sequence[bytes]
    """Texts that a fuzzer should try as a whole."""
    corpus: Path

    @property
    def inputs(self) -> list[bytes]:
        return [path.read_bytes() for path in sorted(self.corpus.iterdir())]


def target(name: str) -> Target:
    """Import the target late, so that a fuzzer can instrument the modules that it imports."""
    module = import_module(f"tests.fuzz.{name}")
    return Target(module.check, module.WORDS, CORPUS / name)
