"""The application's own worker."""

NAME = "own-worker"
