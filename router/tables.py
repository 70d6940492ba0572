"""How is a table shown so that no figure in it is cut?

I/O: standard output.
"""

from __future__ import annotations

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

_ENDLESS = 10_000


def print_table(table: Table) -> None:
    """On a terminal within its width, as long as no figure is cut; else as wide as it is: a pipe takes all."""
    console = Console()
    size = Measurement.get(console, console.options.update(max_width=_ENDLESS), table)
    wanted = size.minimum if console.is_terminal else size.maximum
    if wanted > console.width:
        console = Console(width=wanted)
    console.print(table)
