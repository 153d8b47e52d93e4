"""The worker-process manager `was`: IIS's process model for Python on Linux."""

__version__ = "0.1.0"
