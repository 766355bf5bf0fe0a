"""`POST /oauth/token` through a real socket, as OAuth clients call it."""

from __future__ import annotations

import base64
from urllib.parse import quote_plus

import pytest

from sidecar.core import errors
from sidecar.core.model import Secret
from sidecar.core.process_events import LimitHit
from sidecar.credentials.caller_token import CallerTokens
from sidecar.web.api.guards import GuardSettings
from tests.support.fake_provider import vended
from tests.support.vending_service import VendingService, vending_service
from tests.support.wire import Reply, ask

CALLER_TOKEN, NEXT_CALLER_TOKEN = "caller+token/canary=", "next-caller-token-canary"
OPEN = GuardSettings()
LOCKED = GuardSettings(caller_tokens=lambda: CallerTokens([Secret(CALLER_TOKEN), Secret(NEXT_CALLER_TOKEN)]))
GRANT = "grant_type=client_credentials"


async def post(service: VendingService, form: str, **headers: str) -> Reply:
    """A form as a plain OAuth client sends it: without the required header, unless it is given."""
    fields = {"Host": "localhost", "Content-Type": "application/x-www-form-urlencoded", **headers}
    return await ask(service.address, "/oauth/token", method="POST", headers=fields, body=form.encode(), bare=True)


def basic(client_id: str, secret: str) -> str:
    return "Basic " + base64.b64encode(f"{client_id}:{secret}".encode()).decode()


async def test_with_the_required_header_the_answer_is_that_of_rfc_6749() -> None:
    async with vending_service(OPEN) as service:
        reply = await post(service, GRANT, **{"Sidecar-Request": "true"})
        assert reply.status == 200
        assert reply.json() == {"access_token": "access-token-one", "token_type": "Bearer", "expires_in": 900}
        assert reply.header("Cache-Control") == "no-store"
        assert service.served == [("default", "oauth", "ok")]


async def test_without_a_caller_token_the_required_header_is_required() -> None:
    async with vending_service(OPEN) as service:
        assert (await post(service, GRANT)).code == "header-required"


async def test_without_a_caller_token_a_client_secret_is_passed_over() -> None:
    async with vending_service(OPEN) as service:
        reply = await post(service, GRANT, Authorization=basic("other", "any"), **{"Sidecar-Request": "true"})
        assert reply.status == 200
        assert service.served == [("other", "oauth", "ok")]


@pytest.mark.parametrize(
    ("form", "authorization"),
    [
        (GRANT, basic("", CALLER_TOKEN)),
        (GRANT, basic("default", CALLER_TOKEN)),
        (GRANT, basic("default", NEXT_CALLER_TOKEN)),
        (GRANT, basic("default", quote_plus(CALLER_TOKEN))),
        (f"{GRANT}&client_id=default", basic("default", CALLER_TOKEN)),
        (f"{GRANT}&client_id=default&client_secret={quote_plus(CALLER_TOKEN)}", None),
        (f"{GRANT}&client_secret={quote_plus(CALLER_TOKEN)}&scope=any", None),
    ],
)
async def test_client_authentication_stands_in_for_the_required_header(form: str, authorization: str | None) -> None:
    async with vending_service(LOCKED) as service:
        headers = {} if authorization is None else {"Authorization": authorization}
        assert (await post(service, form, **headers)).status == 200


@pytest.mark.parametrize(
    ("form", "authorization"),
    [
        (GRANT, None),
        (GRANT, basic("default", "wrong")),
        (GRANT, "Basic ???"),
        (GRANT, "Basic " + base64.b64encode(b"no colon").decode()),
        (GRANT, "Basic " + base64.b64encode(b"\xff:\xff").decode()),
        (GRANT, f"Bearer {CALLER_TOKEN}"),
        (f"{GRANT}&client_secret=wrong", None),
        ("grant_type=password&client_id=nobody", None),
    ],
)
async def test_a_client_that_is_not_known_is_an_invalid_client(form: str, authorization: str | None) -> None:
    async with vending_service(LOCKED) as service:
        headers = {} if authorization is None else {"Authorization": authorization}
        reply = await post(service, form, **headers)
        assert (reply.status, reply.json()["error"]) == (401, "invalid_client")
        assert reply.header("WWW-Authenticate") == 'Basic realm="token-sidecar"'
        assert service.served == [("", "oauth", "caller-not-allowed")]
        assert b"canary" not in reply.raw


