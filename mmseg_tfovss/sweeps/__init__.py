"""Sweeps: a grid of options and configs, one row each."""
