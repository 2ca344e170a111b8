"""`python -m resilient_ddb`: the same as the `resilient-ddb` command."""

import sys

from .cli import main

sys.exit(main())
