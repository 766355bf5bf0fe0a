"""What the process keeps in memory, and what it gives back to the system."""

from __future__ import annotations

import contextlib
import gc


def settle() -> None:
    """Tell the garbage collector that all there is now is there for good.

    A full collection would take six milliseconds, in which nobody is answered; it looks at what came later instead.
    """
    gc.collect()
    gc.freeze()


def give_back() -> None:
    """Give back what a crowd of callers needed: a third of it, for a piece that is in use anywhere stays.

    A C library without `malloc_trim` (any but glibc) keeps its part.
    """
    gc.collect()
    with contextlib.suppress(ImportError, OSError, AttributeError):
        import ctypes

        ctypes.CDLL(None).malloc_trim(0)
