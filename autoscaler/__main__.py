"""How does `python -m autoscaler` start?

I/O: what the command does. Of the router it loads the nouns and the platforms only, so that it stays small.
"""

from autoscaler.cli import autoscaler

if __name__ == "__main__":
    autoscaler(prog_name="python -m autoscaler")
