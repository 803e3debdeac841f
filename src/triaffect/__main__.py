"""``python -m triaffect``: the same as the command ``triaffect``."""

from triaffect.cli.app import main

main()
