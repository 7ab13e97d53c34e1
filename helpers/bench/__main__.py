"""`python -m helpers.bench`: as `workbook bench`."""

import sys

from . import main

sys.exit(main())
