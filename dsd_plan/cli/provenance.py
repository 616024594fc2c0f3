"""What a study keeps of how it was made."""

from __future__ import annotations

import platform
import shlex
import sys


def command_line() -> str:
    """The command as it was given, with the program's own name; empty where it was not given on a command line."""
    name = sys.argv[0].replace("\\", "/").rpartition("/")[2]
    return shlex.join(["dsd-plan", *sys.argv[1:]]) if name in ("dsd-plan", "__main__.py") else ""


def this_machine() -> dict[str, str]:
    """Processor, cores, system and Python."""
    from dsd_plan.measure.machine import cores, cpu_model

    return {
        "cpu": cpu_model(),
        "cores": str(cores()),
        "os": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }
