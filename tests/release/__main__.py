"""`make dist`: builds the packages into dist/, and proves the wheel in an empty virtual environment."""

from __future__ import annotations

import sys
import tarfile
import tempfile
from functools import partial
from pathlib import Path

from sidecar import __version__
from tests.release.building import build
from tests.release.checkout import TOP, copied, git
from tests.release.proof import Environment, token_of_the_demo

DIST = TOP / "dist"
NAME = f"pay1st_token_sidecar-{__version__}"
log = partial(print, flush=True)


def main() -> None:
    if changed := git("status", "--porcelain", "--untracked-files=no"):
        sys.exit(f"Uncommitted changes have no date and cannot be built again. Commit first:\n{changed}")
    with tempfile.TemporaryDirectory() as folder:
        _prove(_built(Path(folder)), Path(folder))


def _built(folder: Path) -> Path:
    DIST.mkdir(exist_ok=True)
    for old in DIST.glob("pay1st_token_sidecar-*"):
        old.unlink()
    log(f"Building {NAME} from commit {git('rev-parse', '--short', 'HEAD').strip()} ...")
    source = copied(folder / "checkout")
    sdist, wheel = build("sdist", source, DIST), build("wheel", source, DIST)
    log("Building the wheel again, from the sdist and in another place ...")
    with tarfile.open(sdist) as packed:
        packed.extractall(folder / "unpacked", filter="data")
    (folder / "again").mkdir()
    again = build("wheel", folder / "unpacked" / NAME, folder / "again")
    if again.read_bytes() != wheel.read_bytes():
        sys.exit("The two wheels differ.")
    log("  the same bytes")
    return wheel


def _prove(wheel: Path, folder: Path) -> None:
    log("Installing the locked dependencies and the wheel in an empty virtual environment ...")
    environment = Environment(folder / "environment", log)
    environment.install("--require-hashes", "--requirement", TOP / "requirements.lock")
    environment.install("--no-deps", "--no-index", wheel)
    version = environment.version()
    if version != f"token-sidecar {__version__}":
        sys.exit(f"The version of the installed command is {version}.")
    log(f"  {version}")
    log("Getting a token from its demo ...")
    log(f"  a token of {len(token_of_the_demo(environment.command))} characters; Ctrl-C ended it with exit code 0")
    for made in sorted(DIST.glob(f"{NAME}*")):
        log(made.relative_to(TOP))


if __name__ == "__main__":
    main()
