"""Which secrets are kept: none in the environment, equal credentials once, and only the latest credentials."""

from __future__ import annotations

from pathlib import Path

from sidecar.app.running import load_settings
from sidecar.app.service import Service
from sidecar.app.watched_files import CallerTokenFile
from sidecar.app.wiring import LATEST, RedactedCredentials
from sidecar.config.environment import take_environment
from sidecar.config.schema import SETTINGS
from sidecar.core.model import Credentials, Secret
from sidecar.file_operations import FileOperations, FileStalls
from sidecar.telemetry.redaction import Redactor
from sidecar.web.api.token import _ReportBody
from tests.support.sink import ListSink


def credentials(name: str) -> Credentials:
    return Credentials(api_key=Secret(f"key-{name}"), api_secret=Secret(f"secret-{name}"))


def test_variables_that_may_hold_a_secret_are_removed_from_the_environment() -> None:
    secret = [setting.name for setting in SETTINGS if not setting.shown]
    environ = dict.fromkeys([*secret, "SIDECAR_LISTEN", "PATH"], "text")
    assert take_environment(environ).keys() == {*secret, "SIDECAR_LISTEN", "PATH"}
    assert environ.keys() == {"SIDECAR_LISTEN", "PATH"}
    assert {"SIDECAR_API_KEY", "SIDECAR_API_SECRET", "SIDECAR_STORE"} <= set(secret)


def test_credentials_that_are_read_again_are_the_same_object() -> None:
    redacted = RedactedCredentials(Redactor())
    first = redacted.keep(credentials("0"))
    redacted.keep(credentials("1"))
    assert redacted.keep(credentials("0")) is first


def test_the_latest_credentials_are_masked_and_older_ones_are_removed() -> None:
    redactor = Redactor()
    redacted = RedactedCredentials(redactor)
    for number in range(LATEST + 1):
        redacted.keep(credentials(str(number)))
    assert redactor.text("key-0 secret-0") == "key-0 secret-0"
    assert {redactor.text(f"secret-{number}") for number in range(1, LATEST + 1)} == {"***"}
    assert len(redactor.texts) == 2 * LATEST


def test_credentials_in_use_stay_masked_however_many_come_after_them() -> None:
    redactor = Redactor()
    redacted = RedactedCredentials(redactor)
    used = redacted.keep(credentials("0"))
    for number in range(1, 3 * LATEST):
        redacted.keep(credentials(str(number)))
    assert redactor.text("key-0 secret-0") == "*** ***"
    assert redacted.keep(credentials("0")) is used
    del used
    assert redactor.text("key-0 secret-0") == "*** ***", "it is among the latest again"


def test_a_secret_that_is_still_in_use_elsewhere_is_not_removed() -> None:
    redactor = Redactor()
    redactor.register(Secret("shared"))
    redactor.register(Secret("shared"))
    redactor.forget(Secret("shared"))
    assert redactor.text("shared") == "***"
    redactor.forget(Secret("shared"), Secret("never known"))
    assert redactor.text("shared") == "shared"


def rewrite(file: Path, text: str) -> None:
    file.write_text(text)


async def test_a_new_caller_token_is_masked_too(tmp_path: Path) -> None:
    file, redactor = tmp_path / "caller-token", Redactor()
    rewrite(file, "first-caller-token")
    operations = FileOperations("caller-tokens", FileStalls(ListSink()))
    tokens = CallerTokenFile(file, ListSink(), operations, redactor.register)
    rewrite(file, "next-caller-token ")
    await tokens.file.look()
    assert redactor.text("first-caller-token next-caller-token") == "*** ***"


def test_a_service_masks_the_caller_token_from_the_start(tmp_path: Path) -> None:
    file = tmp_path / "caller-token"
    file.write_text("first-caller-token")
    environ = {"SIDECAR_API_KEY": "key", "SIDECAR_API_SECRET": "secret", "SIDECAR_CALLER_TOKEN_FILE": str(file)}
    service = Service(load_settings(environ))
    service._files.caller_tokens()
    assert service._observers.redactor.text("first-caller-token") == "***"


def test_a_reported_token_is_not_in_the_repr_of_its_report() -> None:
    assert "canary" not in repr(_ReportBody(token_id="canary-1", access_token="canary-2"))
