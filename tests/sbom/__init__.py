"""The bill of materials of the run-time dependencies, in CycloneDX. `make sbom` writes it."""
