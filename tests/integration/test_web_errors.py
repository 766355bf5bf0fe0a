"""Every row of the contract's error table that is not a guard's, through a real socket."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from sidecar.core import errors
from sidecar.core.errors import PartnerDetail
from sidecar.web.responses import PROBLEMS
from tests.support.vending_service import VendingService, vending_service
from tests.support.wire import ask

DETAIL = PartnerDetail(status=429, error_code="GW-7", error_message="slow down", session_id="s-1")


@pytest.fixture
async def service() -> AsyncIterator[VendingService]:
    async with vending_service() as running:
        yield running


async def test_a_min_ttl_that_can_never_be_met_is_a_bad_request(service: VendingService) -> None:
    service.provider.later = errors.BadRequestError("min_ttl is beyond the lifetime")
    reply = await service.get("/v1/token?min_ttl=5000")
    assert (reply.status, reply.code) == (400, "bad-request")


@pytest.mark.parametrize(
    "query",
    ["min_ttl=", "min_ttl=x", "min_ttl=-1", "min_ttl=nan", "min_ttl=inf", "min_ttl=1e3", "min_ttl=1&min_ttl=1",
     "wait=%31_0", "wait=+5", "wait=1,5", "wait=%D9%A1", "wait=1&wait=2"],
)  # fmt: skip
async def test_a_query_value_that_is_no_number_is_refused_with_what_to_do(service: VendingService, query: str) -> None:
    reply = await service.get(f"/v1/token?{query}")
    assert (reply.status, reply.code) == (400, "bad-request")
    assert "plain number of seconds" in reply.json()["detail"]


@pytest.mark.parametrize(
    ("error", "code", "status"),
    [
        (errors.CoolingDownError("wait", retry_after_s=6.2, partner=DETAIL), "partner-cooling-down", 503),
        (errors.BudgetExhaustedError("wait", retry_after_s=6.2, partner=DETAIL), "call-budget-exhausted", 503),
        (errors.PartnerUnavailableError("wait", retry_after_s=6.2, partner=DETAIL), "partner-unavailable", 503),
        (errors.CredentialsRejectedError("wait", retry_after_s=6.2, partner=DETAIL), "credentials-rejected", 502),
        (errors.PartnerRefusedError("wait", retry_after_s=6.2, partner=DETAIL), "partner-refused-request", 502),
        (errors.StoreUnavailableError("wait", retry_after_s=6.2, partner=DETAIL), "store-unavailable", 503),
        (errors.StartingError("wait", retry_after_s=6.2, partner=DETAIL), "starting", 503),
        (errors.WaitTimeoutError("wait", retry_after_s=6.2, partner=DETAIL), "timeout", 503),
    ],
)
async def test_without_a_token_the_problem_says_why_and_when_to_ask_again(
    service: VendingService, error: errors.NoTokenError, code: str, status: int
) -> None:
    service.provider.now, service.provider.later = None, error
    for path, endpoint in (("/v1/token", "token"), ("/v1/authorize", "authorize")):
        reply = await service.get(path)
        assert reply.status == status
        assert reply.header("Retry-After") == "7"
        assert reply.json() == {
            "type": f"urn:token-sidecar:problem:{code}",
            "title": PROBLEMS[code][1],
            "status": status,
            "detail": "wait",
            "code": code,
            "retryAfter": 7,
            "partner": {"status": 429, "errorCode": "GW-7", "errorMessage": "slow down", "sessionId": "s-1"},
        }
        assert service.served[-1] == ("default", endpoint, code)


async def test_retry_after_is_never_below_one_second(service: VendingService) -> None:
    service.provider.now, service.provider.later = None, errors.CoolingDownError("wait", retry_after_s=0.01)
    reply = await service.get("/v1/token")
    assert (reply.header("Retry-After"), reply.json()["retryAfter"]) == ("1", 1)
    assert "partner" not in reply.json()


@pytest.mark.parametrize(
    ("method", "path", "endpoint"),
    [
        ("GET", "/v1/token/nobody", "token"),
        ("GET", "/v1/token/%64efault", "token"),
        ("GET", "/v1/authorize/nobody", "authorize"),
        ("POST", "/v1/token/nobody/rejected", "rejected"),
    ],
)
async def test_an_unknown_profile_is_404_and_becomes_no_label(
    service: VendingService, method: str, path: str, endpoint: str
) -> None:
    reply = await ask(service.address, path, method=method)
    assert (reply.status, reply.code) == (404, "unknown-profile")
    assert service.served == [("", endpoint, "unknown-profile")]


@pytest.mark.parametrize(
    "path", ["/", "/v1", "/v1/%74oken", "/v1/token/", "//v1/token", "/v1/token/a/b", "/v1/authorize/rejected/rejected",
             "/V1/token", "/v1/token;x", "/metrics"]
)  # fmt: skip
async def test_a_path_is_taken_by_its_exact_bytes(service: VendingService, path: str) -> None:
    reply = await service.get(path)
    assert (reply.status, reply.code) == (404, "not-found")
    assert service.served == []


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("POST", "/v1/token", "GET, HEAD"),
        ("DELETE", "/v1/token/other", "GET, HEAD"),
        ("GET", "/v1/token/rejected", "POST"),
        ("GET", "/oauth/token", "POST"),
        ("OPTIONS", "/openapi.json", "GET, HEAD"),
    ],
)
async def test_another_method_is_405_with_what_is_allowed(
    service: VendingService, method: str, path: str, allow: str
) -> None:
    reply = await ask(service.address, path, method=method)
    assert (reply.status, reply.code, reply.header("Allow")) == (405, "method-not-allowed", allow)
