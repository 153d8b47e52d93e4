"""The sample home as package data: what `was init` copies."""
