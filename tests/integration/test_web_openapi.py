"""The OpenAPI document is sound, complete, and what the listeners really answer conforms to it."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Iterator
from typing import Any

import pytest

from sidecar.core import errors
from sidecar.core.errors import ERROR_CODES, FailureKind, PartnerDetail
from sidecar.core.events import PauseStarted
from sidecar.telemetry.metrics import Metrics
from sidecar.telemetry.recent_events import RecentEvents
from sidecar.vending.api import LastFailure, Report
from sidecar.web.api.openapi import document
from tests.support.admin_api import admin_api
from tests.support.fake_provider import NOW, FakeProvider, FixedClock, vended
from tests.support.sink import ListSink
from tests.support.status_samples import GATEWAY
from tests.support.vending_service import vending_service
from tests.support.wire import ASKING, Reply, ask, serving

DOCUMENT = document()
ADMIN_PATHS = [path for path, item in DOCUMENT["paths"].items() if item.get("get", {}).get("tags") == ["admin"]]
GRANT = b"grant_type=client_credentials"
DETAIL = PartnerDetail(status=429, error_code="GW-7", error_message="slow down", session_id="s-1")


def resolve(reference: str) -> Any:  # noqa: ANN401 - any part of the document
    found: Any = DOCUMENT
    for key in reference.removeprefix("#/").split("/"):
        found = found[key]
    return found


def references(part: object) -> Iterator[str]:
    if isinstance(part, dict):
        for key, value in part.items():
            if key == "$ref":
                yield value
            else:
                yield from references(value)
    elif isinstance(part, list):
        for item in part:
            yield from references(item)


def followed(part: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = resolve(part["$ref"]) if "$ref" in part else part
    return found


@functools.cache
def validator() -> Any:  # noqa: ANN401 - a class of a library without types
    """Import jsonschema late: it takes a second, which every worker that collects this file would spend."""
    return importlib.import_module("jsonschema").Draft202012Validator


def validate(value: object, schema: dict[str, Any]) -> None:
    whole = {**schema, "components": DOCUMENT["components"]}
    validator()(whole, format_checker=validator().FORMAT_CHECKER).validate(value)


def conforms(path: str, method: str, reply: Reply) -> None:
    """Fails unless the document describes this response: status, headers, content type and body."""
    described = followed(DOCUMENT["paths"][path][method]["responses"][str(reply.status)])
    for name, header in described.get("headers", {}).items():
        value = reply.header(name)
        if value is None:
            assert not followed(header)["required"], f"{name} is missing"
        else:
            validate(value, followed(header)["schema"])
    if method == "head" or "content" not in described:
        assert reply.body == b""
        return
    content_type = str(reply.header("Content-Type")).split(";")[0]
    schema = described["content"][content_type]["schema"]
    validate(reply.json() if content_type.endswith("json") else reply.body.decode(), schema)


def test_every_reference_leads_somewhere_and_every_component_is_used() -> None:
    used = set(references(DOCUMENT))
    for reference in used:
        assert resolve(reference)
    for kind in ("parameters", "headers", "responses", "schemas"):
        assert {f"#/components/{kind}/{name}" for name in DOCUMENT["components"][kind]} <= used


def test_every_schema_is_a_valid_one() -> None:
    for schema in DOCUMENT["components"]["schemas"].values():
        validator().check_schema(schema)


def test_every_error_code_is_described() -> None:
    assert set(DOCUMENT["components"]["schemas"]["Problem"]["properties"]["code"]["enum"]) == set(ERROR_CODES)


def test_operations_have_names_of_their_own() -> None:
    items = DOCUMENT["paths"].values()
    names = [operation["operationId"] for item in items for key, operation in item.items() if key != "servers"]
    assert len(set(names)) == len(names) > len(items)


def test_each_listeners_operations_name_its_server() -> None:
    vending = DOCUMENT["servers"][0]["url"]
    for item in DOCUMENT["paths"].values():
        tags = {tag for method in item.keys() & {"get", "post"} for tag in item[method]["tags"]}
        servers = [server["url"] for server in item.get("servers", DOCUMENT["servers"])]
        assert tags in ({"admin"}, {"vending"})
        assert (servers == [vending]) == (tags == {"vending"})


async def test_the_document_is_served() -> None:
    async with vending_service() as service:
        reply = await service.get("/openapi.json")
        assert reply.json() == DOCUMENT
        conforms("/openapi.json", "get", reply)


async def test_answers_with_a_token_conform() -> None:
    async with vending_service() as service:
        for given in (vended(), vended(suspect=True)):
            service.provider.now, service.provider.later = None, given
            conforms("/v1/token", "get", await service.get("/v1/token"))
            conforms("/v1/token", "get", await service.get("/v1/token", {"Accept": "text/plain"}))
            conforms("/v1/token", "get", await service.get("/v1/token", {"If-None-Match": "*"}))
            conforms("/v1/token/{profile}", "get", await service.get("/v1/token/other"))
            conforms("/v1/authorize", "get", await service.get("/v1/authorize"))
            conforms("/v1/authorize/{profile}", "get", await service.get("/v1/authorize/other"))
            conforms("/v1/sign", "post", await service.post("/v1/sign?token=no", b"body"))
            conforms("/v1/sign", "post", await service.post("/v1/sign", b"body", {"Accept": "text/plain"}))
            conforms("/v1/sign/{profile}", "post", await service.post("/v1/sign/other", b"body"))
        service.provider.signing_key = None
        conforms("/v1/sign", "post", await service.post("/v1/sign", b"body"))
        conforms("/v1/sign", "post", await service.post("/v1/sign?token=maybe", b"body"))
        conforms("/v1/sign/{profile}", "post", await service.post("/v1/sign/nobody", b"body"))


@pytest.mark.parametrize("kind", errors.NoTokenError.__subclasses__())
async def test_answers_without_a_token_conform(kind: type[errors.NoTokenError]) -> None:
    async with vending_service() as service:
        service.provider.now = None
        service.provider.later = kind("wait", retry_after_s=3, partner=DETAIL)
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        conforms("/v1/token", "get", await service.get("/v1/token"))
        conforms("/v1/authorize", "get", await service.get("/v1/authorize"))
        oauth = await service.post("/oauth/token", GRANT, form)
        conforms("/oauth/token", "post", oauth)


@pytest.mark.parametrize("path", ["/v1/token", "/v1/authorize", "/v1/token/rejected", "/oauth/token", "/openapi.json"])
async def test_refusals_conform(path: str) -> None:
    async with vending_service() as service:
        for method in DOCUMENT["paths"][path]:
            stranger = await ask(service.address, path, method=method.upper(), headers={"Host": "evil.test"}, bare=True)
            assert stranger.status == 403
            conforms(path, method, stranger)
            wrong = await ask(service.address, path, method="PUT")
            assert wrong.status == (200 if path == "/v1/authorize" else 405)
            conforms(path, method, wrong)


async def test_unknown_profiles_and_bad_queries_conform() -> None:
    async with vending_service() as service:
        conforms("/v1/token/{profile}", "get", await service.get("/v1/token/nobody"))
        conforms("/v1/token", "get", await service.get("/v1/token?min_ttl=x"))
        service.provider.now, service.provider.later = None, RuntimeError()
        conforms("/v1/token", "get", await service.get("/v1/token"))


@pytest.mark.parametrize("verdict", [Report("refreshing"), Report("later", retry_after_s=3.5)])
async def test_reports_conform(verdict: Report) -> None:
    async with vending_service() as service:
        service.provider.verdict = verdict
        conforms("/v1/token/rejected", "post", await service.post("/v1/token/rejected", b'{"accessToken": "x"}'))
        conforms("/v1/token/rejected", "post", await service.post("/v1/token/rejected", b"{}"))
        conforms("/v1/token/rejected", "post", await service.post("/v1/token/rejected", b"x" * 70_000))


@pytest.mark.parametrize("form", [GRANT, b"grant_type=x", GRANT + b"&client_id=x", b"\xff"])
async def test_oauth_answers_conform(form: bytes) -> None:
    async with vending_service() as service:
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        conforms("/oauth/token", "post", await service.post("/oauth/token", form, headers))


@pytest.mark.parametrize("healthy", [True, False])
async def test_admin_answers_conform(healthy: bool) -> None:
    provider, recent = FakeProvider(), RecentEvents(FixedClock())
    if not healthy:
        failure = LastFailure(kind=FailureKind.THROTTLED, at=NOW, detail=DETAIL)
        provider.show(ready=False, why_not="starting", issued_at=0, token_id="", lifetime="", last_failure=failure)
        recent.emit(PauseStarted(profile="default", kind=FailureKind.THROTTLED, pause_s=30, strikes=1))
    metrics = Metrics(lambda: [provider], ["default"], "1")
    dead = None if healthy else "dead"
    gateway = {"default": GATEWAY} if healthy else {}
    api = admin_api(
        {"default": provider},
        render_metrics=metrics.render,
        recent_events=recent,
        failure=lambda: dead,
        signatures=lambda _profile: 3,
        gateway=gateway.get,
    )
    async with serving(api, ListSink()) as address:
        for path in ADMIN_PATHS:
            conforms(path, "get", await ask(address, path))
            conforms(path, "get", await ask(address, path, method="POST", headers=ASKING))
