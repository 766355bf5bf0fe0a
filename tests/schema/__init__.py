"""Both listeners conform to `/openapi.json`: checked by schemathesis, and by a client made from the document."""
