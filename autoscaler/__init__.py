"""How many replicas should each deployment have?

I/O: none itself. A process of its own: it shares nothing with the router but the platform and the routers' `/load`.
"""
