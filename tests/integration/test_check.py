"""`check` on real files, a real store and a simulated partner."""

from __future__ import annotations

import asyncio
import base64
import io
import sqlite3
import threading
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from sidecar import file_operations
from sidecar.app import running, settings_files
from sidecar.app.check import CheckLine, check
from sidecar.app.running import load_settings
from sidecar.app.service import Service
from sidecar.core.errors import ConfigurationError
from sidecar.partner.presets import PRESETS
from sidecar.sandbox.faults import Fault
from tests.servers import RedisServer, free_port
from tests.support.canary_call import GOOD
from tests.support.fault_proxy import fault_proxy
from tests.support.raw_partner import RawPartner, http
from tests.support.replica import until
from tests.support.sandbox_bench import CONFIG, CREDENTIALS, Bench, open_bench

Environ = dict[str, str]


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with open_bench(CONFIG) as bench:
        yield bench


@pytest.fixture
def environ(bench: Bench) -> Environ:
    return {
        "SIDECAR_BASE_URL": bench.url,
        "SIDECAR_API_KEY": CREDENTIALS.api_key.reveal(),
        "SIDECAR_API_SECRET": CREDENTIALS.api_secret.reveal(),
    }


async def lines(environ: Environ, *, live: bool = False) -> list[CheckLine]:
    return await check(load_settings(environ), live=live)


async def token_line(environ: Environ) -> CheckLine:
    """Return the line about the token, the last one of a live check."""
    return (await lines(environ, live=True))[-1]


async def test_where_the_credentials_come_from_is_said(environ: Environ, tmp_path: Path) -> None:
    first, *_ = await lines(environ)
    assert (first.ok, first.detail) == (True, "from SIDECAR_API_KEY, without a signing key")
    config = tmp_path / "sidecar.toml"
    config.write_text('[profiles.pay]\napi_key = "k"\napi_secret = "s"\n')
    first, *_ = await lines({"SIDECAR_CONFIG": str(config)})
    assert first.detail == f"from api_key in [profiles.pay] of {config}, without a signing key"


async def test_whether_there_is_a_signing_key_is_said(environ: Environ, tmp_path: Path) -> None:
    for name in ("api-key", "api-secret", "signing-key"):
        (tmp_path / name).write_text("kanary")
    environ |= {"SIDECAR_API_KEY": "", "SIDECAR_API_SECRET": "", "SIDECAR_CREDENTIALS_DIR": str(tmp_path)}
    said = f"from SIDECAR_CREDENTIALS_DIR ({tmp_path})"
    assert (await lines(environ))[0].detail == f"{said}, with a signing key"
    (tmp_path / "signing-key").unlink()
    assert (await lines(environ))[0].detail == f"{said}, without a signing key"


async def test_a_recipe_that_does_not_give_the_published_signature_ends_the_check_and_the_start(
    environ: Environ, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = PRESETS["pay1st"].sign
    assert recipe is not None
    wrong = replace(PRESETS["pay1st"], sign=replace(recipe, parts=("body", "timestamp")))
    monkeypatch.setattr(running, "PRESETS", {"pay1st": wrong})
    said = "partner pay1st: its signing recipe does not give the published signature"
    assert [line.detail for line in await lines(environ) if not line.ok] == [said]
    with pytest.raises(ConfigurationError) as caught:
        await Service(load_settings(environ), log=io.StringIO()).start()
    assert caught.value.problems == (said,)


async def test_profiles_whose_files_hold_one_key_have_to_agree_on_its_budget(tmp_path: Path) -> None:
    """Two directories of credentials: only reading them shows that they are one account."""
    text = ""
    for name, budget in (("a", "6/60"), ("b", "2/60")):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "api-key").write_text("k")
        (folder / "api-secret").write_text(f"secret of {name}")
        text += f'[profiles.{name}]\ncredentials_dir = "{folder}"\ncall_budget = "{budget}"\n'
    config = tmp_path / "sidecar.toml"
    config.write_text(text)
    environ = {"SIDECAR_CONFIG": str(config)}
    said = "profiles a and b are one account, with one token and one budget: give both the same call_budget"
    assert [(line.what, line.detail) for line in await lines(environ) if not line.ok] == [("profiles", said)]
    with pytest.raises(ConfigurationError) as caught:
        await Service(load_settings(environ), log=io.StringIO()).start()
    assert caught.value.problems == (said,)
    (tmp_path / "b/api-key").write_text("another key")
    assert all(line.ok for line in await lines(environ))


