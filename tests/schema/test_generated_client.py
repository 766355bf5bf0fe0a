"""A client generator takes the document without a warning, and what it makes of it works."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from tests.schema.client_maker import PACKAGE, make_client
from tests.schema.whole_service import whole_service
from tests.servers import free_port


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("client")
    make_client(folder)
    return folder


@pytest.fixture(autouse=True)
def importable(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(made)


def part(name: str) -> Any:  # noqa: ANN401 - made a moment ago, so no type checker knows it
    return import_module(f"{PACKAGE}.{name}")


async def call(operation: str, url: str, *, headers: dict[str, str] | None = None, **arguments: object) -> Any:  # noqa: ANN401 - the same
    """What one operation answers, as the client reads it."""
    async with part("client").Client(base_url=url, headers=headers or {}) as client:
        return await part(f"api.{operation}").asyncio(client=client, **arguments)


def asking() -> dict[str, Any]:
    return {"sidecar_request": part("models").RequiredHeader.TRUE}


async def test_it_gets_a_token_and_reports_it_as_refused() -> None:
    async with whole_service() as service:
        token = await call("vending.get_token", service.vending, **asking(), min_ttl=1.0)
        assert (token.profile, token.token_type, bool(token.access_token)) == ("default", "Bearer", True)
        body = part("models").ReportById(token_id=token.token_id)
        verdict = await call("vending.report_rejected", service.vending, **asking(), body=body)
        assert str(verdict.verdict) == "refreshing"
        again = await call("vending.get_token_of_profile", service.vending, profile="default", **asking())
        assert again.token_id != token.token_id


async def test_it_gets_a_token_the_way_oauth_clients_do() -> None:
    async with whole_service() as service:
        form = part("models").OAuthRequest(grant_type="client_credentials", client_id="default")
        token = await call("vending.oauth_token", service.vending, **asking(), body=form)
        assert token.token_type == "Bearer"
        assert token.access_token


async def test_it_reads_what_a_guard_says() -> None:
    async with whole_service() as service:
        forwarded = {"X-Forwarded-For": "192.0.2.1"}
        said = await call("vending.get_token", service.vending, headers=forwarded, **asking())
        assert (type(said).__name__, said.status, str(said.code)) == ("ForbiddenProblem", 403, "forwarded-request")


async def test_it_reads_when_to_ask_again() -> None:
    async with whole_service(BASE_URL=f"http://127.0.0.1:{free_port()}") as service:
        said = await call("vending.get_token", service.vending, **asking())
        assert (type(said).__name__, said.status, str(said.code)) == ("NotNowProblem", 503, "partner-unavailable")
        assert said.retry_after >= 1


async def test_it_reads_the_state() -> None:
    async with whole_service() as service:
        await call("vending.get_token", service.vending, **asking())
        ready = await call("admin.readyz", service.admin)
        status = await call("admin.status", service.admin)
        of_one = await call("admin.readyz_of_profile", service.admin, profile="default")
        assert (of_one.ready, of_one.profiles.additional_keys) == (True, ["default"])
        assert (ready.ready, status.ready, status.store_up) == (True, True, True)
        assert status.profiles["default"].budget.calls == 1000
