"""Memory of the process: garbage collection, and memory returned to the system."""

from __future__ import annotations

import contextlib
import gc


def settle() -> None:
    """Exempt all objects that exist now from garbage collection.

    A full collection of them would block all requests for six milliseconds. It now visits later objects only.
    """
    gc.collect()
    gc.freeze()


def give_back() -> None:
    """Return memory to the system after many connections: a third of theirs, as a block with any used part stays.

    A C library without `malloc_trim` (all but glibc) keeps its part.
    """
    gc.collect()
    with contextlib.suppress(ImportError, OSError, AttributeError):
        import ctypes

        ctypes.CDLL(None).malloc_trim(0)