async def test_a_token_file_that_cannot_be_written_fails(environ: Environ, tmp_path: Path) -> None:
    path = tmp_path / "run/token"
    environ["SIDECAR_SINK_FILE"] = str(path)
    found = [(await lines(environ))[1]]
    path.parent.mkdir()
    found.append((await lines(environ))[1])
    assert [(line.what, line.ok) for line in found] == [("token file of profile default", ok) for ok in (False, True)]
    assert f"SIDECAR_SINK_FILE: {path.parent} must be a directory" in found[0].detail
    assert not path.exists()


async def test_the_token_file_of_a_profile_that_is_gone_is_a_note_and_a_warning_at_the_start(
    environ: Environ, tmp_path: Path
) -> None:
    (gone := tmp_path / "gone").write_text("an-old-token")
    gone.chmod(0o640)
    (caller := tmp_path / "caller-token").write_text("sixteen-characters")
    caller.chmod(0o640)
    environ |= {"SIDECAR_SINK_FILE": str(tmp_path / "token"), "SIDECAR_CALLER_TOKEN_FILE": str(caller)}
    said = f"{gone} looks like the token file of a profile that is gone: if no sidecar writes it, remove it"
    assert [line.detail for line in await lines(environ) if line.is_note] == [said]
    environ |= {"SIDECAR_LISTEN": "127.0.0.1:0", "SIDECAR_ADMIN_LISTEN": "127.0.0.1:0"}
    log = io.StringIO()
    service = Service(load_settings(environ), log=log)
    await service.start()
    try:
        await until(lambda: said in log.getvalue())
    finally:
        await service.stop()
    assert gone.exists()


