"""Turns the environment and the TOML file into one frozen `Settings`, and reports every problem at once."""
