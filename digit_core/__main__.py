"""`python -m digit_core` is the command line."""

import sys

try:
    from digit_core.cli import main
except KeyboardInterrupt:  # within the second that this takes
    sys.exit(1)

main()
