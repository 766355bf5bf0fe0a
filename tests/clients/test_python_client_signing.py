"""`sidecar.client` with `sign`, a real sidecar with a signing key, and a sandbox that checks each signature."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from sidecar.client.errors import TokenUnavailableError
from tests.clients.senders import SENDERS, Answer, Kind
from tests.clients.site import CALLER_TOKEN, Partner, Site, signing_site
from tests.support.sandbox_payments import CREATE, PAYMENT_TYPE, payment

Send: TypeAlias = Callable[..., Answer]
PAYMENT = json.dumps(payment(), indent=1).encode()
TYPED = {"Content-Type": PAYMENT_TYPE}


@pytest.fixture
def signed(partner: Partner, folder: Path) -> Iterator[Site]:
    with signing_site(partner, folder) as site:
        yield site


@pytest.fixture(params=SENDERS)
def send(request: pytest.FixtureRequest) -> Send:
    """Sends with a new auth object, which gets these arguments; the others are those of `Sender`."""
    auth, sender = SENDERS[request.param]

    def send(sidecar: str, *given: Any, sign: bool = True, auth_options: Any = (), **options: Any) -> Answer:  # noqa: ANN401
        return sender(auth(sidecar, sign=sign, **dict(auth_options)), *given, **options)

    return send


def test_a_payment_is_created_by_an_app_without_a_key(send: Send, signed: Site) -> None:
    answer = send(signed.url, "POST", signed.partner.url + CREATE, PAYMENT, headers=TYPED)
    assert (answer.status, json.loads(answer.body)["partnerReference"]) == (201, "order-1")
    assert signed.partner.requests() == [("POST", 201, "valid")]


def test_nothing_is_signed_unless_asked_for(send: Send, signed: Site) -> None:
    assert send(signed.url, "POST", signed.partner.url + CREATE, PAYMENT, headers=TYPED, sign=False).status == 400
    assert signed.partner.requests() == [("POST", 400, "missing")]


@pytest.mark.parametrize("kind", ["bytes", "text", "stream", "file", "form", "multipart"])
def test_the_bytes_that_are_signed_are_those_that_are_sent(kind: Kind, send: Send, signed: Site) -> None:
    body = '{"text": "\u00fc\r\n\x00"}'.encode() + bytes(range(256)) * 500
    send(signed.url, "POST", signed.partner.url + CREATE, body, kind)
    assert [signature for *_, signature in signed.partner.requests()] == ["valid"]


@pytest.mark.parametrize("kind", ["stream", "file"])
def test_a_payment_in_a_stream_is_created(kind: Kind, send: Send, signed: Site) -> None:
    assert send(signed.url, "POST", signed.partner.url + CREATE, PAYMENT, kind, headers=TYPED).status == 201


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("kind", ["none", "bytes", "stream"])
def test_each_request_that_may_change_something_is_signed_also_without_a_body(
    method: str, kind: Kind, send: Send, signed: Site
) -> None:
    send(signed.url, method, signed.partner.url + CREATE, b"", kind)
    assert [(sent, signature) for sent, _, signature in signed.partner.requests()] == [(method, "valid")]


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_a_request_that_reads_is_signed_only_with_a_body(method: str, send: Send, signed: Site) -> None:
    send(signed.url, method, signed.partner.probe_url, kind="none")
    send(signed.url, method, signed.partner.probe_url, b"body")
    assert [(sent, signature) for sent, _, signature in signed.partner.requests()] == [
        (method, "missing"), (method, "valid"),
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["bytes", "stream", "file"])
def test_after_a_401_the_payment_is_signed_again_with_the_next_token(kind: Kind, send: Send, signed: Site) -> None:
    assert send(signed.url, "GET", signed.partner.probe_url, kind="none").status == 200
    signed.partner.revoke()
    assert send(signed.url, "POST", signed.partner.url + CREATE, PAYMENT, kind, headers=TYPED).status == 201
    assert signed.partner.requests()[1:] == [("POST", 401, "valid"), ("POST", 201, "valid")]
    assert signed.partner.token_calls() == 2


def test_without_another_token_a_payment_is_sent_once(send: Send, partner: Partner, folder: Path) -> None:
    with signing_site(partner, folder, SIDECAR_CALL_BUDGET="1/60") as site:
        assert send(site.url, "GET", partner.probe_url, kind="none").status == 200
        partner.revoke()
        assert send(site.url, "POST", partner.url + CREATE, PAYMENT, headers=TYPED).status == 401
    assert partner.requests()[1:] == [("POST", 401, "valid")]


def test_the_apps_own_headers_of_these_names_are_replaced(send: Send, signed: Site) -> None:
    own = {"accesstoken": "Bearer mine", "x-timestamp": "2026-01-01T00:00:00Z", "X-Signature": "00"}
    assert send(signed.url, "POST", signed.partner.url + CREATE, PAYMENT, headers={**TYPED, **own}).status == 201


def test_a_sidecar_without_a_signing_key_is_an_error_and_nothing_is_sent(send: Send, site: Site) -> None:
    with pytest.raises(TokenUnavailableError) as caught:
        send(site.url, "POST", site.partner.url + CREATE, PAYMENT, headers=TYPED)
    error = caught.value
    assert (error.status, error.code, error.retry_after_s) == (404, "signing-not-configured", None)
    assert str(error) == "the sidecar cannot sign this request: signing-not-configured (404)"
    assert site.partner.requests() == []
    assert send(site.url, "GET", site.partner.probe_url, kind="none").status == 200


@pytest.mark.parametrize("size", [(1 << 20) + 1, 8 << 20])
@pytest.mark.parametrize("kind", ["stream", "file"])
def test_a_body_that_the_sidecar_does_not_sign_is_not_sent(size: int, kind: Kind, send: Send, signed: Site) -> None:
    with pytest.raises(TokenUnavailableError, match=r"cannot sign this request: payload-too-large \(413\)"):
        send(signed.url, "POST", signed.partner.url + CREATE, bytes(size), kind)
    assert signed.partner.requests() == []


def test_a_large_body_is_signed_where_the_sidecar_allows_it(send: Send, partner: Partner, folder: Path) -> None:
    with signing_site(partner, folder, SIDECAR_SIGN_MAX_BYTES=str(8 << 20)) as site:
        send(site.url, "GET", partner.probe_url, bytes(3 << 19), "file")
    assert [signature for *_, signature in partner.requests()] == ["valid"]


def test_a_missing_token_is_an_error_with_the_time_to_wait(send: Send, partner: Partner, folder: Path) -> None:
    partner.throttles()
    with signing_site(partner, folder) as site, pytest.raises(TokenUnavailableError) as caught:
        send(site.url, "POST", partner.url + CREATE, PAYMENT, headers=TYPED)
    assert (caught.value.status, caught.value.code) == (503, "partner-cooling-down")
    assert caught.value.retry_after_s is not None
    assert partner.requests() == []


def test_a_unix_socket_a_profile_and_a_caller_token_work_as_for_the_token(
    send: Send, partner: Partner, folder: Path
) -> None:
    file = folder / "caller-token"
    file.write_text(CALLER_TOKEN)
    with signing_site(partner, folder, SIDECAR_CALLER_TOKEN_FILE=str(file)) as site:
        url, options = partner.url + CREATE, {"profile": "default", "caller_token_file": file}
        answer = send(f"unix:{site.socket}", "POST", url, PAYMENT, headers=TYPED, auth_options=options)
        assert answer.status == 201
        with pytest.raises(TokenUnavailableError, match="unknown-profile"):
            send(site.url, "POST", url, PAYMENT, auth_options={**options, "profile": "other"})
        with pytest.raises(TokenUnavailableError, match="caller-not-allowed"):
            send(site.url, "POST", url, PAYMENT)
    assert len(partner.requests()) == 1
