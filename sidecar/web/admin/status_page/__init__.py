"""The page `/status` for people: the document of `/status.json` in words, and live where scripts may run.

Hardly ever asked for, so `AdminApi` imports it, and it reads its files, at the first request.
"""
