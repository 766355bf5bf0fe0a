"""A real sidecar with a file on a real file system that hangs: it vends, says so, ends, and does not start."""

from __future__ import annotations

import base64
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.hanging_folder import HangingFolder, hanging_folder
from tests.fakes.processes import KEY, SECRET, Fleet
from tests.fakes.replica import Replica, until

CALLER_TOKEN = "a-caller-token-of-some-length"
CONTENTS = {
    "api-key": KEY,
    "api-secret": SECRET,
    "caller-token": CALLER_TOKEN,
    "seal-key": base64.b64encode(bytes(32)).decode(),
}
SETTINGS = {
    "credentials": ("CREDENTIALS_DIR", ""),
    "caller-tokens": ("CALLER_TOKEN_FILE", "caller-token"),
    "seal-keys": ("SEAL_KEY_FILE", "seal-key"),
}
"""By the word for a file, the setting that names it, and its name in the folder."""
HEADERS = {"Sidecar-Request": "true", "Authorization": f"Bearer {CALLER_TOKEN}"}

each_file = pytest.mark.parametrize("file", SETTINGS)


@pytest.fixture
def held(tmp_path: Path) -> Iterator[HangingFolder]:
    with hanging_folder(tmp_path / "held") as folder:
        for name, content in CONTENTS.items():
            (folder.real / name).write_text(content)
        yield folder


def settings(held: HangingFolder, file: str) -> dict[str, str]:
    setting, name = SETTINGS[file]
    return {setting: str(held.path / name)}


async def stalled(replica: Replica, file: str) -> float:
    return await replica.metric("file_stalled", file=file)


@each_file
async def test_a_sidecar_goes_on_says_so_and_ends_while_a_file_hangs(
    file: str, fleet: Fleet, held: HangingFolder
) -> None:
    (replica,) = await fleet.ready(1, **settings(held, file))
    held.hang()
    await until(lambda: bool(replica.events("file_stalled")))
    assert await stalled(replica, file) == 1
    assert (await replica.status())["stalledFiles"] == [file]
    assert f"the file system hangs under the {file.replace('-', ' ')}" in (await replica.admin("/status")).text.lower()
    assert (await replica.ask(headers=HEADERS)).token_id
    assert [(await replica.admin(path)).status for path in ("/livez", "/readyz")] == [200, 200]
    replica.signal(signal.SIGHUP)
    (event,) = replica.events("file_stalled")
    assert (event["level"], event["file"]) == ("error", file)
    await fleet.stop(replica)
    assert held.is_waited_for


@each_file
async def test_a_file_system_that_answers_again_is_said_and_the_file_is_followed(
    file: str, fleet: Fleet, held: HangingFolder
) -> None:
    (replica,) = await fleet.ready(1, **settings(held, file))
    held.hang()
    await until(lambda: bool(replica.events("file_stalled")))
    held.answer()
    await until(lambda: bool(replica.events("file_stall_ended")))
    assert await stalled(replica, file) == 0
    assert (await replica.status())["stalledFiles"] == []


@each_file
@pytest.mark.parametrize("command", ["serve", "check"])
async def test_a_file_that_hangs_at_the_start_is_an_error_that_names_it(
    file: str, command: str, fleet: Fleet, held: HangingFolder
) -> None:
    held.hang()
    replica = fleet.launch(("-m", "sidecar", command), **settings(held, file))
    assert await replica.ended() == (2 if command == "serve" else 1)
    (place,) = settings(held, file).values()
    assert f"{Path(place)}: not read within 5 s, the file system hangs" in replica.output
    assert "Traceback" not in replica.output
