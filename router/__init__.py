"""Scoregate's router: serves scoring requests. See docs/architecture.md for the request's walk."""

__version__ = "0.1.0"
