"""The image and docker-compose.yml, built and run for real, in minutes: make image-test, not `make test`."""
