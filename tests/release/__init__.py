"""The parts of a release: the wheel and the sdist, and the proof that the wheel works. `make dist` makes them."""
