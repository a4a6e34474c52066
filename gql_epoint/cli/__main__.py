"""Run the command line as `python -m gql_epoint.cli`."""

import sys

from gql_epoint.cli.main import main

sys.exit(main())
