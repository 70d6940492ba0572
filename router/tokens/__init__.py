"""Which tokens open an endpoint, and who issued them?"""
