"""Requests within requests."""
