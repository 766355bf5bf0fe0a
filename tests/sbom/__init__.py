"""The bill of materials: what is installed at run time, as CycloneDX tells it. `make sbom` writes it."""
