"""Fuzzing: each target is a plain `check(data)` that fails when what it holds true of the product is not.

`make fuzz` runs them under atheris; the tests beside them run them over the corpus and seeded mutations of it.
"""
