"""A sidecar that inspects its own objects: which show a secret, and how many hold one.

    python -m tests.support.inside

takes its settings from the environment, as `serve` does, and works. At SIGUSR1 it reads the secrets to look for from
the file that LOOK_FOR names, a line of hexadecimal digits each, and writes what it found as one line of JSON, `judged`.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import gc
import json
import os
import pickle
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, is_dataclass
from pathlib import Path

from sidecar.config.environment import take_environment


def every_object() -> Iterator[object]:
    """Yield the objects that the garbage collector tracks, and those they refer to, such as texts."""
    seen: dict[int, object] = {}
    waiting = gc.get_objects()
    mine = {id(seen), id(waiting)}
    while waiting:
        found = waiting.pop()
        if id(found) not in seen and id(found) not in mine:
            seen[id(found)] = found
            waiting += gc.get_referents(found)
    return iter(list(seen.values()))


def shows(thing: object) -> Iterator[tuple[str, str]]:
    """Yield each conversion of one of our objects to a text: its name, and the text."""
    ways: dict[str, Callable[[], object]] = {
        "repr": lambda: repr(thing),
        "str": lambda: str(thing),
        "format": lambda: f"{thing}",
        "vars": lambda: repr(vars(thing)),
        "copy": lambda: repr(copy.copy(thing)),
        "pickle": lambda: pickle.dumps(thing),
        "json": lambda: json.dumps(thing),
    }
    if is_dataclass(thing) and not isinstance(thing, type):
        ways["asdict"] = lambda: repr(asdict(thing))
    for way, make in ways.items():
        with contextlib.suppress(Exception):
            made = make()
            yield way, made.decode("latin-1") if isinstance(made, bytes) else str(made)


def is_ours(kind: type) -> bool:
    # Some types of C have none, or one that is no text.
    return str(getattr(kind, "__module__", "")).partition(".")[0] == "sidecar"


def judge(secrets: list[str]) -> dict[str, object]:
    """Count the objects of our classes (`kinds`), those that show a secret, and the texts that hold each secret."""
    shown, kinds, held = set[str](), set[str](), [0] * len(secrets)
    count = 0
    for thing in every_object():
        if any(thing is secret for secret in secrets):
            continue
        if isinstance(thing, str | bytes | bytearray):
            text = thing if isinstance(thing, str) else bytes(thing).decode("latin-1")
            for number, secret in enumerate(secrets):
                held[number] += secret in text
        elif is_ours(type(thing)):
            count += 1
            kinds.add(type(thing).__qualname__)
            shown |= {
                f"{type(thing).__qualname__} by {way}" for way, text in shows(thing) if any(s in text for s in secrets)
            }
    return {"looked_at": count, "kinds": sorted(kinds), "shown": sorted(shown), "held": held}


def look(path: Path) -> None:
    gc.collect()
    secrets = [bytes.fromhex(line).decode("latin-1") for line in path.read_text().split()]
    sys.stdout.write(json.dumps({"event": "judged", **judge(secrets)}) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Start as `serve` does, in the same order, and keep the references that it keeps."""
    path, environ = Path(os.environ["LOOK_FOR"]), take_environment(os.environ)
    from sidecar.app.process import settle
    from sidecar.app.run import wait_for_signal
    from sidecar.app.running import load_settings, run
    from sidecar.app.service import Service

    settings = load_settings(environ)

    async def work() -> None:
        service = Service(settings)
        settle()
        await service.start()
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, look, path)
        await wait_for_signal(service, 0)
        await service.stop()

    run(work)


if __name__ == "__main__":
    main()
