"""How do models behind another router come to be behind this one?"""
