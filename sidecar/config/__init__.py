"""Environment and TOML file -> one frozen `Settings`, with every problem reported at once."""

from sidecar.config.load import load
from sidecar.config.reach import Reach, reach
from sidecar.config.settings import ProfileSettings, Settings
from sidecar.config.table import SETTINGS, Setting

__all__ = ["SETTINGS", "ProfileSettings", "Reach", "Setting", "Settings", "load", "reach"]
