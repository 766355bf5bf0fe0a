"""A file store that another user of the machine may change is refused: at the start, and while it is in use."""

# ruff: noqa: ASYNC240 - a temporary directory, and nobody else on the loop to be held up

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sidecar.core.errors import ConfigurationError, StoreError
from sidecar.core.store_url import parse_store_url
from sidecar.stores.factory import Store, open_store
from tests.contract.worlds import PROFILE, SEALER, fetched
from tests.support.hand_clock import HandClock
from tests.support.programs import needs
from tests.support.replica import PATIENT_S

STRANGER = 47_011
"""The id of a user and of a group that nobody here is or has."""
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "canary"
    folder.mkdir(mode=0o700)
    return folder


@pytest.fixture
def path(folder: Path) -> Path:
    return folder / "state.db"


def opened(path: Path) -> Store:
    return open_store(parse_store_url(f"sqlite://{path}"), timeout_s=PATIENT_S, sealer=SEALER, clock=HandClock())


def folder_for_all(path: Path) -> None:
    path.parent.chmod(0o777)


def folder_for_all_but_sticky(path: Path) -> None:
    path.parent.chmod(0o1777)


def folder_for_a_group(path: Path) -> None:
    path.parent.chmod(0o770)


def folder_of_a_stranger(path: Path) -> None:
    os.chown(path.parent, STRANGER, -1)


def folder_for_a_group_of_strangers(path: Path) -> None:
    os.chown(path.parent, -1, STRANGER)
    path.parent.chmod(0o2770)


def file_for_all(path: Path) -> None:
    path.chmod(0o666)


def file_for_a_group(path: Path) -> None:
    path.chmod(0o660)


def file_of_a_stranger(path: Path) -> None:
    os.chown(path, STRANGER, -1)


def link(path: Path) -> None:
    path.rename(path.with_name("other.db"))
    path.symlink_to("other.db")


def journal_of_a_stranger(path: Path) -> None:
    """It would be applied to the file at the next look."""
    journal = path.with_name(f"{path.name}-journal")
    journal.write_bytes(b"")
    os.chown(journal, STRANGER, -1)


def link_to_a_log(path: Path) -> None:
    path.with_name(f"{path.name}-wal").symlink_to("other")


REFUSED = [
    (folder_for_all, r"its folder is writable by other users \(mode 0777\): set its mode to 0700, or name"),
    (folder_for_all_but_sticky, r"its folder is writable by other users \(mode 1777\): name a file"),
    (folder_for_a_group, r"its folder is writable by other users \(mode 0770\)"),
    (file_for_all, r"the file is writable by other users \(mode 0666\): set its mode to 0600"),
    (file_for_a_group, r"the file is writable by other users \(mode 0660\)"),
    (link, "the file is a link: name the file it leads to"),
    (link_to_a_log, "the file beside it that ends in -wal is a link"),
    *[
        pytest.param(spoil, said, marks=as_root)
        for spoil, said in (
            (
                folder_of_a_stranger,
                f"its folder belongs to user {STRANGER}, and this process runs as user 0: run it as",
            ),
            (folder_for_a_group_of_strangers, r"its folder is writable by other users \(mode 2770\)"),
            (file_of_a_stranger, f"the file belongs to user {STRANGER}"),
            (journal_of_a_stranger, f"the file beside it that ends in -journal belongs to user {STRANGER}"),
        )
    ],
]
each_that_is_refused = pytest.mark.parametrize(("spoil", "said"), REFUSED)


@each_that_is_refused
async def test_what_others_may_change_is_refused_at_the_start(
    path: Path, spoil: Callable[[Path], None], said: str
) -> None:
    store = opened(path)
    await store.ping()
    await store.close()
    spoil(path)
    with pytest.raises(ConfigurationError, match=f"^SIDECAR_STORE: {said}") as caught:
        opened(path)
    assert "canary" not in str(caught.value)


@each_that_is_refused
async def test_what_others_may_change_from_now_on_is_a_store_that_is_down(
    path: Path, spoil: Callable[[Path], None], said: str
) -> None:
    store = opened(path)
    shared = store.shared_state(PROFILE)
    await fetched(shared)
    spoil(path)
    with pytest.raises(StoreError) as caught:
        await shared.peek(0)
    await store.close()
    assert caught.value.cause == "SharedFileError"
    assert caught.value.words


