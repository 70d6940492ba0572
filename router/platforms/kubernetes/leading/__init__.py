"""What does only one process of a cluster do at a time?

I/O: none itself. Who leads is settled here (elector.py, leader.py), and what a leader writes: the number of replicas
(scaling.py), status and Events (reporting.py, of status.py, conditions.py and events.py), missing keys
(keys_secrets.py).
"""
