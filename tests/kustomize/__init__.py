"""deploy/kustomize: every example and every way to combine the components, rendered and looked at."""
