"""The warm answers, held to the long way: whatever is sent, in whatever pieces, both answer alike."""
