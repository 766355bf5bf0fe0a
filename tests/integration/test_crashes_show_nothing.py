"""What a process prints of unforeseen errors: where they were raised, but not their messages."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

CANARY = "canary-4711"
LIMIT_S = 60

CRASHES = {
    "an error in a command": "def broken(*_):\n    try:\n        {}[CANARY]\n    except KeyError as error:\n"
    "        raise ValueError(CANARY) from error\nmain.run = broken",
    "an error of a group": "def broken(*_):\n    raise ExceptionGroup(CANARY, [ValueError(CANARY)])\nmain.run = broken",
    "an error in a thread": "import threading\ndef broken():\n    raise ValueError(CANARY)\n"
    "def run(*_):\n    thread = threading.Thread(target=broken)\n    thread.start()\n"
    "    thread.join()\n    return 0\nmain.run = run",
    "an error in a destructor": "class Broken:\n    def __del__(self):\n        raise ValueError(CANARY)\n"
    "main.run = lambda *_: Broken() and 0",
    "a task nobody asked about": "import asyncio\nasync def fails():\n    raise ValueError(CANARY)\n"
    "async def work():\n    task = asyncio.create_task(fails())\n    await asyncio.wait([task])\n"
    "main.run = lambda *_: on_the_loop(work) or 0",
    "a warning": "import warnings\nmain.run = lambda *_: warnings.warn(CANARY) or 0",
    "a library's log": "import logging\nasync def work():\n"
    "    logging.getLogger('aiohttp.server').error(CANARY)\nmain.run = lambda *_: on_the_loop(work) or 0",
    "an error of the event loop": "import asyncio\nasync def work():\n"
    "    asyncio.get_running_loop().call_exception_handler({'message': CANARY, 'exception': ValueError(CANARY)})\n"
    "main.run = lambda *_: on_the_loop(work) or 0",
}


@contextmanager
def full_pipe() -> Iterator[int]:
    """A stream on which every write blocks."""
    reading, writing = os.pipe()
    try:
        os.set_blocking(writing, False)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(writing, bytes(select.PIPE_BUF))
        os.set_blocking(writing, True)
        yield writing
    finally:
        os.close(reading)
        os.close(writing)


@pytest.mark.parametrize("flags", [(), ("-X", "dev")], ids=["plain", "dev"])
@pytest.mark.parametrize("crash", CRASHES.values(), ids=CRASHES.keys())
def test_an_unforeseen_error_is_told_without_its_text(crash: str, flags: tuple[str, ...]) -> None:
    # Joined at run time, so that no source line in the traceback holds it.
    source = "import sys; CANARY = '-'.join(['canary', '4711']); import sidecar.__main__ as main\n"
    source += f"from sidecar.app.running import run as on_the_loop\n{crash}\n"
    done = subprocess.run(
        [sys.executable, *flags, "-c", source + "main.main()"],
        capture_output=True, text=True, check=False, timeout=LIMIT_S,
    )  # fmt: skip
    assert CANARY not in done.stdout + done.stderr
    assert "token-sidecar: " in done.stderr


def test_it_says_where_the_error_came_from_and_from_what() -> None:
    source = "import sys, sidecar.__main__ as main\n" + CRASHES["an error in a command"] + "\nmain.main()"
    done = subprocess.run(
        [sys.executable, "-c", f"CANARY = 'x'\n{source}"], capture_output=True, text=True, check=False, timeout=LIMIT_S
    )
    assert done.returncode == 1
    assert "internal failure: " in done.stderr
    assert done.stderr.endswith("broken > ValueError from KeyError\n")


@pytest.mark.parametrize("crash", CRASHES.values(), ids=CRASHES.keys())
def test_a_process_whose_stderr_is_a_pipe_nobody_reads_ends_all_the_same(crash: str) -> None:
    source = f"import sidecar.__main__ as main\nfrom sidecar.app.running import run as on_the_loop\n{crash}\n"
    with full_pipe() as stderr:
        done = subprocess.run(
            [sys.executable, "-c", f"CANARY = 'x'\n{source}main.main()"], stderr=stderr, check=False, timeout=LIMIT_S
        )
    assert done.returncode in (0, 1)


def test_an_endless_recursion_is_told_in_a_line_that_a_pipe_takes_at_once() -> None:
    source = "import sidecar.__main__ as main\ndef run(*_):\n    run()\nmain.run = run\nmain.main()"
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=False, timeout=LIMIT_S)
    assert done.stderr.endswith(" > RecursionError\n")
    assert len(done.stderr) < select.PIPE_BUF


def test_a_fault_handlers_trace_has_no_values() -> None:
    source = "import os, sidecar.__main__ as main\ndef run(*_, secret='canary-4711'):\n    os.abort()\nmain.run = run\n"
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", source + "main.main()"],
        capture_output=True, text=True, check=False, timeout=LIMIT_S,
    )  # fmt: skip
    assert "Fatal Python error: Aborted" in done.stderr
    assert CANARY not in done.stderr
