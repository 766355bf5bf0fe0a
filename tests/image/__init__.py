"""The image and docker-compose.yml, built and run for real: make image-test. Not collected by `make test`: minutes."""
