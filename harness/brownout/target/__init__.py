"""Target files: a bootloader of your own, what lies in its flash, what a good boot is (docs/targets.md).

target = load_target(Path("target.toml"))
print(explain(target))
"""

from brownout.target.explain import as_document, explain
from brownout.target.loader import load_target
from brownout.target.model import (
    AddressRange,
    Hook,
    HookContext,
    LiveSettings,
    Outcome,
    Placed,
    StateReader,
    Target,
)
from brownout.target.starter import starter_text

__all__ = [
    "AddressRange",
    "Hook",
    "HookContext",
    "LiveSettings",
    "Outcome",
    "Placed",
    "StateReader",
    "Target",
    "as_document",
    "explain",
    "load_target",
    "starter_text",
]
