"""The version is `sidecar.__version__`; the other files with a version have the same one."""

from __future__ import annotations

import re

from sidecar import __version__
from tests.release.checkout import TOP, tracked

STATED = {
    "sidecar/__init__.py",
    "deploy/docker/Dockerfile",  # a label cannot read the package
    "deploy/README.md",  # the rest names the image, which a person builds and tags
    "deploy/kustomize/components/sidecar/pod.yaml",
    "deploy/kustomize/components/sidecar/cronjob.yaml",
    "deploy/kustomize/components/sidecar/bare-pod.yaml",
    "docker-compose.yml",
}
# Tests have versions of their own, a lock those of the libraries, and the changelog those of before.
TEXTS = {
    name: (TOP / name).read_text(encoding="utf-8")
    for name in tracked()
    if not name.startswith("tests/") and not name.endswith(".lock") and name != "CHANGELOG.md"
}


def test_only_the_listed_files_have_the_version() -> None:
    number = re.compile(rf"(?<![\d.]){re.escape(__version__)}(?![\d.]*\d)")
    assert {name for name, text in TEXTS.items() if number.search(text)} == STATED


def test_every_image_that_is_named_is_of_this_version() -> None:
    named = [(name, tag) for name, text in TEXTS.items() for tag in re.findall(r"pay1st-token-sidecar:([\w.-]+)", text)]
    assert len(named) >= 3
    assert [found for found in named if found[1] != __version__] == []
