*** Settings ***
Documentation       S2.5: before copying begins a flag is set; modules are copied, the manifest is replaced, the flag is
...                 cleared; a power loss at any moment is completed by the next boot.
Resource            ../../resources/upgrade.resource
Suite Setup         Start Lab With Staged Release
Suite Teardown      Stop Lab
Test Setup          Restore Staged Flash
Test Teardown       Keep Evidence Of Failed Test
Test Template       Power Cuts Should Leave A Whole Set
Test Tags           power-loss


*** Test Cases ***    CUTS
S2.5 Torn In The Middle Of Copying The Kernel
    [Tags]    smoke
    region=kernel.program#90/torn
S2.5 Before Copying The Kernel Begins
    region=kernel.erase#1/before
S2.5 First Erase Of The Kernel Torn
    region=kernel.erase#1/torn
S2.5 After The First Erase Of The Kernel
    region=kernel.erase#1/after
S2.5 Last Sector Of The Kernel Half Erased
    region=kernel.erase#32/torn/one_bit
S2.5 First Program Of The Kernel Torn
    region=kernel.program#1/torn
S2.5 Torn In The Middle Of Copying The App
    region=app.program#1/torn
S2.5 Torn While Erasing The App
    region=app.erase#8/torn
S2.5 Torn In The Middle Of Copying The Assets
    region=assets.program#30/torn
S2.5 Erase Of The Manifest Torn
    region=manifest.erase#1/torn
S2.5 Between Erase And Program Of The Manifest
    region=manifest.erase#1/after
S2.5 Program Of The Manifest Torn
    region=manifest.program#1/torn
S2.5 Manifest Torn To One Missing Bit
    region=manifest.program#1/torn/all_but_one_bit
S2.5 After The Manifest Was Replaced
    region=manifest.program#3/after
S2.5 Right Before The Copying Flag Is Set
    at=flag-copying#1/before
S2.5 Copying Flag Torn
    at=flag-copying#1/torn
S2.5 Copying Flag Torn To One Missing Bit
    at=flag-copying#1/torn/all_but_one_bit
S2.5 Right After The Copying Flag Is Set
    at=flag-copying#1/after
S2.5 Right Before The Flag Is Cleared
    at=flag-clear#1/before
S2.5 Clearing The Flag Torn
    at=flag-clear#1/torn
S2.5 Clearing The Flag Torn To One Missing Bit
    at=flag-clear#1/torn/all_but_one_bit
S2.5 Right After The Flag Is Cleared
    at=flag-clear#1/after
S2.5 Third Operation After The Copying Flag Is Set Torn
    after=flag-copying#3/torn
S2.5 Two Cuts In A Row While Copying The Kernel
    region=kernel.program#90/torn    region=kernel.program#120/torn
S2.5 Cut In The Copy And Again While The Flag Is Committed Again
    region=kernel.program#90/torn    at=flag-copying#1/torn
S2.5 Cut In The Copy And Again While The Manifest Is Replaced
    region=app.program#1/torn    region=manifest.program#1/torn
S2.5 Clearing Torn Twice
    at=flag-clear#1/torn    at=flag-clear#1/torn
S2.5 Four Cuts In A Row
    region=kernel.erase#2/torn    region=kernel.program#5/torn    region=assets.erase#1/torn    at=flag-clear#1/torn
