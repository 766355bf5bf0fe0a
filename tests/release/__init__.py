"""What a release is made of: the wheel and the sdist, and the proof that the wheel works. `make dist` makes them."""
