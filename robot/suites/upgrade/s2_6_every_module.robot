*** Settings ***
Documentation       S2.6: kernel and application modules are both upgradable this way, and so is data.
Resource            ../../resources/upgrade.resource
Test Setup          Start Lab With Running Device
Test Teardown       Keep Evidence And Stop Lab


*** Test Cases ***
S2.6 Kernel Is Upgraded
    Upgrade To Release 2    kernel=1.1.0
    Console Log Should Contain    kernel 1.1.0
    Only These Modules Should Have Travelled    kernel

S2.6 App Is Upgraded
    Upgrade To Release 2    app=1.1.0
    Console Log Should Contain    app 1.1.0

S2.6 Assets Are Upgraded And Change What The App Computes
    Calibrated Value Should Follow    1.0.0
    Upgrade To Release 2    assets=1.1.0
    Calibrated Value Should Follow    1.1.0

S2.6 All Modules Are Upgraded As A Set
    [Tags]    smoke
    Upgrade To Release 2    kernel=1.1.0    app=1.1.0    assets=1.1.0
    Console Log Should Contain    kernel 1.1.0
    Console Log Should Contain    app 1.1.0
    Console Log Should Contain    app: assets 1.1.0
    Only These Modules Should Have Travelled    kernel    app    assets

S2.6 Upgraded Device Upgrades Again
    Upgrade To Release 2    kernel=1.1.0    app=1.1.0
    Publish Release    3    kernel=1.0.0    app=1.1.0
    Device Should Install Release    3
