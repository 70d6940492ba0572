"""What does a request cost in Scoregate, and what in other proxies? `python -m bench`; see README.md.

I/O: none.
"""
