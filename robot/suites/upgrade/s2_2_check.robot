*** Settings ***
Documentation       S2.2: the device periodically sends its manifest and receives the current one; what is unchanged
...                 does not travel.
Resource            ../../resources/upgrade.resource
Test Setup          Start Lab With Running Device
Test Teardown       Keep Evidence And Stop Lab


*** Test Cases ***
S2.2 Device Sends Its Manifest Periodically
    ${seconds}    Device Should Check Times    4
    Should Be True    ${seconds} >= 3 * 0.3    msg=4 checks in ${seconds} s: the interval is 0.4 s

S2.2 Up To Date Device Downloads Nothing
    Device Should Check Times    3
    Only These Modules Should Have Travelled
    Device Should Still Run Release    1

S2.2 Unchanged Modules Do Not Travel
    [Tags]    smoke
    Upgrade To Release 2    app=1.1.0
    Only These Modules Should Have Travelled    app
    Link Should Have Carried Less Than Module    kernel
    Console Log Should Contain    app 1.1.0
    Console Log Should Not Contain    kernel 1.1.0

S2.2 Release That Changes Only Its Number Moves No Module
    Upgrade To Release 2    app=1.0.0
    Only These Modules Should Have Travelled
