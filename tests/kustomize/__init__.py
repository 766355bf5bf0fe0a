"""deploy/kustomize: every example and every combination of the components, rendered and checked."""
