"""`was add`: what can be added to the configuration by a command of its own."""

from was.cli.urlacl import add_command as command

__all__ = ["command"]
