"""`python -m digit_core` is the command line."""

from digit_core.cli import main

main()
