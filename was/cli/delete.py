"""`was delete`: what can be deleted from the configuration by a command of its own."""

from was.cli.urlacl import delete_command as command

__all__ = ["command"]
