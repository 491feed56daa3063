*** Settings ***
Documentation       S2.3: the application shares the connection, not the keys: one that leaves its memory is stopped, while
...                 kernel and link go on.
Resource            ../../resources/upgrade.resource
Test Setup          Start Lab With Running Device
Test Teardown       Keep Evidence And Stop Lab
Test Template       Rogue App Should Be Stopped


*** Test Cases ***    TARGET    ACCESS
S2.3 App That Writes Kernel Memory Is Stopped
    [Tags]    smoke
    kernel-ram    write
S2.3 App That Reads Kernel Memory Is Stopped
    kernel-ram    read
S2.3 App That Reads The Device's Keys Is Stopped
    identity-keys    read
S2.3 App That Drives The Flash Controller Is Stopped
    flash-controller    write
S2.3 App That Writes The Installed Manifest Is Stopped
    installed-manifest    write
S2.3 App That Changes Its Own Code Is Stopped
    own-code    write
S2.3 App That Has The Kernel Send The Device's Keys Is Refused
    [Template]    Rogue App Should Be Refused
    identity-keys    send
