"""What does the router decide? Everything in here; nothing in here can do I/O."""
