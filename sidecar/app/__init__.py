"""The composition root: the only room that sees every adapter. Builds each object once, opens and closes in order."""
