*** Settings ***
Documentation       S2.1: the software is several modules, and a local manifest names each with its hash and region.
Resource            ../../resources/upgrade.resource
Test Setup          Start Lab With Running Device
Test Teardown       Keep Evidence And Stop Lab


*** Test Cases ***
S2.1 Manifest Names Every Installed Module With Hash And Region
    [Tags]    smoke
    Oracles Should Hold    old=1    new=1
    Installed Manifest Should Name Modules    kernel    app    assets

S2.1 Four Things Are Versioned
    Console Log Should Contain    boot 1.0.0
    Console Log Should Contain    kernel 1.0.0
    Console Log Should Contain    app 1.0.0
    Console Log Should Contain    app: assets 1.0.0

S2.1 Set That Does Not Match Its Manifest Is Not Started
    Cut Power
    Flip Bit In Flash    app    offset=200
    Power On Device
    Boot Should Say    halted: bad digest

S2.1 Manifest With A Changed Byte Is Not Trusted
    Cut Power
    Flip Bit In Flash    manifest    offset=60
    Power On Device
    Boot Should Say    halted: (bad signature|malformed)
