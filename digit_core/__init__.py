"""Digit Lab: hand-drawn digits read, networks trained, corrections learned."""

__version__ = "0.1.0"
