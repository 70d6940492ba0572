"""How do several processes serve the ports of one router?"""
