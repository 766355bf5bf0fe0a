"""The admin API through a real socket: probes, metrics and status, without any token."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

import sidecar
from sidecar.core.errors import FailureKind, PartnerDetail
from sidecar.core.events import PauseStarted, StoreFailed
from sidecar.core.model import Address
from sidecar.core.policy import Condition
from sidecar.telemetry.metrics import Metrics
from sidecar.telemetry.recent_events import RecentEvents
from sidecar.vending.api import LastFailure
from sidecar.web.admin.app import TokenFileState
from tests.support.admin_api import admin_api
from tests.support.fake_provider import NOW, FakeProvider, FixedClock
from tests.support.sink import ListSink
from tests.support.wire import LOOPBACK, Reply, ask, serving

NONE = {"ready": False, "condition": Condition.EXPIRED}
"""The fields of a snapshot without a token to vend."""


@dataclass
class Admin:
    """A running admin listener, and the state that it shows."""

    providers: dict[str, FakeProvider]
    recent: RecentEvents
    address: Address = LOOPBACK
    dead: str | None = None
    draining: bool = False
    file: TokenFileState = "written"
    """The state of the token file of the profile `other`."""
    waited: bool = False

    async def get(self, path: str, **headers: str) -> Reply:
        return await ask(self.address, path, headers={"Host": "10.1.2.3:9181", **headers}, bare=True)


@pytest.fixture
async def admin() -> AsyncIterator[Admin]:
    running = Admin({"default": FakeProvider(), "other": FakeProvider("other")}, RecentEvents(FixedClock()))
    metrics = Metrics(lambda: running.providers.values(), list(running.providers), "1.2.3")
    api = admin_api(
        running.providers,
        render_metrics=metrics.render,
        recent_events=running.recent,
        failure=lambda: running.dead,
        is_draining=lambda: running.draining,
        token_file_state=lambda profile: running.file if profile == "other" else "written",
        has_waited=lambda: running.waited,
    )
    async with serving(api, ListSink()) as address:
        running.address = address
        yield running


async def test_livez_is_200_while_the_tasks_run_and_says_what_is_wrong_when_not(admin: Admin) -> None:
    reply = await admin.get("/livez")
    assert (reply.status, reply.json()) == (200, {"alive": True, "reason": None})
    admin.dead = "the maintainer of default has ended"
    reply = await admin.get("/livez")
    assert (reply.status, reply.json()) == (503, {"alive": False, "reason": "the maintainer of default has ended"})


async def test_a_token_that_is_not_in_its_file_yet_is_not_ready(admin: Admin) -> None:
    """Apps start after this probe, and read the file."""
    admin.file = "awaited"
    reply = await admin.get("/readyz")
    found = {name: (one["ready"], one["reason"]) for name, one in reply.json()["profiles"].items()}
    assert (reply.status, found) == (503, {"default": (True, None), "other": (False, "token-file")})
    admin.providers["other"].show(ready=False, why_not="partner-cooling-down")
    assert (await admin.get("/readyz")).json()["profiles"]["other"]["reason"] == "partner-cooling-down"


async def test_a_file_that_cannot_be_written_does_not_take_the_other_profile_out_of_service(admin: Admin) -> None:
    admin.file = "failed"
    ready = [(await admin.get(path)).status for path in ("/readyz", "/readyz/default", "/readyz/other")]
    assert ready == [200, 200, 503]


async def test_a_profile_with_a_suspect_token_is_ready_even_with_partner_and_store_down(admin: Admin) -> None:
    admin.providers["default"].show(**NONE, why_not="credentials-rejected")
    admin.providers["other"].show(condition=Condition.SUSPECT, store_up=False, pause_kind="server-error")
    reply = await admin.get("/readyz")
    assert (reply.status, reply.json()["ready"]) == (200, True)
    other = reply.json()["profiles"]["other"]
    assert other == {
        "ready": True,
        "reason": None,
        "condition": "suspect",
        "storeUp": False,
        "credentialsValid": True,
        "pause": "server-error",
        "retryAt": None,
    }


@pytest.mark.parametrize("why_not", ["credentials-rejected", "partner-unavailable", "starting"])
async def test_one_profile_that_failed_leaves_the_others_in_service_and_is_named(admin: Admin, why_not: str) -> None:
    """`starting` has an open call, after one that failed."""
    admin.providers["other"].show(**NONE, why_not=why_not)
    reply = await admin.get("/readyz")
    assert (reply.status, reply.json()["ready"]) == (200, True)
    found = {name: (one["ready"], one["reason"]) for name, one in reply.json()["profiles"].items()}
    assert found == {"default": (True, None), "other": (False, why_not)}
    assert (await admin.get("/status.json")).json()["ready"] is True
    assert "Apps get no token for other" in (await admin.get("/status")).body.decode()


async def test_a_profile_that_has_not_heard_of_its_first_token_makes_all_wait(admin: Admin) -> None:
    admin.providers["other"].show(**NONE, why_not="starting", has_outcome=False)
    reply = await admin.get("/readyz")
    assert (reply.status, reply.json()["ready"]) == (503, False)
    assert reply.json()["profiles"]["other"]["reason"] == "starting"
    assert reply.json()["profiles"]["default"]["ready"] is True


async def test_without_a_single_token_it_is_unready_with_the_reason_of_each_profile(admin: Admin) -> None:
    admin.providers["default"].show(**NONE, why_not="partner-cooling-down")
    admin.providers["other"].show(**NONE, why_not="credentials-rejected")
    reply = await admin.get("/readyz")
    reasons = {name: one["reason"] for name, one in reply.json()["profiles"].items()}
    assert (reply.status, reply.json()["ready"]) == (503, False)
    assert reasons == {"default": "partner-cooling-down", "other": "credentials-rejected"}


async def test_each_profile_has_a_readiness_of_its_own(admin: Admin) -> None:
    admin.providers["other"].show(**NONE, why_not="credentials-rejected")
    good, bad = await admin.get("/readyz/default"), await admin.get("/readyz/other?why")
    assert (good.status, good.json()["ready"], list(good.json()["profiles"])) == (200, True, ["default"])
    assert (bad.status, bad.json()["ready"]) == (503, False)
    assert {name: one["reason"] for name, one in bad.json()["profiles"].items()} == {"other": "credentials-rejected"}
    admin.draining = True
    assert (await admin.get("/readyz/default")).status == 503


async def test_a_profile_that_does_not_exist_has_no_readiness(admin: Admin) -> None:
    reply = await admin.get("/readyz/nobody")
    assert (reply.status, reply.code) == (404, "unknown-profile")
    assert (await ask(admin.address, "/readyz/nobody", method="POST")).code == "method-not-allowed"


async def test_a_resting_profile_is_ready(admin: Admin) -> None:
    admin.providers["default"].show(resting=True)
    admin.providers["other"].show(condition=Condition.EXPIRED, token_id="", resting=True)
    reply = await admin.get("/readyz")
    assert reply.status == 200
    assert [profile["reason"] for profile in reply.json()["profiles"].values()] == ["resting", "resting"]


async def test_the_slow_retry_of_rejected_credentials_is_shown_with_its_time(admin: Admin) -> None:
    rejected = {"ready": False, "condition": Condition.EXPIRED, "why_not": "credentials-rejected"}
    admin.providers["other"].show(**rejected, credentials_valid=False, retry_at=NOW + 120)
    for path in ("/readyz", "/status.json"):
        other = (await admin.get(path)).json()["profiles"]["other"]
        assert (other["reason"], other["retryAt"]) == ("credentials-rejected", "2026-01-01T00:02:00Z")


async def test_draining_turns_readiness_off_and_leaves_liveness_on(admin: Admin) -> None:
    admin.draining = True
    assert (await admin.get("/readyz")).status == 503
    assert (await admin.get("/readyz")).json()["draining"] is True
    assert (await admin.get("/livez")).status == 200


async def test_an_app_may_start_with_a_token_or_when_it_has_waited_long_enough_for_one(admin: Admin) -> None:
    assert (await admin.get("/startupz")).status == 200
    admin.providers["other"].show(**NONE, why_not="starting", has_outcome=False)
    waiting = await admin.get("/startupz")
    assert (waiting.status, waiting.json()["profiles"]["other"]["reason"]) == (503, "starting")
    admin.waited = True
    waited = await admin.get("/startupz")
    assert (waited.status, waited.json()["ready"]) == (200, False)
    assert (await admin.get("/readyz")).status == 503


async def test_an_app_may_start_beside_one_profile_that_failed(admin: Admin) -> None:
    admin.providers["other"].show(**NONE, why_not="credentials-rejected")
    assert (await admin.get("/startupz")).status == 200


async def test_metrics_come_as_text_or_as_openmetrics_by_accept(admin: Admin) -> None:
    text = await admin.get("/metrics")
    assert (text.status, str(text.header("Content-Type")).split(";")[0]) == (200, "text/plain")
    assert b'token_sidecar_build_info{version="1.2.3"} 1.0' in text.body
    modern = await admin.get("/metrics", Accept="application/openmetrics-text; version=1.0.0")
    assert str(modern.header("Content-Type")).startswith("application/openmetrics-text")
    assert modern.body.endswith(b"# EOF\n")


async def test_status_tells_the_whole_state_of_each_profile(admin: Admin) -> None:
    detail = PartnerDetail(status=429, session_id="s-1")
    failure = LastFailure(kind=FailureKind.THROTTLED, at=NOW, detail=detail)
    admin.providers["default"].show(cooldown_until=NOW + 30, lease_owner="replica-a", last_failure=failure)
    document = (await admin.get("/status.json")).json()
    assert (document["version"], document["ready"], document["storeUp"]) == (sidecar.__version__, True, True)
    default = document["profiles"]["default"]
    assert document["at"] == "2026-01-01T00:00:00Z"
    assert default["profileId"] == "pay1st-0123456789abcdef"
    assert (default["expiresAt"], default["expiresInSeconds"]) == ("2026-01-01T00:15:00Z", 900)
    assert default["nextRefreshAt"] == "2026-01-01T00:12:00Z"
    assert default["cooldownUntil"] == "2026-01-01T00:00:30Z"
    assert default["budget"] == {"calls": 6, "windowSeconds": 60, "remaining": 5}
    assert default["leaseHolder"] == "replica-a"
    assert default["lastError"] == {
        "kind": "throttled",
        "at": "2026-01-01T00:00:00Z",
        "partner": {"status": 429, "sessionId": "s-1"},
    }
    assert (document["profiles"]["other"]["leaseHolder"], document["profiles"]["other"]["lastError"]) == (None, None)


async def test_without_a_token_no_life_is_left_to_tell(admin: Admin) -> None:
    admin.providers["default"].show(token_id="", left_s=0)
    assert (await admin.get("/status.json")).json()["profiles"]["default"]["expiresInSeconds"] is None


async def test_status_shows_the_last_events_with_names_in_camel_case(admin: Admin) -> None:
    admin.recent.emit(PauseStarted(profile="default", kind=FailureKind.THROTTLED, pause_s=30, strikes=1))
    admin.recent.emit(StoreFailed(profile="other", operation="peek", cause="TimeoutError"))
    first, second = (await admin.get("/status.json")).json()["events"]
    assert (first["event"], first["pauseS"], first["kind"]) == ("pause_started", 30, "throttled")
    assert (second["profile"], second["at"], second["count"]) == ("other", "2026-01-01T00:00:00Z", 1)


@pytest.mark.parametrize(
    "path", ["/livez", "/readyz", "/startupz", "/metrics", "/status.json", "/status", "/v1/token", "/"]
)
async def test_no_answer_carries_a_token_or_may_be_stored(admin: Admin, path: str) -> None:
    reply = await admin.get(path, Authorization="Bearer CANARY")
    assert reply.header("Cache-Control") == "no-store"
    for secret in (b"access-token-one", b"refresh-of", b"CANARY"):
        assert secret not in reply.raw


PAGE_FILES = {"/status": "text/html", "/status.css": "text/css", "/status.js": "text/javascript"}


@pytest.mark.parametrize(("path", "content_type"), PAGE_FILES.items())
async def test_the_page_and_its_files_let_a_browser_load_nothing_else(
    path: str, content_type: str, admin: Admin
) -> None:
    reply = await admin.get(path)
    assert (reply.status, reply.header("Content-Type")) == (200, f"{content_type}; charset=utf-8")
    policy = str(reply.header("Content-Security-Policy")).split("; ")
    assert policy[0] == "default-src 'none'"
    assert not [rule for rule in policy if "unsafe" in rule or "http" in rule or "*" in rule]
    assert {"frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'"} <= set(policy)
    assert (reply.header("X-Content-Type-Options"), reply.header("Referrer-Policy")) == ("nosniff", "no-referrer")


@pytest.mark.parametrize("path", PAGE_FILES)
async def test_the_page_too_is_only_read(path: str, admin: Admin) -> None:
    assert (await ask(admin.address, path, method="POST")).code == "method-not-allowed"
    head = await ask(admin.address, path, method="HEAD")
    assert (head.status, head.body) == (200, b"")


async def test_the_page_tells_what_the_document_tells(admin: Admin) -> None:
    admin.providers["other"].show(ready=False, condition=Condition.EXPIRED, why_not="call-budget-exhausted")
    admin.recent.emit(StoreFailed(profile="other", operation="peek", cause="TimeoutError"))
    page = (await admin.get("/status")).body.decode()
    assert "Apps get no token: the budget of partner calls is spent" in page
    assert "Store unavailable (peek: TimeoutError)" in page


@pytest.mark.parametrize(
    "path", ["/v1/token", "/", "/status.json/", "/status/", "/status.html", "/liv%65z", "/readyz/", "/readyz/a/b"]
)
async def test_another_path_is_404(admin: Admin, path: str) -> None:
    reply = await admin.get(path)
    assert (reply.status, reply.code) == (404, "not-found")


async def test_only_get_and_head_are_taken(admin: Admin) -> None:
    reply = await ask(admin.address, "/livez", method="POST")
    assert (reply.status, reply.code, reply.header("Allow")) == (405, "method-not-allowed", "GET, HEAD")
    head = await ask(admin.address, "/readyz", method="HEAD")
    assert (head.status, head.body) == (200, b"")
