"""The file sink: each profile's current token in a file, for apps that read one."""
