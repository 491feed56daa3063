"""What the harness knows of the reference firmware (firmware/SPEC.md), and what must always hold."""

from brownout.reference.conditions import reference_conditions
from brownout.reference.factory import factory_image
from brownout.reference.flag import FlagState, Progress, UpgradeFlag, read_flag, read_progress
from brownout.reference.identity import Identity, read_identity
from brownout.reference.oracles import Finding, Recovery, check_recovery, raise_for_findings
from brownout.reference.record_log import Record, current_record
from brownout.reference.sets import InstalledSet, ModuleState, read_set
from brownout.reference.state import DeviceState, read_state

__all__ = [
    "DeviceState",
    "Finding",
    "FlagState",
    "Identity",
    "InstalledSet",
    "ModuleState",
    "Progress",
    "Record",
    "Recovery",
    "UpgradeFlag",
    "check_recovery",
    "current_record",
    "factory_image",
    "raise_for_findings",
    "read_flag",
    "read_identity",
    "read_progress",
    "read_set",
    "read_state",
    "reference_conditions",
]
