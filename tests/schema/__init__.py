"""What `/openapi.json` says against what both listeners do: by a tool that asks all it can think of, and a client made
from the document."""
