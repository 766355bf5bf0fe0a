"""The page `/status` for people: the document of `/status.json` in words, updated live where scripts may run.

It is rarely requested, so `AdminApi` imports it, and it reads its files, at the first request.
"""
