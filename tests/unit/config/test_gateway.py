"""The settings of the gateway: values, defaults, and listeners that more callers can reach than intended."""

from __future__ import annotations

from pathlib import Path

import pytest

from sidecar.config.settings import GatewaySettings, Replay, SignedRequests
from sidecar.core.allow_list import AllowRule
from sidecar.core.model import Address
from tests.unit.config.test_file import file_problems, from_file
from tests.unit.config.test_load import loaded, problems

HERE = "127.0.0.1:8282"
TABLES = '[profiles.a]\ncredentials_dir = "/a"\n{a}\n[profiles.b]\ncredentials_dir = "/b"\n{b}\n'


def gateway(**variables: str) -> GatewaySettings:
    (only,) = loaded(GATEWAY_LISTEN=HERE, **variables).profiles
    assert only.gateway is not None
    return only.gateway


def test_without_a_listener_there_is_no_gateway() -> None:
    settings = loaded(GATEWAY_ALLOW="GET /a", GATEWAY_TIMEOUT_S="1", GATEWAY_REPLAY="all")
    assert [one.gateway for one in settings.profiles] == [None]


def test_the_defaults_of_a_gateway() -> None:
    assert gateway() == GatewaySettings(
        listen=(Address("127.0.0.1", 8282),),
        origin="SIDECAR_GATEWAY_LISTEN",
        allow=None,
        sign=SignedRequests.WRITES,
        replay=Replay.SAFE,
        timeout_s=30,
        max_body_bytes=1 << 20,
    )


def test_every_setting_reaches_its_field() -> None:
    (only,) = loaded(
        GATEWAY_LISTEN="127.0.0.1:1, unix:/run/g.sock,[::1]:2",
        GATEWAY_ALLOW="GET /api/pay1st/*, POST /api/pay1st/payments/create",
        GATEWAY_SIGN="all",
        GATEWAY_REPLAY="off",
        GATEWAY_TIMEOUT_S="0.5",
        GATEWAY_MAX_BODY_BYTES="65536",
    ).profiles
    assert only.gateway == GatewaySettings(
        listen=(Address("127.0.0.1", 1), Address(path="/run/g.sock"), Address("::1", 2)),
        origin="SIDECAR_GATEWAY_LISTEN",
        allow=(
            AllowRule("GET", "/api/pay1st/", prefix=True),
            AllowRule("POST", "/api/pay1st/payments/create", prefix=False),
        ),
        sign=SignedRequests.ALL,
        replay=Replay.OFF,
        timeout_s=0.5,
        max_body_bytes=65536,
    )
    assert gateway(GATEWAY_REPLAY="all").replay is Replay.ALL


@pytest.mark.parametrize(
    ("name", "text", "named"),
    [
        ("LISTEN", "somewhere", "SIDECAR_GATEWAY_LISTEN"),
        ("ALLOW", "/api/pay1st/*", "must have a method in capitals"),
        ("ALLOW", "get /api/pay1st/*", "must have a method in capitals"),
        ("ALLOW", "CONNECT /a", "not CONNECT or TRACE"),
        ("ALLOW", "TRACE /a", "not CONNECT or TRACE"),
        ("ALLOW", "GET api", "begins with '/'"),
        ("ALLOW", "GET", "begins with '/'"),
        ("ALLOW", "GET /a*/b", "only as the last character"),
        ("ALLOW", "GET /a/../b", "must have a plain path"),
        ("ALLOW", "GET /a//b", "must have a plain path"),
        ("ALLOW", "GET /a;b", "must have a plain path"),
        ("ALLOW", "GET /a%2fb", "must have a plain path"),
        ("ALLOW", "GET /a?b=1", "must have a plain path"),
        ("SIGN", "off", "SIDECAR_GATEWAY_SIGN"),
        ("REPLAY", "writes", "SIDECAR_GATEWAY_REPLAY"),
        ("TIMEOUT_S", "0", "SIDECAR_GATEWAY_TIMEOUT_S"),
        ("TIMEOUT_S", "3601", "SIDECAR_GATEWAY_TIMEOUT_S"),
        ("MAX_BODY_BYTES", "0", "SIDECAR_GATEWAY_MAX_BODY_BYTES"),
        ("MAX_BODY_BYTES", "67108865", "SIDECAR_GATEWAY_MAX_BODY_BYTES"),
    ],
)
def test_a_value_that_cannot_be_used_is_a_problem_that_names_its_setting(name: str, text: str, named: str) -> None:
    given = {"GATEWAY_LISTEN": HERE} | {f"GATEWAY_{name}": text}
    (problem,) = problems(**given)
    assert f"SIDECAR_GATEWAY_{name}" in problem
    assert named in problem


