"""Sections declared as data."""
