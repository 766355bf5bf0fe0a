"""The image's HEALTHCHECK: exit code 0 if the sidecar with these settings is alive, else 1.

A separate module that imports little, because it runs every few seconds.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping

from sidecar.cli.http_client import UnreachableError, get
from sidecar.cli.output import OutputError, say
from sidecar.config.client_settings import client_settings
from sidecar.core.errors import ConfigurationError

_TIMEOUT_S = 2


def health(environ: Mapping[str, str]) -> int:
    """Return 0 when `/livez` of the first admin listener returns 200, else 1. Docker reserves all other codes."""
    try:
        response = get(str(client_settings(environ).admin), "/livez", {}, timeout_s=_TIMEOUT_S)
    except (UnreachableError, ConfigurationError) as error:
        # Docker keeps the output. An output that cannot be written does not change the exit code.
        with contextlib.suppress(OutputError):
            say(*str(error).splitlines())
        return 1
    return int(response.status != 200)


if __name__ == "__main__":
    raise SystemExit(health(os.environ))