def test_an_unknown_name_is_a_problem_that_names_the_nearest() -> None:
    (problem,) = problems(GATEWAY_LISTEN=HERE, GATEWAY_ALOW="GET /a")
    assert "SIDECAR_GATEWAY_ALOW" in problem
    assert "SIDECAR_GATEWAY_ALLOW" in problem


def test_a_listener_beyond_loopback_needs_a_caller_token() -> None:
    (problem,) = problems(GATEWAY_LISTEN="0.0.0.0:8282,127.0.0.1:8283")
    assert problem.startswith("SIDECAR_GATEWAY_LISTEN listens beyond loopback on 0.0.0.0:8282: ")
    assert "could call the partner; set SIDECAR_CALLER_TOKEN_FILE" in problem
    assert loaded(GATEWAY_LISTEN="0.0.0.0:8282", CALLER_TOKEN_FILE="/t").warnings == ()


def test_user_ids_without_effect_and_abstract_sockets_are_warnings() -> None:
    (warning,) = loaded(ALLOWED_UIDS="1000", LISTEN="unix:/a", GATEWAY_LISTEN=HERE).warnings
    assert f"has no effect on {HERE}" in warning
    (warning,) = loaded(GATEWAY_LISTEN="unix:@g").warnings
    assert warning.startswith("SIDECAR_GATEWAY_LISTEN listens on unix:@g, which has no file mode")
    assert "can call the partner" in warning
    assert loaded(GATEWAY_LISTEN="unix:@g", CALLER_TOKEN_FILE="/t").warnings == ()


@pytest.mark.parametrize(("other", "address"), [("LISTEN", "127.0.0.1:8282"), ("ADMIN_LISTEN", "unix:/run/g.sock")])
def test_an_address_of_another_listener_is_a_problem(other: str, address: str) -> None:
    (problem,) = problems(GATEWAY_LISTEN=f"127.0.0.1:1,{address}", **{other: address})
    assert problem == (
        f"SIDECAR_{other} and SIDECAR_GATEWAY_LISTEN both name {address}: each listener needs one of its own"
    )


def test_port_0_is_another_port_each_time() -> None:
    assert gateway(LISTEN="127.0.0.1:0", ADMIN_LISTEN="127.0.0.1:0").listen
    assert loaded(GATEWAY_LISTEN="127.0.0.1:0", LISTEN="127.0.0.1:0").warnings == ()


def test_each_profile_has_a_gateway_of_its_own(tmp_path: Path) -> None:
    text = 'gateway_replay = "off"\n' + TABLES.format(
        a='gateway_listen = ["127.0.0.1:1"]', b='gateway_listen = "127.0.0.1:2"\ngateway_replay = "all"'
    )
    first, second = (one.gateway for one in from_file(tmp_path, text).profiles)
    assert first is not None
    assert second is not None
    assert (first.listen[0].port, first.replay) == (1, Replay.OFF)
    assert (second.listen[0].port, second.replay) == (2, Replay.ALL)


def test_a_profile_without_a_listener_has_none(tmp_path: Path) -> None:
    settings = from_file(tmp_path, TABLES.format(a='gateway_listen = "127.0.0.1:1"', b=""))
    assert [one.gateway is None for one in settings.profiles] == [False, True]


def test_two_gateways_with_one_address_are_a_problem(tmp_path: Path) -> None:
    (problem,) = file_problems(tmp_path, TABLES.format(a=f'gateway_listen = "{HERE}"', b=f'gateway_listen = "{HERE}"'))
    assert f"both name {HERE}" in problem
    assert "profiles.a" in problem
    assert "profiles.b" in problem


@pytest.mark.parametrize("name", ["gateway_listen", "gateway_allow"])
def test_a_gateway_in_the_environment_beside_several_profiles_is_a_problem(tmp_path: Path, name: str) -> None:
    value = HERE if name == "gateway_listen" else "GET /a"
    environ = {f"SIDECAR_{name.upper()}": value}
    (problem,) = file_problems(tmp_path, TABLES.format(a="", b=""), **environ)
    assert f"SIDECAR_{name.upper()}" in problem


def test_a_listener_above_the_tables_is_a_problem(tmp_path: Path) -> None:
    (problem,) = file_problems(tmp_path, f'gateway_listen = "{HERE}"\n' + TABLES.format(a="", b=""))
    assert "gateway_listen" in problem
