"""docs/sandbox.md: its files are a test suite that passes, and it says what the program says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import typing
from pathlib import Path

from sidecar.sandbox import config
from sidecar.sandbox.faults import FaultName
from sidecar.sandbox.journal import SignatureState

PAGE = (Path(__file__).parents[2] / "docs/sandbox.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"```python\n# (\w+\.py)\n(.*?)```", PAGE, re.DOTALL))


def test_the_pages_fixtures_and_tests_work(tmp_path: Path) -> None:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\nasyncio_default_fixture_loop_scope = function\nfilterwarnings = error\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:schemathesis"],
        cwd=tmp_path,
        env={
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.defpath}",
            "PYTHONPATH": str(Path(__file__).parents[2]),
        },
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert (done.returncode, "3 passed" in done.stdout) == (0, True), done.stdout + done.stderr


def test_the_page_names_every_fault_and_every_choice() -> None:
    choices = (FaultName, SignatureState, config.RefreshReuse, config.SignedRequests, config.TimestampOf)
    for choice in (*choices, config.RetryAfterForm):
        for name in typing.get_args(choice):
            assert re.search(rf"[`\" ]{name}[`\"]", PAGE), name
