"""Checks the TLS certificates that the environment names, at the start, before other code reads them."""

from __future__ import annotations

from collections.abc import Mapping

from sidecar.config.findings import Findings
from sidecar.file_operations import FileOperationError, read_in_time
from sidecar.trusted_certificates import TrustedCertificates, words_for


def judge_trusted_certificates(environ: Mapping[str, str], findings: Findings) -> None:
    """Check the files. Only one that hangs stops the start. Others cause a warning: partner calls may fail anyway."""
    trusted = TrustedCertificates(environ)
    if not trusted.are_named:
        return
    try:
        read_in_time(trusted.load)
    except FileOperationError as error:
        findings.problem(f"{trusted.place}: {error}")
    except OSError as error:
        findings.warn(f"{trusted.place}: {words_for(error)}; no certificate there is trusted")
