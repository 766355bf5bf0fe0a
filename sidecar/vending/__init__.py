"""The use cases: single-flight, broker and maintainer. asyncio and the core only."""
