"""Which law gives the shortest waits for the fewest replicas?

I/O: none itself. The real dispatcher, observer and laws on a heap of events; `python -m bench.sim` runs it.
"""
