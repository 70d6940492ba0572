"""What does `python -m router` run? The same as `scoregate`."""

from router.cli import main

main()
