"""The guards through real sockets: who gets a response, and what the others are told."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sidecar.core.model import Address, Secret
from sidecar.credentials.caller_token import CallerTokens
from sidecar.web.api.guards import GuardSettings
from tests.support.vending_service import vending_service
from tests.support.wire import Reply, ask, exchange

CALLER_TOKEN, NEXT_CALLER_TOKEN = "caller-token-canary", "next-caller-token-canary"
TOKENS = CallerTokens([Secret(CALLER_TOKEN), Secret(NEXT_CALLER_TOKEN)])
WITH_CALLER_TOKEN = GuardSettings(caller_tokens=lambda: TOKENS)
PATHS = [("GET", "/v1/token"), ("GET", "/v1/authorize"), ("POST", "/v1/token/rejected"), ("GET", "/nowhere")]


async def send(settings: GuardSettings, *lines: str, path: str = "/v1/token") -> Reply:
    """One request with exactly these header lines."""
    async with vending_service(settings) as service:
        head = "\r\n".join([f"GET {path} HTTP/1.1", "Connection: close", *lines, "", ""])
        return await exchange(service.address, head.encode("latin-1"))


@pytest.mark.parametrize(("method", "path"), PATHS)
async def test_without_the_required_header_nothing_is_answered(method: str, path: str) -> None:
    async with vending_service() as service:
        reply = await ask(service.address, path, method=method, headers={"Host": "localhost"}, bare=True)
        assert (reply.status, reply.code) == (403, "header-required")
        assert "Sidecar-Request: true" in reply.json()["detail"]
        assert service.provider.reported == []


@pytest.mark.parametrize("lines", [["Sidecar-Request: false"], ["Sidecar-Request:"], ["Sidecar-Request: true"] * 2])
async def test_the_required_header_is_true_and_there_once(lines: list[str]) -> None:
    assert (await send(GuardSettings(), "Host: localhost", *lines)).code == "header-required"


async def test_the_required_header_can_be_switched_off() -> None:
    assert (await send(GuardSettings(require_header=False), "Host: localhost")).status == 200


async def test_the_description_of_the_api_needs_no_header() -> None:
    assert (await send(WITH_CALLER_TOKEN, "Host: localhost", path="/openapi.json")).status == 200


@pytest.mark.parametrize(
    "name",
    ["X-Forwarded-For", "x-forwarded-for", "X_Forwarded_For", "X-Forwarded_Host", "X-FORWARDED-HOST", "X-Real-IP",
     "x_real_ip", "Forwarded", "FORWARDED", "X-Forwarded", "X-Forwarded-Proto", "x_forwarded_port",
     "X-Forwarded-Anything", "Via", "VIA"],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/v1/token", "/openapi.json", "/oauth/token"])
async def test_a_forwarded_request_is_refused_in_any_spelling(name: str, path: str) -> None:
    reply = await send(GuardSettings(), "Host: localhost", "Sidecar-Request: true", f"{name}: 10.0.0.1", path=path)
    assert (reply.status, reply.code) == (403, "forwarded-request")


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:8181", "localhost.", "localhost.:1", "127.0.0.1", "127.0.0.1:1", "127.0.0.2",
     "127.255.255.254:8181", "[::1]", "[::1]:8181",
     "[0:0:0:0:0:0:0:1]", "[0000:0000:0000:0000:0000:0000:0000:0001]:8181", "sidecar.test:80"],
)  # fmt: skip
async def test_a_loopback_or_allowed_host_is_served(host: str) -> None:
    settings = GuardSettings(allowed_hosts=("Sidecar.test",))
    assert (await send(settings, f"Host: {host}", "Sidecar-Request: true")).status == 200


@pytest.mark.parametrize(
    "host",
    ["evil.test", "localhost.evil.test", "localhost:x", "localhost:80:80", "::1", "", "evil.test@localhost",
     "localhost, evil.test", "10.0.0.1", "localhost..", "a.localhost", "128.0.0.1", "127.1", "127.0.0.1.", "0127.0.0.1",
     "2130706433", "127.0.0.1.evil.test", "0.0.0.0", "[::]", "[::2]", "[127.0.0.1]", "[::ffff:127.0.0.1]", "[::1",
     "::1]"],
)  # fmt: skip
async def test_any_other_host_is_refused(host: str) -> None:
    reply = await send(GuardSettings(), f"Host: {host}", "Sidecar-Request: true")
    assert (reply.status, reply.code) == (403, "host-not-allowed")


@pytest.mark.parametrize("second", ["localhost", "evil.test"])
async def test_two_hosts_are_no_http(second: str) -> None:
    """aiohttp sees to it by itself, with either parser; the guard would refuse them too."""
    reply = await send(GuardSettings(), "Host: localhost", f"Host: {second}", "Sidecar-Request: true")
    assert (reply.status, reply.code) == (400, "bad-request")


async def test_http_1_0_without_a_host_is_refused() -> None:
    async with vending_service() as service:
        reply = await exchange(service.address, b"GET /v1/token HTTP/1.0\r\nSidecar-Request: true\r\n\r\n")
        assert (reply.status, reply.code) == (403, "host-not-allowed")


@pytest.mark.parametrize(
    ("target", "host", "code"),
    [
        ("http://localhost/v1/token", "evil.test", "host-not-allowed"),
        ("http://evil.test/v1/token", "localhost", "host-not-allowed"),
        ("http://user@localhost/v1/token", "localhost", "host-not-allowed"),
        ("http://localhost/v1/token?x=1", "localhost", "bad-request"),
        ("http://localhost", "localhost", "not-found"),
        ("http://localhost//v1/token", "localhost", "not-found"),
        ("ftp://localhost/v1/token", "localhost", "not-found"),
    ],
)
async def test_an_absolute_target_has_to_name_an_allowed_host_beside_the_header(
    target: str, host: str, code: str
) -> None:
    async with vending_service() as service:
        reply = await ask(service.address, target, headers={"Host": host, "Sidecar-Request": "true"}, bare=True)
        assert reply.code == code


@pytest.mark.parametrize("authority", ["localhost", "127.0.0.1:8181", "LOCALHOST:1", "[::1]:8181"])
async def test_an_absolute_target_with_an_allowed_authority_is_served(authority: str) -> None:
    async with vending_service() as service:
        for target in (f"http://{authority}/v1/token?min_ttl=1", f"HTTP://{authority}/v1/authorize"):
            assert (await ask(service.address, target)).status == 200


async def test_an_address_that_is_listened_on_is_a_host_of_its_own_connections() -> None:
    """Behind a listener of all addresses, too; an address of another machine, or of no machine, is none."""
    async with vending_service(at=Address(host="0.0.0.0")) as service:
        for host, status in (("127.0.0.1", 200), ("0.0.0.0", 403), ("[::]", 403), ("198.51.100.1", 403)):
            at = Address(host="127.0.0.1", port=service.address.port)
            headers = {"Host": f"{host}:{at.port}", "Sidecar-Request": "true"}
            assert (await ask(at, "/v1/token", headers=headers, bare=True)).status == status


@pytest.mark.parametrize(
    "lines",
    [
        ["Origin: http://localhost:8181"],
        ["origin: null"],
        ["Origin:"],
        ["Sec-Fetch-Site: cross-site"],
        ["sec-fetch-site: SAME-SITE"],
        ["Sec-Fetch-Site: none", "Sec-Fetch-Site: cross-site"],
        ["Sec-Fetch-Site: x"],
    ],
)
@pytest.mark.parametrize("path", ["/v1/token", "/openapi.json", "/oauth/token"])
async def test_a_page_in_a_browser_is_not_served(lines: list[str], path: str) -> None:
    reply = await send(GuardSettings(), "Host: localhost", "Sidecar-Request: true", *lines, path=path)
    assert (reply.status, reply.code) == (403, "caller-not-allowed")


@pytest.mark.parametrize("site", ["none", "same-origin"])
async def test_a_person_who_types_the_address_is_served(site: str) -> None:
    lines = ["Host: localhost", "Sidecar-Request: true", f"Sec-Fetch-Site: {site}", "Sec-Fetch-Mode: navigate"]
    assert (await send(GuardSettings(), *lines)).status == 200


@pytest.mark.parametrize("token", [CALLER_TOKEN, NEXT_CALLER_TOKEN])
async def test_each_caller_token_lets_a_caller_in(token: str) -> None:
    lines = ["Host: localhost", "Sidecar-Request: true", f"authorization: bearer {token}"]
    assert (await send(WITH_CALLER_TOKEN, *lines)).status == 200


@pytest.mark.parametrize(
    "lines",
    [[], ["Authorization: Bearer"], ["Authorization: Bearer wrong"], [f"Authorization: Basic {CALLER_TOKEN}"],
     ["Authorization: Bearer caller-t\xf6ken"], [f"Authorization: Bearer {CALLER_TOKEN}"] * 2],
)  # fmt: skip
async def test_without_the_caller_token_the_answer_is_401_with_a_challenge(lines: list[str]) -> None:
    reply = await send(WITH_CALLER_TOKEN, "Host: localhost", "Sidecar-Request: true", *lines)
    assert reply.header("Cache-Control") == "no-store"
    assert (reply.status, reply.code) == (401, "caller-not-allowed")
    assert reply.header("WWW-Authenticate") == 'Bearer realm="token-sidecar"'
    assert CALLER_TOKEN.encode() not in reply.raw


async def test_the_caller_token_does_not_replace_the_required_header() -> None:
    lines = ["Host: localhost", f"Authorization: Bearer {CALLER_TOKEN}"]
    assert (await send(WITH_CALLER_TOKEN, *lines)).code == "header-required"


@pytest.mark.parametrize(
    "agent", ["kube-probe/1.33", "GoogleHC/1.0", "Prometheus/3.0", "curl/8", "ELB-HealthChecker/2.0"]
)
async def test_nobody_is_let_in_by_the_name_it_gives_itself(agent: str) -> None:
    assert (await send(GuardSettings(), "Host: localhost", f"User-Agent: {agent}")).code == "header-required"
    lines = ["Host: localhost", "Sidecar-Request: true", f"User-Agent: {agent}"]
    assert (await send(WITH_CALLER_TOKEN, *lines)).code == "caller-not-allowed"


async def test_a_refused_request_is_counted_with_its_reason() -> None:
    async with vending_service() as service:
        await ask(service.address, "/v1/token/other", headers={"Host": "evil.test"}, bare=True)
        assert service.served == [("other", "token", "host-not-allowed")]


@pytest.mark.parametrize("headers", [{}, {"Host": "localhost"}, {"Host": "unix"}])
async def test_on_a_unix_socket_any_one_host_will_do(tmp_path: Path, headers: dict[str, str]) -> None:
    async with vending_service(at=Address(path=str(tmp_path / "s"))) as service:
        sent = {**headers, "Sidecar-Request": "true"}
        lines = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
        reply = await exchange(service.address, f"GET /v1/token HTTP/1.0\r\n{lines}\r\n".encode())
        assert reply.status == 200


async def test_on_a_unix_socket_the_other_guards_hold(tmp_path: Path) -> None:
    async with vending_service(at=Address(path=str(tmp_path / "s"))) as service:
        assert (await ask(service.address, "/v1/token", bare=True, headers={"Host": "x"})).code == "header-required"


@pytest.mark.parametrize(("allowed", "status"), [(os.getuid(), 200), (os.getuid() + 1, 403)])
async def test_on_a_unix_socket_the_kernel_says_who_calls(tmp_path: Path, allowed: int, status: int) -> None:
    settings = GuardSettings(allowed_uids=frozenset({allowed}))
    async with vending_service(settings, Address(path=str(tmp_path / "s"))) as service:
        reply = await ask(service.address, "/v1/token")
        assert reply.status == status
        if status == 403:
            assert reply.code == "caller-not-allowed"


async def test_allowed_uids_say_nothing_about_tcp() -> None:
    settings = GuardSettings(allowed_uids=frozenset())
    assert (await send(settings, "Host: localhost", "Sidecar-Request: true")).status == 200


async def test_ipv6_loopback_is_served() -> None:
    async with vending_service(at=Address(host="::1")) as service:
        assert (
            await ask(service.address, "/v1/token", headers={"Host": f"[::1]:{service.address.port}"})
        ).status == 200
