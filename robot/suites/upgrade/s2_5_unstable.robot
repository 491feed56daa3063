*** Settings ***
Documentation       S2.5, when the flash deceives: a torn operation leaves bits half-way, which read one way at this
...                 power-on and the other way at the next. A cut that ends in /zeros or /ones says how the power-on after
...                 it reads them: as zeros an interrupted program looks done, as ones it looks as if it never happened.
Resource            ../../resources/upgrade.resource
Suite Setup         Start Lab With Staged Release
Suite Teardown      Stop Lab
Test Setup          Restore Staged Flash
Test Teardown       Keep Evidence Of Failed Test
Test Template       Power Cuts Should Leave A Whole Set
Test Tags           power-loss


*** Test Cases ***    CUTS
S2.5 Copying Flag That Is Gone Again After Boot Has Read It
    [Documentation]    Boot reads a half-written flag and copies; when it is gone again, only what boot has written
    ...    itself in between can say so.
    at=flag-copying#1/torn/all_unstable/zeros    region=manifest.erase#1/after/ones
S2.5 Cleared Flag That Appears After Boot Has Read It As Unwritten
    [Documentation]    The ghost lies in the first sector, which boot reads first: it must lose against what boot
    ...    has written since.
    at=flag-copying#1/after    at=flag-clear#1/torn/all_unstable/ones    region=kernel.erase#2/after/zeros
S2.5 Flag That Is Gone Again While Its Successor Is Written
    [Documentation]    The other sector, with the last flag that is known to persist, is erased because of a flag that
    ...    may not be there at the next boot.
    region=kernel.program#5/after    at=flag-copying#1/torn/all_unstable/zeros    region=flag.erase#1/after/ones
S2.5 Sector That Reads Complete And Is Not
    [Documentation]    The last page of a sector is complete but for one bit, which reads right while boot copies again
    ...    and wrong ever after: content that compares equal must be copied, too.
    region=assets.program#64/torn/one_unstable_bit/zeros    at=flag-clear#1/after/ones
S2.5 Manifest That Reads Complete And Is Not
    region=manifest.program#3/torn/one_unstable_bit/zeros    at=flag-clear#1/after/ones
