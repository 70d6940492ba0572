"""What does `python -m router` run? The same as `scoregate`.

I/O: all of it.
"""

from router.cli import main

main()
