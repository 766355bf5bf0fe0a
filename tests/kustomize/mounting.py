"""The volumes of a rendered pod as real files, so that programs of the pod can run here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tests.kustomize.rendering import Manifest, environment_of, pod_of

Secrets = Mapping[str, Mapping[str, str]]
"""The files of each Secret by its name."""


class Mounted:
    """The volumes of one container as files under `root`; `moved` maps its paths there."""

    def __init__(self, manifest: Manifest, container: Manifest, root: Path, secrets: Secrets) -> None:
        volumes = {volume["name"]: volume for volume in pod_of(manifest)["volumes"]}
        self._places: dict[str, str] = {}
        for mount in container["volumeMounts"]:
            place = root / mount["mountPath"].strip("/")
            place.mkdir(parents=True)
            self._places[mount["mountPath"]] = str(place)
            for name, text in _files(volumes[mount["name"]], secrets).items():
                (place / name).write_text(self.moved(text))
        self.environment = {name: self.moved(value) for name, value in environment_of(container).items()}

    def moved(self, text: str) -> str:
        for path, place in self._places.items():
            text = text.replace(path, place)
        return text


def _files(volume: Manifest, secrets: Secrets) -> Mapping[str, str]:
    return secrets[volume["secret"]["secretName"]] if "secret" in volume else {}
