"""The partner: its presets, the calls that end in a token, the mounted credentials, and a sandbox to try them on."""
