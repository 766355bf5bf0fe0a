"""One target under atheris, in a process of its own: `python -m tests.fuzz.watched TARGET [libFuzzer's options]`."""

from __future__ import annotations

import sys

import atheris

# The parser in Python is instrumented too: inputs for its branches are tried with the one in C as well.
WATCHED = ["sidecar", "aiohttp.http_parser", "aiohttp.web_protocol"]


def main() -> None:
    name, options = sys.argv[1], sys.argv[2:]
    with atheris.instrument_imports(include=WATCHED):
        from tests.fuzz.targets import target

        check = target(name).check
    atheris.Setup([sys.argv[0], *options], check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
