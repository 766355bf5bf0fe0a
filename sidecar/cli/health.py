"""The image's HEALTHCHECK: whether the sidecar with these settings is alive, as exit code 0 or 1.

A module of its own, which loads little, for it runs every few seconds.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping

from sidecar.cli.http_client import UnreachableError, ask
from sidecar.cli.output import OutputError, say
from sidecar.config.client_settings import reach
from sidecar.core.errors import ConfigurationError

_TIMEOUT_S = 2


def health(environ: Mapping[str, str]) -> int:
    """0 when `/livez` of the first admin listener is 200. Docker reserves every code but 0 and 1."""
    try:
        answer = ask(str(reach(environ).admin), "/livez", {}, timeout_s=_TIMEOUT_S)
    except (UnreachableError, ConfigurationError) as error:
        # Docker keeps what is printed; that nobody can read it changes no code.
        with contextlib.suppress(OutputError):
            say(*str(error).splitlines())
        return 1
    return int(answer.status != 200)


if __name__ == "__main__":
    raise SystemExit(health(os.environ))
