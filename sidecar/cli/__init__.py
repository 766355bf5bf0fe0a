"""The commands, one file each. A command imports its modules when it runs, so that `token` starts fast."""
