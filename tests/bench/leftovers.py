"""Which processes of a benchmark are left?

I/O: /proc.
"""

from __future__ import annotations

import os
from pathlib import Path


def started_by(folder: Path) -> list[int]:
    """Processes whose output goes below `folder`."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                output = os.readlink(entry / "fd" / "1")
            except OSError:  # it ended while we looked, or is another user's
                continue
            if output.startswith(str(folder)):
                found.append(int(entry.name))
    return found
