"""What only some clients do: curl waits before it sends a large body, and Java asks for an upgrade to HTTP/2."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.clients.curl import HEADER, response
from tests.clients.gateway_clients import DEFAULT_HEADER, Step, document, run, with_java
from tests.clients.gateway_site import CREATE, GatewaySite
from tests.support.programs import needs
from tests.support.replica import HANG_S

JSON = ("-H", "Content-Type: application/json")
WAITS = ("-H", "Expect: 100-continue", "--expect100-timeout", str(HANG_S))
"""curl sends no byte of the body before there is an answer."""


@needs("curl")
@pytest.mark.parametrize("size", [0, 1_000_000])
def test_a_client_that_waits_for_100_continue_sends_its_body(size: int, gateway: GatewaySite, tmp_path: Path) -> None:
    sent = json.dumps(document(size)).encode()
    uploaded = _upload(sent, gateway, tmp_path)
    assert (tmp_path / "head").read_bytes().startswith(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert (response(Step("json", CREATE), tmp_path).status, uploaded) == (201, len(sent))
    (seen,) = gateway.seen
    assert (seen.body == sent, seen.signature, "expect" in seen.headers) == (True, "valid", False)


@needs("curl")
def test_a_client_that_waits_sends_nothing_of_a_body_that_is_too_large(gateway: GatewaySite, tmp_path: Path) -> None:
    uploaded = _upload(bytes(2_000_000), gateway, tmp_path)
    refused = response(Step("json", CREATE), tmp_path)
    assert (refused.status, refused.code, uploaded, gateway.seen) == (413, "payload-too-large", 0, [])


@needs("curl")
def test_a_client_that_waits_sends_nothing_of_a_body_that_may_not_pass(gateway: GatewaySite, tmp_path: Path) -> None:
    uploaded = _upload(b"{}", gateway, tmp_path, "/api/pay1st/auth/token")
    refused = response(Step("json", CREATE), tmp_path)
    assert (refused.status, refused.code, uploaded, gateway.seen) == (403, "gateway-not-allowed", 0, [])


@needs("curl")
def test_a_client_that_follows_redirects_does_so_itself(gateway: GatewaySite) -> None:
    """The next request goes where the partner says, and has no token: it was never the app's."""
    gateway.partner.elsewhere = f"{gateway.partner.url}/api/pay1st/payments"
    run("curl", "-sS", "-L", *HEADER, f"{gateway.url}/api/pay1st/answers/moved")
    through, direct = gateway.seen
    assert ("accesstoken" in through.headers, "via" in through.headers) == (True, True)
    assert ("accesstoken" in direct.headers, "via" in direct.headers) == (False, False)


@needs("javac")
def test_java_asks_for_an_upgrade_which_the_partner_does_not_see(gateway: GatewaySite, java_classes: Path) -> None:
    client = with_java(java_classes)
    steps = [Step("get", "/api/pay1st/payments"), Step("json", CREATE), Step("stream", CREATE, 1)]
    client(gateway.partner.url, steps[:2])
    assert [seen.headers.get("upgrade") for seen in gateway.seen] == ["h2c", "h2c"]
    gateway.reset()
    assert [response.status for response in client(gateway.url, steps)] == [200, 201, 201]
    assert [{"upgrade", "connection", "http2-settings"} & set(seen.headers) for seen in gateway.seen] == [set()] * 3


@needs("javac")
def test_java_keeps_its_connection_with_http_1_1(gateway: GatewaySite, java_classes: Path) -> None:
    before = len(gateway.audited())
    steps = [Step("get", "/api/pay1st/payments"), Step("json", CREATE)] * 2
    assert [each.status for each in with_java(java_classes, "-Dversion=HTTP_1_1")(gateway.url, steps)] == [200, 201] * 2
    assert len(gateway.callers_of(len(steps), before)) == 1


@needs("curl")
def test_without_the_default_header_the_error_names_it(gateway: GatewaySite, tmp_path: Path) -> None:
    run("curl", "-sS", "-D", tmp_path / "head", "-o", tmp_path / "body", f"{gateway.url}/api/pay1st/payments")
    refused = response(Step("get", ""), tmp_path)
    assert (refused.status, refused.code, gateway.seen) == (403, "header-required", [])
    (name,) = DEFAULT_HEADER
    assert name in json.loads(refused.body)["detail"]


def _upload(body: bytes, gateway: GatewaySite, folder: Path, path: str = CREATE) -> int:
    """Send the body once the sidecar wants it. Return how many bytes of it were sent."""
    (folder / "sent").write_bytes(body)
    files = ("-D", folder / "head", "-o", folder / "body", "--data-binary", f"@{folder}/sent")
    return int(run("curl", "-sS", "-w", "%{size_upload}", *HEADER, *JSON, *WAITS, *files, gateway.url + path))
