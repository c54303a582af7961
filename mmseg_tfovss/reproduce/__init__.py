"""Repeating a published number: which one, with which config, and what came out."""
