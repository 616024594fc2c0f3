"""Plan distributed speculative decoding from measurements to a checked report.

    from dsd_plan import load_scenario, optimize
    print(optimize(load_scenario("metro-edge/scenario.toml")).verdict.sentence)

The public functions are those of `dsd_plan.planning`; they are loaded when they are first asked for.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dsd_plan.planning import crosscheck, load_plan, load_scenario, optimize, predict, replay

__version__ = "0.1.0"

__all__ = ["__version__", "crosscheck", "load_plan", "load_scenario", "optimize", "predict", "replay"]


class _Facade(ModuleType):
    """This package. Some rooms bear the name of the function they serve; here the name means the function.

    Importing a room sets it as an attribute of its package, so a plain module attribute would depend on what was
    imported first; a property of the module's class does not.
    """


def _public(name: str) -> property:
    def get(_: ModuleType) -> Any:
        return getattr(import_module("dsd_plan.planning"), name)

    def set_room(_: ModuleType, value: object) -> None:
        if not isinstance(value, ModuleType):
            raise AttributeError(f"dsd_plan.{name} is the function of dsd_plan.planning and cannot be replaced")

    return property(get, set_room)


for _name in __all__[1:]:
    setattr(_Facade, _name, _public(_name))
sys.modules[__name__].__class__ = _Facade
