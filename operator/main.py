"""Entry point of the operator's image; everything is in modelops.app."""

import sys

from modelops.app import main

if __name__ == "__main__":
    sys.exit(main())
