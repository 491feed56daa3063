*** Settings ***
Documentation       S2.5: the moment in which the kernel sets the flag. Before it the old set stays, after it the new
...                 one comes.
Resource            ../../resources/upgrade.resource
Suite Setup         Start Lab With New Release
Suite Teardown      Stop Lab
Test Setup          Restore Factory Flash
Test Teardown       Keep Evidence Of Failed Test
Test Template       Cut While Setting The Flag Should Be Safe
Test Tags           power-loss


*** Test Cases ***    CUT    INSTALLED AFTER RECOVERY
S2.5 Before The Flag's Sector Is Erased
    region=flag.erase#1/before    old
S2.5 Erase Of The Flag's Sector Torn
    region=flag.erase#1/torn    old
S2.5 Right Before The Flag Is Set
    [Tags]    smoke
    at=flag-requested#1/before    old
S2.5 Setting The Flag Torn
    at=flag-requested#1/torn    either
S2.5 Setting The Flag Torn To One Missing Bit
    at=flag-requested#1/torn/all_but_one_bit    either
S2.5 Right After The Flag Is Set
    at=flag-requested#1/after    new


*** Keywords ***
Start Lab With New Release
    [Documentation]    Setup of this suite: release 2 changes app and assets; the device has no power yet.
    Start Lab    ${ENGINE}
    Add Device
    Publish Release    2    app=1.1.0    assets=1.1.0

Cut While Setting The Flag Should Be Safe
    [Documentation]    Cuts, recovers without a link (all oracles), then lets the device finish over the link.
    [Arguments]    ${cut}    ${expected}
    Arm Power Cut    ${cut}
    Power On Device
    Wait For Power Cut
    ${installed}    Recover Device
    IF    '${expected}' == 'old'
        Should Be Equal As Integers    ${installed}    1
    ELSE IF    '${expected}' == 'new'
        Should Be Equal As Integers    ${installed}    2
    END
    Connect Link
    Device Should Reach Release    2
