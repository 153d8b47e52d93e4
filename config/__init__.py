"""The configuration system."""
