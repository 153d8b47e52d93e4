"""Rewrite rules: substitutions, conditions, inbound and outbound rules."""
