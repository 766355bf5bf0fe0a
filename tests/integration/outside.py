"""What the outside sees, as data: it stays as it is when names and files inside change.

`python -m tests.integration.outside` writes it again. The commands' help has a page of its own, docs/commands.md.
"""

from __future__ import annotations

import asyncio
import json
import re
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from sidecar.config import schema
from sidecar.core import events, process_events
from sidecar.core.events import Event
from sidecar.core.model import Address
from sidecar.stores.codec import _Payload
from sidecar.stores.documents import Coordination, StoredToken
from sidecar.stores.sqlite.clock import KeptTime
from sidecar.telemetry import metric_names
from tests.schema.whole_service import whole_service
from tests.support.wire import Reply, ask

PAGE = Path(__file__).with_name("outside.json")
_MODULES = (events, process_events)


async def outside() -> Mapping[str, Any]:
    """Every section by its name; sorted where the order says nothing."""
    log, metrics, status = await _run()
    return {
        "settings": {
            setting.name: [setting.default_shown, setting.per_profile, setting.meaning] for setting in schema.SETTINGS
        },
        "error codes": sorted(metric_names.CODES),
        "events": {event.name: [event.level, _shape(event)] for event in sorted(_events(), key=lambda e: e.name)},
        "documents": {
            "gate": _shape(Coordination), "token": _shape(StoredToken), "sealed": _shape(_Payload),
            "clock": _shape(KeptTime),
        },
        "metrics": metrics,
        "status.json": status,
        "log lines of one run": log,
    }  # fmt: skip


def page(seen: Mapping[str, Any]) -> str:
    return json.dumps(seen, indent=1, sort_keys=True) + "\n"


def _events() -> set[type[Event]]:
    return {
        kind
        for module in _MODULES
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, Event) and kind is not Event
    }


def _shape(kind: Any) -> Any:  # noqa: ANN401 - any annotation
    """A type as what it looks like outside: names of fields, values of enumerations."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Annotated:
        return _shape(arguments[0])
    if origin is typing.Literal:
        return sorted(map(str, arguments))
    if origin in (typing.Union, types.UnionType):
        return {"one of": [_shape(argument) for argument in arguments]}
    if origin is not None:
        return {origin.__name__: [_shape(argument) for argument in arguments]}
    if isinstance(kind, type) and issubclass(kind, Enum):
        return sorted(member.value for member in kind)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        hints = typing.get_type_hints(kind, include_extras=True)
        return {field.encode_name: _shape(hints[field.name]) for field in msgspec.structs.fields(kind)}
    if is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        return {field.name: _shape(hints[field.name]) for field in fields(kind)}
    return getattr(kind, "__name__", str(kind))


async def _run() -> tuple[list[str], list[str], Any]:
    """The forms of the log's lines, of the metrics, and of the status of one run."""
    async with whole_service(LOG_LEVEL="debug", AUDIT="all") as service:
        for _ in range(3):
            await _ask(service.vending, "/v1/token")
        await _ask(service.vending, "/v1/token", bare=True)
        await _ask(service.vending, "/v1/rejected", method="POST", body=b'{"tokenId": "0123456789abcdef"}')
        metrics = (await _ask(service.admin, "/metrics")).body.decode()
        status = (await _ask(service.admin, "/status.json")).json()
    lines = [json.loads(line) for line in service.log.getvalue().splitlines()]
    return (
        sorted({f"{line['level']} {line['event']}: {' '.join(sorted(line))}" for line in lines}),
        sorted(set(_metrics(metrics))),
        _form(status),
    )


async def _ask(url: str, path: str, **more: Any) -> Reply:  # noqa: ANN401 - as `ask`
    at = urlsplit(url)
    return await ask(Address(host=str(at.hostname), port=at.port or 0), path, **more)


def _metrics(text: str) -> Iterator[str]:
    """Without values, and without what differs from one machine or release to another."""
    for line in text.splitlines():
        if "token_sidecar" in line and "_created" not in line:
            yield line if line.startswith("#") else re.sub(r'version="[^"]*"', "", line.rpartition(" ")[0])


def _form(value: Any) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, dict):
        return {name: _form(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_form(inner) for inner in value[:1]]
    return type(value).__name__


if __name__ == "__main__":
    PAGE.write_text(page(asyncio.run(outside())), encoding="utf-8")
