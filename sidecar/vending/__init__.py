"""The use cases: single-flight, broker and refresher. asyncio and the core only."""
