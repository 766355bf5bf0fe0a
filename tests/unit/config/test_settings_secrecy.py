"""Settings with secrets, and each way to write an object as text."""

from __future__ import annotations

import copy
import json
import pickle
import traceback
from collections.abc import Callable
from dataclasses import asdict, astuple, replace

import pytest

from sidecar.app.running import load_settings
from sidecar.config.schema import Settings

CANARY = "canary"
ENVIRON = {
    "SIDECAR_API_KEY": "canary-key",
    "SIDECAR_API_SECRET": "canary-secret",
    "SIDECAR_STORE": "redis://canary:canary-password@localhost",
    "SIDECAR_SEAL": "off",
}


@pytest.mark.parametrize("show", [repr, str, "{}".format, asdict, astuple, copy.copy, copy.deepcopy, replace])
def test_no_text_of_the_settings_holds_a_secret(show: Callable[[Settings], object]) -> None:
    shown = str(show(load_settings(ENVIRON)))
    assert "***" in shown
    assert CANARY not in shown


@pytest.mark.parametrize("refused", [pickle.dumps, json.dumps, vars])
def test_serializing_the_settings_is_refused_without_showing_a_secret(refused: Callable[[Settings], object]) -> None:
    with pytest.raises(TypeError) as caught:
        refused(load_settings(ENVIRON))
    assert CANARY not in "".join(traceback.format_exception(caught.value))


def test_the_settings_do_hold_them() -> None:
    """So that the tests above can fail."""
    (profile,) = load_settings(ENVIRON).profiles
    assert profile.credentials is not None
    assert profile.credentials.api_key.reveal() == "canary-key"
