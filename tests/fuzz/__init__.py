"""Fuzzing: each target is a plain `check(data)` that fails when a property of the product does not hold.

`make fuzz` runs them under atheris. The tests in this folder run them over the corpus and seeded mutations of it.
"""
