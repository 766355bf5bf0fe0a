"""An OpenTelemetry collector that receives OTLP over HTTP and keeps the spans."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

OTEL = Path(sys.prefix) / "otel"
"""Where the Makefile installs the extra `otel`, apart from the libraries of the other tests."""
sys.path.append(str(OTEL))
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest  # noqa: E402 - see above


@dataclass(frozen=True)
class Sent:
    """One span as received; ids are hex digits, `parent_id` is empty for the first span of a trace."""

    name: str
    trace_id: str
    parent_id: str
    took_s: float
    is_error: bool
    attributes: dict[str, str]
    resource: dict[str, str] = field(repr=False)


class Collector(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        self.spans: list[Sent] = []
        self.bodies = b""
        self.status = 200
        """The status of its answers."""
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def take(self, body: bytes) -> None:
        self.bodies += body
        request = ExportTraceServiceRequest.FromString(body)
        for resource in request.resource_spans:
            of = {pair.key: pair.value.string_value for pair in resource.resource.attributes}
            for scope in resource.scope_spans:
                self.spans += [
                    Sent(
                        name=span.name,
                        trace_id=span.trace_id.hex(),
                        parent_id=span.parent_span_id.hex(),
                        took_s=(span.end_time_unix_nano - span.start_time_unix_nano) / 1e9,
                        is_error=span.status.code == span.status.STATUS_CODE_ERROR,
                        attributes={pair.key: pair.value.string_value for pair in span.attributes},
                        resource=of,
                    )
                    for span in scope.spans
                ]


class _Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/v1/traces":
            self.server.take(body)
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the standard library's form
        """Write nothing: the output belongs to the tests."""
