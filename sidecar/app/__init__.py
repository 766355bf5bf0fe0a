"""The composition root, and the only package that imports every adapter. Builds, opens and closes objects in order."""
