"""docs/partners.md has every key with its default, and shows the requests that its examples send."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sidecar.app.shown_requests import shown_token_requests
from sidecar.config.load import load
from sidecar.core.partner_vocabulary import KEYS, read_table
from sidecar.core.table_values import SECRET_NAME
from sidecar.partner.presets import PRESETS
from tests.support.partner_examples import EXAMPLES, PAGE

ROWS = [
    [cell.strip() for cell in row.strip("|").split(" | ")]
    for row in PAGE.split("| key | default | meaning |", 1)[1].split("\n\n", 1)[0].splitlines()[2:]
]
MINIMAL: dict[str, object] = {"token_path": "/t"}
OAUTH2 = MINIMAL | {"oauth2": True, "client_auth": "body", "fields": {"grant_type": "x"}}


def test_the_table_has_every_key_in_the_programs_order_and_no_other() -> None:
    assert [key for row in ROWS for key in re.findall(r"`(\w+)`", row[0])] == list(KEYS)


def test_each_default_is_the_programs_own() -> None:
    table, oauth2 = read_table("acme", MINIMAL), read_table("acme", OAUTH2)
    for cell, shown, *_ in ROWS:
        keys = re.findall(r"`(\w+)`", cell)
        values = [getattr(table, key) for key in keys]
        if defaults := re.findall(r"`\"?(\w+)\"?`", shown.removeprefix("that of `request`")):
            of_oauth2 = [getattr(oauth2, key) for key in keys]
            for default, value, other in zip(defaults, values, of_oauth2, strict=False):
                assert default in (value, str(value).lower(), other), keys
        else:
            assert shown in ("none", "required", "that of `request`", "the token endpoint's URL"), keys
            assert all(value in ("", None, (), {}, "/t", "application/json") for value in values), keys
    assert f'with `oauth2` `"{oauth2.access_field}"`' in PAGE


def test_the_names_of_secrets_are_those_that_the_page_lists() -> None:
    listed = re.search(r"whose name has (.*?) in it", PAGE, re.DOTALL)
    assert listed is not None
    assert re.findall(r"`(\w+)`", listed[1]) == SECRET_NAME.pattern.split("|")


def test_there_are_three_examples_of_different_shape(tmp_path: Path) -> None:
    tables = [one.table(tmp_path) for one in EXAMPLES.values()]
    assert [(one.request, one.client_auth, bool(one.refresh_path), one.sign is not None) for one in tables] == [
        ("json", "header", False, True),
        ("form", "basic", False, False),
        ("json", "body", True, True),
    ]


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_page_shows_what_check_shows(name: str, tmp_path: Path) -> None:
    settings = load({"SIDECAR_CONFIG": str(EXAMPLES[name].written(tmp_path))}, PRESETS)
    assert EXAMPLES[name].requests == tuple(text for _, text in shown_token_requests(settings))
