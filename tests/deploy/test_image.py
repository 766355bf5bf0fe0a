"""The Dockerfile, instruction by instruction, and its build context."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

import sidecar

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "deploy/docker/Dockerfile"


def instructions() -> list[tuple[str, str]]:
    """Return every instruction of the Dockerfile as (name, rest), continued lines joined, comments dropped."""
    text = "\n".join(line for line in DOCKERFILE.read_text().splitlines() if not line.startswith("#"))
    joined = text.replace("\\\n", " ")
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in joined.splitlines() if line.strip())]


def final_stage() -> dict[str, str]:
    """Return the last of each instruction after the last FROM."""
    written = instructions()
    last_from = max(at for at, (name, _) in enumerate(written) if name == "FROM")
    return dict(written[last_from:])


def copied() -> list[str]:
    """Return the paths that are copied from the build context."""
    rests = [rest for name, rest in instructions() if name == "COPY" and not rest.startswith("--from")]
    return [source for rest in rests for source in shlex.split(rest)[:-1]]


def test_runs_as_a_numeric_user_that_is_not_root() -> None:
    assert final_stage()["USER"] == "65532:65532"


def test_needs_no_shell_to_start_stop_or_be_checked() -> None:
    stage = final_stage()
    assert json.loads(stage["ENTRYPOINT"]) == ["token-sidecar"]
    assert json.loads(stage["CMD"]) == ["serve"]
    assert stage["STOPSIGNAL"] == "SIGTERM"
    assert json.loads(stage["HEALTHCHECK"].partition(" CMD ")[2])[0] == "python"


def test_the_default_base_is_a_patch_release_pinned_by_its_digest_in_one_place() -> None:
    base = next(rest for name, rest in instructions() if name == "ARG")
    assert re.fullmatch(r"BASE=python:3\.13\.\d+-slim-[a-z]+@sha256:[0-9a-f]{64}", base)
    assert DOCKERFILE.read_text().count("@sha256:") == 1


def test_every_stage_starts_from_the_same_base() -> None:
    assert [rest.split()[0] for name, rest in instructions() if name == "FROM"] == ["${BASE}", "${BASE}"]


def test_the_version_label_is_the_version() -> None:
    assert ("ARG", f"VERSION={sidecar.__version__}") in instructions()


def test_every_download_is_checked_against_a_hash() -> None:
    runs = [part for name, rest in instructions() if name == "RUN" for part in rest.split("&&") if " install " in part]
    assert runs
    assert all("--require-hashes" in run or ("--no-index" in run and "--no-deps" in run) for run in runs)


@pytest.mark.parametrize("lock", ["requirements.lock", "deploy/docker/build.lock"])
def test_each_locked_requirement_is_exact_and_hashed(lock: str) -> None:
    text = (ROOT / lock).read_text().replace("\\\n", " ")
    requirements = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    assert requirements
    for requirement in requirements:
        assert re.match(r"[A-Za-z0-9._-]+(\[[a-z,]+\])?==\S+.*--hash=sha256:[0-9a-f]{64}", requirement), requirement


def test_what_is_copied_exists_and_is_all_the_build_context_holds() -> None:
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert lines[0] == "*"
    assert sorted(line[1:] for line in lines if line.startswith("!")) == sorted(copied())
    assert [source for source in copied() if not (ROOT / source).exists()] == []
