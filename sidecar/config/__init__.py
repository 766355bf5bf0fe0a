"""Environment and TOML file -> one frozen `Settings`, with every problem reported at once."""
