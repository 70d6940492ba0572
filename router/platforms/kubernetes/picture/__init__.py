"""What do the objects of a cluster amount to, part by part?

Pure. cluster.py, one folder up, puts these together: who declares what (claims.py, adoption.py), which workloads and
Pods are meant (workloads.py, selectors.py, members.py), and with which keys (keyring.py).
"""
