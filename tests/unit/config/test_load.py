"""Environment and TOML file -> Settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from sidecar.config.client_settings import client_settings
from sidecar.config.load import load
from sidecar.config.schema import SETTINGS, Settings
from sidecar.core.account import account_named
from sidecar.core.errors import ConfigurationError
from sidecar.core.listener_limits import Limits
from sidecar.core.model import Address, Budget, Secret, StoreFailure
from tests.support.partners import shipped

PRESETS = shipped(pay1st="https://pay1st.example", flow1st="https://flow1st.example")
CANARY = "canary-4711"
CREDENTIALS = {"SIDECAR_API_KEY": f"key-{CANARY}", "SIDECAR_API_SECRET": f"secret-{CANARY}"}


def loaded(**variables: str) -> Settings:
    return load(CREDENTIALS | {f"SIDECAR_{name}": text for name, text in variables.items()}, PRESETS)


def problems(**variables: str) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        loaded(**variables)
    return list(caught.value.problems)


def test_credentials_alone_are_enough_and_the_rest_are_the_documented_defaults() -> None:
    settings = loaded()
    (only,) = settings.profiles
    assert settings.listen == (Address("127.0.0.1", 8181),)
    assert settings.admin_listen == (Address("127.0.0.1", 9181),)
    assert settings.store.text == Secret("memory://")
    assert (settings.log_format, settings.log_level, settings.drain_s) == ("json", "info", 5)
    assert settings.require_header
    assert settings.allowed_hosts is None
    assert settings.allowed_uids is None
    assert settings.limits == Limits()
    assert settings.warm
    assert settings.warnings == ()
    assert (only.profile.name, only.profile.base_url, only.profile.role) == (
        "default",
        "https://pay1st.example",
        "API_USER",
    )
    assert only.profile.budget == Budget(6, 60)
    assert only.profile.store_failure is StoreFailure.LOCAL
    assert only.credentials is not None
    assert only.credentials.api_key.reveal() == CREDENTIALS["SIDECAR_API_KEY"]


def test_the_defaults_in_the_table_can_all_be_parsed() -> None:
    assert [setting.parse(setting.default) for setting in SETTINGS if setting.default]


def test_every_setting_reaches_its_field() -> None:
    settings = loaded(
        LISTEN="127.0.0.1:1, unix:/run/a.sock,[::1]:2",
        ADMIN_LISTEN="0.0.0.0:3",
        STORE="rediss://:pw@redis:6380/0",
        STORE_TIMEOUT_S="0.25",
        STORE_FAILURE="fail",
        FLEET_SIZE="4",
        POLL_S="1.5",
        IDLE_S="600",
        SEAL_KEY_FILE="/keys",
        PARTNER="flow1st",
        BASE_URL="https://stage.example/x/",
        ROLE="OTHER",
        ACCOUNT=" main account ",
        TOKEN_LIFETIME_S="300",
        REFRESH_AT="0.7",
        MAX_STALE_S="0",
        EXPIRY_MARGIN_S="10",
        CALL_BUDGET="3/30",
        PARTNER_TIMEOUT_S="4",
        COOLDOWN_S="20",
        REQUEST_TIMEOUT_S="6",
        REQUIRE_HEADER="false",
        CALLER_TOKEN_FILE="/caller",
        ALLOWED_HOSTS="A.internal, b:8181",
        ALLOWED_UIDS="0,1000",
        MAX_CONNECTIONS="10",
        MAX_HEADER_BYTES="4096",
        MAX_PIPELINED="2",
        HEADER_TIMEOUT_S="1.5",
        BODY_TIMEOUT_S="2.5",
        WRITE_TIMEOUT_S="3.5",
        WARM="off",
        LOG_FORMAT="console",
        LOG_LEVEL="debug",
        DRAIN_S="0",
    )
    profile = settings.profiles[0].profile
    assert settings.listen == (Address("127.0.0.1", 1), Address(path="/run/a.sock"), Address("::1", 2))
    assert settings.admin_listen == (Address("0.0.0.0", 3),)
    assert settings.store.text.reveal() == "rediss://:pw@redis:6380/0"
    assert (settings.seal, settings.seal_key_file) == (True, Path("/keys"))
    assert (settings.require_header, settings.caller_token_file) == (False, Path("/caller"))
    assert settings.allowed_hosts == ("a.internal", "b:8181")
    assert settings.allowed_uids == frozenset({0, 1000})
    assert settings.limits == Limits(
        max_connections=10,
        max_header_bytes=4096,
        max_pipelined=2,
        header_timeout_s=1.5,
        body_timeout_s=2.5,
        write_timeout_s=3.5,
    )
    assert not settings.warm
    assert (settings.log_format, settings.log_level, settings.drain_s) == ("console", "debug", 0)
    assert settings.store_timeout_s == profile.store_timeout_s == 0.25
    assert (profile.store_failure, profile.fleet_size, profile.poll_s) == (StoreFailure.FAIL, 4, 1.5)
    assert (profile.partner, profile.base_url, profile.role) == ("flow1st", "https://stage.example/x", "OTHER")
    assert profile.account == account_named("main account")
    assert (profile.lifetime_s, profile.refresh_at, profile.max_stale_s, profile.margin_s) == (300, 0.7, 0, 10)
    assert (profile.budget, profile.partner_timeout_s, profile.cooldown_s) == (Budget(3, 30), 4, 20)
    assert (profile.request_timeout_s, profile.idle_s) == (6, 600)


def test_an_empty_variable_counts_as_unset() -> None:
    assert loaded(LISTEN="", POLL_S="  ", UNKNOWN_NAME="") == loaded()


def test_white_space_around_a_value_is_ignored() -> None:
    assert loaded(POLL_S=" 1 ", API_SECRET=f" {CREDENTIALS['SIDECAR_API_SECRET']}\n") == loaded(POLL_S="1")


def test_all_problems_are_reported_at_once() -> None:
    found = problems(LISTEN="nowhere", POLL_S="often", SEAL="true", LOG_LEVELS="info")
    names = ["SIDECAR_LISTEN", "SIDECAR_LOG_LEVELS", "SIDECAR_POLL_S", "SIDECAR_SEAL"]
    assert sorted(line.split()[0] for line in found) == names


@pytest.mark.parametrize(
    ("name", "meant"),
    [("SIDECAR_LISTN", "SIDECAR_LISTEN"), ("SIDECAR_TOKEN_LIFETIME", "SIDECAR_TOKEN_LIFETIME_S")],
)
def test_an_unknown_variable_is_refused_with_the_most_similar_one(name: str, meant: str) -> None:
    assert problems(**{name.removeprefix("SIDECAR_"): "1"}) == [f"{name} is not a setting; did you mean {meant}?"]


def test_an_unknown_variable_without_a_similar_one_is_refused_without_a_guess() -> None:
    assert problems(XYZ="1") == ["SIDECAR_XYZ is not a setting; token-sidecar serve --help lists them"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("SIDECAR_SERVICE_HOST", "10.0.0.1"),
        ("SIDECAR_SERVICE_PORT", "8181"),
        ("SIDECAR_SERVICE_PORT_HTTP", "8181"),
        ("SIDECAR_PORT", "tcp://10.0.0.1:8181"),
        ("SIDECAR_PORT_8181_TCP", "tcp://10.0.0.1:8181"),
        ("SIDECAR_PORT_8181_TCP_ADDR", "10.0.0.1"),
        ("SIDECAR_PORT_8181_TCP_PORT", "8181"),
        ("SIDECAR_PORT_8181_TCP_PROTO", "tcp"),
        ("SIDECAR_PORT_53_UDP", "udp://10.0.0.1:53"),
        ("SIDECAR_LISTEN_PORT", "tcp://10.0.0.1:8181"),
        ("SIDECAR_X_Y_SERVICE_PORT", "8181"),
    ],
)
def test_names_that_kubernetes_sets_for_services_are_ignored(name: str, text: str) -> None:
    assert load(CREDENTIALS | {name: text}, PRESETS) == loaded()


def test_a_service_name_with_a_bare_number_warns_and_does_not_stop_the_start() -> None:
    (warning,) = loaded(LISTEN_PORT="8181").warnings
    assert "SIDECAR_LISTEN_PORT is ignored" in warning
    assert "did you mean SIDECAR_LISTEN?" in warning


def test_clients_use_the_first_listeners_of_a_running_sidecar(tmp_path: Path) -> None:
    path = tmp_path / "sidecar.toml"
    path.write_text('listen = "0.0.0.0:1,unix:/a"\nadmin_listen = "[::]:2"\nunknown = 1\n')
    found = client_settings({"SIDECAR_CONFIG": str(path), "SIDECAR_CALLER_TOKEN_FILE": "/caller"})
    assert (str(found.vending), str(found.admin)) == ("127.0.0.1:1", "[::1]:2")
    assert found.caller_token_file == Path("/caller")


def test_an_invalid_listener_is_no_address_for_clients() -> None:
    with pytest.raises(ConfigurationError, match="SIDECAR_LISTEN must be"):
        client_settings({"SIDECAR_LISTEN": "nowhere"})


@pytest.mark.parametrize("text", ["INFO", "Info", "info"])
def test_words_of_a_closed_set_are_accepted_in_capitals_too(text: str) -> None:
    assert loaded(LOG_LEVEL=text).log_level == "info"
    assert loaded(REQUIRE_HEADER="False", LOG_FORMAT="JSON", AUDIT="Changes", WARM="OFF").require_header is False
    assert loaded(STORE_FAILURE="Fail").profiles[0].profile.store_failure is StoreFailure.FAIL


def test_clients_use_loopback_for_a_sidecar_that_listens_on_all_addresses() -> None:
    found = client_settings({"SIDECAR_LISTEN": ":1,unix:/a", "SIDECAR_ADMIN_LISTEN": ":2"})
    assert (found.vending, found.admin) == (Address("127.0.0.1", 1), Address("127.0.0.1", 2))
    assert client_settings({"SIDECAR_LISTEN": "unix:/a"}).vending == Address(path="/a")
