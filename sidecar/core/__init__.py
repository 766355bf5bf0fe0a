"""Vocabulary and decisions: standard library only, no asyncio, no clock, no I/O."""
