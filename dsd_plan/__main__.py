"""`python -m dsd_plan` is the same as `dsd-plan`."""

from dsd_plan.cli import main

raise SystemExit(main())