@pytest.mark.parametrize("authorization", [basic("default", "wrong"), "Basic ???", f"Bearer {CALLER_TOKEN}"])
async def test_a_client_that_its_head_does_not_authenticate_is_refused_before_its_body(authorization: str) -> None:
    """The body never comes: who waits for it holds a connection, and so would any number of strangers."""
    async with vending_service(LOCKED) as service:
        for expects in ({}, {"Expect": "100-continue"}):
            reply = await post(service, "", **{"Content-Length": "100", "Authorization": authorization}, **expects)
            assert (reply.status, reply.json()["error"]) == (401, "invalid_client")
        assert service.sink.of(LimitHit) == []


async def test_a_client_id_that_is_no_profile_is_404_as_on_the_other_paths() -> None:
    async with vending_service(LOCKED) as service:
        reply = await post(service, f"{GRANT}&client_id=nobody&client_secret={quote_plus(CALLER_TOKEN)}")
        assert (reply.status, reply.json()["error"]) == (404, "invalid_client")
        assert reply.header("WWW-Authenticate") is None
        assert service.served == [("", "oauth", "unknown-profile")]


async def test_a_refusal_has_the_members_of_oauth_and_those_of_a_problem() -> None:
    async with vending_service(OPEN) as service:
        reply = await post(service, "grant_type=password", **{"Sidecar-Request": "true"})
        assert reply.header("Content-Type") == "application/json"
        assert reply.json() == {
            "error": "unsupported_grant_type",
            "error_description": "Send grant_type=client_credentials.",
            "type": "urn:token-sidecar:problem:bad-request",
            "title": "The request is not valid",
            "status": 400,
            "detail": "Send grant_type=client_credentials.",
            "code": "bad-request",
        }


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ("grant_type=password", "unsupported_grant_type"),
        ("client_id=default", "invalid_request"),
        ("grant_type=", "invalid_request"),
        (f"{GRANT}&{GRANT}", "invalid_request"),
        ("&".join([GRANT, *(f"f{n}=1" for n in range(40))]), "invalid_request"),
        ("grant_type=%ff", "invalid_request"),
    ],
)
async def test_a_request_that_is_no_client_credentials_grant_is_told_so(form: str, error: str) -> None:
    async with vending_service(OPEN) as service:
        reply = await post(service, form, **{"Sidecar-Request": "true"})
        assert (reply.status, reply.json()["error"]) == (400, error)
        assert service.served == [("", "oauth", "bad-request")]


@pytest.mark.parametrize("form", [f"{GRANT}&client_secret=x", f"{GRANT}&client_id=other"])
async def test_two_ways_to_say_who_one_is_are_one_too_many(form: str) -> None:
    async with vending_service(LOCKED) as service:
        reply = await post(service, form, Authorization=basic("default", CALLER_TOKEN))
        assert (reply.status, reply.json()["error"]) == (400, "invalid_request")


async def test_client_authentication_does_not_lift_the_other_guards() -> None:
    async with vending_service(LOCKED) as service:
        reply = await post(service, GRANT, Authorization=basic("", CALLER_TOKEN), Forwarded="for=10.0.0.1")
        assert reply.code == "forwarded-request"


async def test_the_body_must_be_a_form() -> None:
    async with vending_service(OPEN) as service:
        reply = await post(service, "{}", **{"Sidecar-Request": "true", "Content-Type": "application/json"})
        assert (reply.status, reply.json()["error"], reply.json()["code"]) == (400, "invalid_request", "bad-request")


async def test_without_a_token_the_answer_is_the_problem_of_the_other_paths() -> None:
    async with vending_service(OPEN) as service:
        service.provider.now, service.provider.later = None, errors.StartingError("none yet", retry_after_s=2)
        reply = await post(service, GRANT, **{"Sidecar-Request": "true"})
        assert (reply.status, reply.code, reply.header("Retry-After")) == (503, "starting", "2")


async def test_a_suspect_token_is_marked() -> None:
    async with vending_service(OPEN) as service:
        service.provider.now, service.provider.later = None, vended(suspect=True)
        reply = await post(service, GRANT, **{"Sidecar-Request": "true"})
        assert (reply.header("Token-Suspect"), reply.json()["expires_in"]) == ("true", 1)
