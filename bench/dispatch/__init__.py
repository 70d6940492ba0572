"""How near to one ideal queue do several instances come?

I/O: none itself.
"""
