"""The vending listener: the HTTP API for apps and proxies."""
