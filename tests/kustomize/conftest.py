"""An app of each kind with the components, rendered once."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.kustomize.rendering import EXAMPLES, Manifest, render, write_overlay
from tests.kustomize.workloads import CASES, KINDS, VARIANTS, workload

Made = Callable[[str, str], Manifest]


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """`made(variant, kind)`: a workload of that kind with the components of that variant."""

    def of(variant: str) -> dict[str, Manifest]:
        workloads = [workload(kind) for kind in KINDS if (variant, kind) in CASES]
        folder = write_overlay(tmp_path_factory.mktemp(variant), VARIANTS[variant], workloads)
        return {manifest["kind"]: manifest for manifest in render(folder)}

    every = {variant: of(variant) for variant in VARIANTS}
    return lambda variant, kind: every[variant][kind]


@pytest.fixture(scope="session")
def everything(made: Made) -> list[Manifest]:
    """Every document of every example, and every workload with every variant."""
    return [
        *(manifest for folder in EXAMPLES.values() for manifest in render(folder)),
        *(made(variant, kind) for variant, kind in CASES),
    ]
