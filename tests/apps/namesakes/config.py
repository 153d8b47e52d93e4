"""The application's own config."""

NAME = "own-config"
