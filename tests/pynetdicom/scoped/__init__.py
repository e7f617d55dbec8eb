"""Scopes, on associations."""