@pytest.mark.parametrize("command", ["check", "start"])
async def test_a_token_file_on_a_disk_that_hangs_is_refused_in_time(
    command: str, environ: Environ, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = threading.Event()
    monkeypatch.setattr(settings_files, "refuse_place", lambda *_: ended.wait())
    monkeypatch.setattr(file_operations, "STALLED_AFTER_S", 0.01)
    environ["SIDECAR_SINK_FILE"] = str(tmp_path / "token")
    said = f"SIDECAR_SINK_FILE: {tmp_path}/token: not read within 0.01 s, the file system hangs"
    try:
        if command == "check":
            assert [line.detail for line in await lines(environ) if not line.ok] == [said]
        else:
            with pytest.raises(ConfigurationError) as caught:
                await Service(load_settings(environ), log=io.StringIO()).start()
            assert caught.value.problems == (said,)
    finally:
        ended.set()


async def test_a_caller_token_the_service_could_not_start_with_fails(environ: Environ, tmp_path: Path) -> None:
    path = tmp_path / "caller"
    environ["SIDECAR_CALLER_TOKEN_FILE"] = str(path)
    found = [(await lines(environ))[1]]
    path.write_text("\n")
    found.append((await lines(environ))[1])
    path.write_text("short\n")
    found.append((await lines(environ))[1])
    path.write_text("shared-by-all-callers\n")
    found.append((await lines(environ))[1])
    assert [(line.what, line.ok) for line in found] == [("caller token", ok) for ok in (False, False, False, True)]
    assert str(path) in found[0].detail


async def test_seal_keys_the_service_could_not_start_with_fail(environ: Environ, tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text("")
    found = await lines(environ | {"SIDECAR_SEAL_KEY_FILE": str(path)})
    assert [line.what for line in found if not line.ok] == ["seal keys"]


async def test_a_file_store_says_in_words_what_is_wrong_with_it(environ: Environ, tmp_path: Path) -> None:
    path = tmp_path / "volume" / "state" / "token-sidecar.db"
    environ |= {"SIDECAR_STORE": f"sqlite://{path}", "SIDECAR_SEAL": "off", "SIDECAR_STORE_TIMEOUT_S": "10"}
    missing = (await lines(environ))[-1]
    path.parent.parent.mkdir()
    good = (await lines(environ))[-1]
    path.write_text("no database " * 99)
    bad = (await lines(environ))[-1]
    assert [(line.what, line.ok) for line in (missing, good, bad)] == [
        ("store", False), ("store (sqlite)", True), ("store (sqlite)", False),
    ]  # fmt: skip
    assert missing.detail == "SIDECAR_STORE: the folder of its file does not exist: make it, or mount it"
    assert bad.detail == "the file is not a SQLite database: remove it, or use another path"


async def test_a_live_check_adopts_what_lies_in_the_file(environ: Environ, bench: Bench, tmp_path: Path) -> None:
    environ |= {"SIDECAR_STORE": f"sqlite://{tmp_path}/state.db", "SIDECAR_SEAL": "off"}
    first, second = await token_line(environ), await token_line(environ)
    assert first.detail.startswith("new, from the partner; token id ")
    assert second.detail.startswith("from the store, the partner was not called; token id ")


async def test_a_live_check_says_whether_the_partner_was_asked(
    environ: Environ, bench: Bench, redis_server: RedisServer
) -> None:
    environ |= {"SIDECAR_STORE": redis_server.url, "SIDECAR_SEAL": "off"}
    first, second = await token_line(environ), await token_line(environ)
    assert (first.ok, second.ok) == (True, True)
    assert first.detail.startswith("new, from the partner; token id ")
    assert second.detail.startswith("from the store, the partner was not called; token id ")


async def test_a_live_check_shows_what_the_partner_said(environ: Environ) -> None:
    line = await token_line(environ | {"SIDECAR_API_SECRET": "canary-wrong"})
    assert not line.ok
    assert "(credentials-rejected); partner: status 401, errorCode " in line.detail
    assert ", errorMessage " in line.detail
    assert "canary" not in line.detail


async def test_a_live_check_names_the_class_of_what_broke_the_call(environ: Environ) -> None:
    line = await token_line(environ | {"SIDECAR_BASE_URL": f"http://127.0.0.1:{free_port()}"})
    assert not line.ok
    assert "(partner-unavailable); cause: ClientConnectorError; try again in " in line.detail


async def test_a_live_check_says_in_which_way_an_answer_is_malformed(environ: Environ, bench: Bench) -> None:
    bench.sandbox.state.faults.add(Fault(fault="html", count=0))
    line = await token_line(environ)
    assert not line.ok
    assert "(partner-unavailable); problem: not-json; partner: status 200; try again in " in line.detail


async def test_a_live_check_never_calls_on_the_share_of_a_store_that_is_down(
    environ: Environ, bench: Bench, redis_server: RedisServer
) -> None:
    """The store answers the operations of the check, but none of the profile."""
    async with fault_proxy(redis_server.port) as proxy:
        proxy.watch = lambda link, chunk: link.reset() if CREDENTIALS.credentials_id.encode() in chunk else None
        environ |= {"SIDECAR_STORE": f"redis://127.0.0.1:{proxy.port}", "SIDECAR_SEAL": "off"}
        line = await token_line(environ)
    assert not line.ok
    assert "(store-unavailable); store: claim failed (" in line.detail
    assert bench.sandbox.state.journal.calls == []


async def test_a_live_check_fails_when_the_store_is_not_told_of_the_token(
    environ: Environ, partner: RawPartner, own_redis_server: RedisServer
) -> None:
    """The store is lost between the grant and the commit."""

    async def lose_the_store(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.to_thread(own_redis_server.stop)
        await http("200 OK", GOOD)(reader, writer)

    partner.play = lose_the_store
    line = await token_line(
        environ | {"SIDECAR_BASE_URL": partner.url, "SIDECAR_STORE": own_redis_server.url, "SIDECAR_SEAL": "off"}
    )
    assert not line.ok
    assert line.detail.startswith("got a token, but the store failed: commit failed (")


async def test_a_live_check_fails_with_other_seal_keys_than_the_fleets(
    environ: Environ, redis_server: RedisServer, tmp_path: Path
) -> None:
    path = tmp_path / "keys"
    environ |= {"SIDECAR_STORE": redis_server.url, "SIDECAR_SEAL_KEY_FILE": str(path)}
    path.write_bytes(base64.b64encode(bytes(32)))
    assert (await token_line(environ)).ok
    path.write_bytes(base64.b64encode(bytes([1]) * 32))
    line = await token_line(environ)
    assert not line.ok
    assert line.detail.endswith("replaced one of the fleet that these seal keys cannot decrypt")


async def test_a_file_store_is_tried_with_every_operation_and_keeps_nothing_of_it(
    environ: Environ, tmp_path: Path
) -> None:
    path = tmp_path / "state.db"
    environ |= {"SIDECAR_STORE": f"sqlite://{path}", "SIDECAR_SEAL": "off", "SIDECAR_STORE_TIMEOUT_S": "10"}
    assert all(line.ok for line in await lines(environ))
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT name FROM kept").fetchall() == [("clock",)]
        connection.execute("CREATE TRIGGER forgetful AFTER INSERT ON kept BEGIN DELETE FROM kept; END")
    line = (await lines(environ))[-1]
    assert not line.ok
    assert line.detail.startswith("it responds but does not keep data")
