"""The app of docker-compose.yml, unchanged except for the port of the gateway, against a real sidecar and sandbox."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.site import TOP, Site
from tests.support.commands import START_LIMIT_S, wait_for

CREATED = r"payment C-\S+ for (\S+), with token \w{32}"
ANY = r"for ([0-9a-f-]{36})"


@pytest.fixture
def app(paying_site: Site, folder: Path) -> Iterator[subprocess.Popen[str]]:
    text = (TOP / "deploy/demo/app.py").read_text()
    assert "http://127.0.0.1:8282" in text
    (folder / "app.py").write_text(text.replace("http://127.0.0.1:8282", paying_site.gateway))
    environ = {"PATH": os.defpath, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen([sys.executable, folder / "app.py"], env=environ, stdout=subprocess.PIPE, text=True) as app:
        try:
            yield app
        finally:
            app.kill()


def test_each_payment_is_signed_and_has_a_reference_of_its_own(app: subprocess.Popen[str], paying_site: Site) -> None:
    references = [wait_for(CREATED, app.stdout) for _ in range(2)]
    assert len(set(references)) == 2
    assert [paying_site.partner.payments(each) for each in references] == [[(201, "valid")]] * 2


@pytest.mark.parametrize(("fault", "statuses"), [("lost-reply", [0, 400]), ("reset", [0, 201])])
def test_after_a_lost_answer_the_reference_stays(
    fault: str, statuses: list[int], app: subprocess.Popen[str], paying_site: Site
) -> None:
    wait_for(CREATED, app.stdout)
    paying_site.partner.fails(fault)
    failed = wait_for(rf"no payment {ANY}: 504 from the sidecar", app.stdout)
    assert wait_for(ANY, app.stdout) == failed
    assert [status for status, _ in paying_site.partner.payments(failed)] == statuses
    assert wait_for(CREATED, app.stdout) != failed


def test_a_rejected_token_costs_no_payment(app: subprocess.Popen[str], paying_site: Site) -> None:
    wait_for(CREATED, app.stdout)
    paying_site.partner.revoke()
    rejected = wait_for(rf"no payment {ANY}: 401 from the partner", app.stdout)
    assert wait_for(CREATED, app.stdout) == rejected


def test_it_ends_on_sigterm(app: subprocess.Popen[str]) -> None:
    wait_for(CREATED, app.stdout)
    app.terminate()
    app.communicate(timeout=START_LIMIT_S)
    assert app.returncode == 0
