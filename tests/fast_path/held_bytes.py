"""The texts that can be reached from an object."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from types import FunctionType, ModuleType


def held_bytes(thing: object, *, but: Sequence[object] = ()) -> bytes:
    """Return every text that can be reached from `thing`, one a line. `but`: objects of the test that are skipped.

    Modules, classes and the globals of functions are skipped, too: they belong to the program, not to the object.
    """
    seen = {id(passed) for passed in but}
    waiting, texts = [thing], set[bytes]()
    while waiting:
        found = waiting.pop()
        if id(found) in seen or isinstance(found, ModuleType | type):
            continue
        seen.add(id(found))
        if isinstance(found, str):
            texts.add(found.encode())
        elif isinstance(found, bytes | bytearray):
            texts.add(bytes(found))
        elif isinstance(found, FunctionType):
            waiting += [found.__closure__, found.__defaults__, found.__kwdefaults__]
        else:
            waiting += gc.get_referents(found)
    return b"\n".join(sorted(texts))
