"""What is Scoregate's router? What serves scoring requests: docs/architecture.md has the request's walk.

I/O: none here.
"""

__version__ = "0.1.0"
