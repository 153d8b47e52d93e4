"""The application's own listener."""

NAME = "own-listener"