async def test_it_is_used_again_once_nobody_else_may_change_it(path: Path) -> None:
    store = opened(path)
    shared = store.shared_state(PROFILE)
    token = await fetched(shared)
    path.parent.chmod(0o777)
    with pytest.raises(StoreError):
        await shared.peek(0)
    path.parent.chmod(0o700)
    assert (await shared.peek(0)).token_id == token.token_id
    await store.close()


async def test_a_setgid_folder_of_a_group_of_ours_is_shared_on_purpose(path: Path) -> None:
    path.parent.chmod(0o2770)
    store = opened(path)
    await store.ping()
    path.chmod(0o660)
    await store.ping()
    path.chmod(0o666)
    with pytest.raises(StoreError):
        await store.ping()
    await store.close()


async def test_a_link_to_the_folder_is_followed(path: Path, tmp_path: Path) -> None:
    """As systemd makes one for the state of a user that exists only while the service runs."""
    (tmp_path / "link").symlink_to(path.parent)
    store = opened(tmp_path / "link" / path.name)
    await store.ping()
    await store.close()
    assert path.exists()


async def test_a_folder_that_is_missing_is_made_for_this_user_alone(folder: Path) -> None:
    folder.chmod(0o777)
    store = opened(folder / "state" / "state.db")
    await store.ping()
    await store.close()
    assert stat.S_IMODE((folder / "state").stat().st_mode) == 0o700


def test_of_a_volume_that_is_missing_no_folder_is_made(folder: Path) -> None:
    with pytest.raises(ConfigurationError, match="folder of its file does not exist: make it, or mount it") as caught:
        opened(folder / "volume" / "state" / "state.db")
    assert "canary" not in str(caught.value)


def test_a_folder_that_is_a_file_is_a_configuration_error(path: Path) -> None:
    path.write_text("")
    with pytest.raises(ConfigurationError, match=r"cannot be used or made \(File exists\)"):
        opened(path / "state.db")


@pytest.fixture
def volume() -> Iterator[Path]:
    """A folder of root's that a group and everybody may write to, as Kubernetes makes an `emptyDir` with `fsGroup`."""
    volume = Path(tempfile.mkdtemp())
    os.chown(volume, 0, STRANGER)
    volume.chmod(0o2777)
    yield volume
    shutil.rmtree(volume)


def checked(store: Path, group: int) -> tuple[int, str]:
    """The exit code of `check` as a user that is not root, and what it says of the store."""
    environ = {
        "SIDECAR_BASE_URL": "http://127.0.0.1:1",
        "SIDECAR_API_KEY": "k",
        "SIDECAR_API_SECRET": "s",
        "SIDECAR_SEAL": "off",
        "SIDECAR_STORE": f"sqlite://{store}",
        "SIDECAR_STORE_TIMEOUT_S": "10",
    }
    # With the right to read and search everything, for the interpreter may lie in a folder of root's alone.
    read = "+dac_read_search"
    user = [f"--reuid={STRANGER}", f"--regid={STRANGER}", f"--groups={group}", f"--inh-caps={read}"]
    done = subprocess.run(
        ["setpriv", *user, f"--ambient-caps={read}", sys.executable, "-m", "sidecar", "check"],
        env=environ, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout.splitlines()[-1]


@as_root
@needs("setpriv")
def test_a_user_that_is_not_root_is_told_and_has_a_way_out(volume: Path) -> None:
    code, said = checked(volume / "state.db", STRANGER)
    assert (code, said.split()[0]) == (1, "FAILED")
    assert "its folder is writable by other users (mode 2777)" in said
    assert "name a file in a folder that does not exist yet" in said
    assert checked(volume / "state" / "state.db", STRANGER) == (0, "ok       store (sqlite)")


@as_root
@needs("setpriv")
def test_a_volume_of_root_for_a_group_of_ours_is_used(volume: Path) -> None:
    volume.chmod(0o2775)
    assert checked(volume / "state.db", STRANGER) == (0, "ok       store (sqlite)")
    # What Kubernetes does when the volume is mounted once more.
    (volume / "state.db").chmod(0o660)
    assert checked(volume / "state.db", STRANGER) == (0, "ok       store (sqlite)")
