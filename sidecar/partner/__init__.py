"""The partner APIs: their presets, and the calls that end in a token or a classified failure."""
