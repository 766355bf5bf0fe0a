"""Several processes write tokens to one file."""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

from sidecar.core.model import Secret
from sidecar.token_file_sink.token_file import TokenFile, remove_abandoned
from tests.support.replica import HANG_S

WRITER = """
import sys
from pathlib import Path
from sidecar.core.model import Secret
from sidecar.token_file_sink.token_file import TokenFile
file = TokenFile(Path(sys.argv[1]))
for count in range(300):
    file.put(Secret(str(count % 10) + sys.argv[2] * 2000))
"""
HOLDER = """
import sys
from pathlib import Path
from sidecar.token_file_sink.token_file import temporary_beside
with temporary_beside(Path(sys.argv[1]), 0o640):
    print("made", flush=True)
    sys.stdin.read()
"""


def content_of(path: Path) -> str:
    try:
        return path.read_text()[1:]
    except FileNotFoundError:
        return "no file"


def test_a_reader_finds_a_whole_token_at_each_look_while_three_processes_write_theirs(tmp_path: Path) -> None:
    path = tmp_path / "token"
    TokenFile(path).put(Secret("0" + "a" * 2000))
    reads: list[str] = []
    with ExitStack() as stack:
        argv = [[sys.executable, "-c", WRITER, str(path), letter] for letter in "bcd"]
        writers = [stack.enter_context(subprocess.Popen(each)) for each in argv]
        while any(writer.poll() is None for writer in writers):
            # Not asserted here: the writers would not be ended.
            reads.append(content_of(path))
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    assert set(reads) <= {letter * 2000 for letter in "abcd"}
    assert len(set(reads)) > 1
    assert [each.name for each in tmp_path.iterdir()] == ["token"]


def test_the_temporary_file_of_a_process_stays_while_it_runs_and_is_removed_once_it_was_killed(tmp_path: Path) -> None:
    path = tmp_path / "token"
    argv = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == b"made\n"
            (left,) = tmp_path.iterdir()
            remove_abandoned(path)
            assert left.exists()
        finally:
            holder.kill()
            holder.wait(HANG_S)
    assert left.exists()
    remove_abandoned(path)
    assert not left.exists()
