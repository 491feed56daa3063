*** Settings ***
Documentation       S1.1 to S1.3: the client encrypts instructions for the device and addressing for the server; the server
...                 picks the device; the device answers the same way back.
Resource            ../../resources/debug.resource
Test Setup          Start Lab    ${ENGINE}
Test Teardown       Stop Debugging And Lab
Test Tags           e2e


*** Variables ***
@{DEVICES}      dev-1    dev-2    dev-3


*** Test Cases ***
S1.2 Of Three Devices The Right One Is Debugged
    [Tags]    smoke
    Boot All Devices
    Add Debug Client    alice    device=dev-2
    Attach GDB
    App Should Stand Still    dev-2
    App Should Run    dev-1
    App Should Run    dev-3
    Gdb    detach
    App Should Run    dev-2

S1.3 Two Devices Are Debugged At Once
    Boot All Devices
    Add Debug Client    alice    device=dev-1
    Add Debug Client    bob    device=dev-3
    Attach GDB    alice
    Attach GDB    bob
    Gdb    set var measurement.counter = 50000    client=alice
    Gdb    set var measurement.counter = 90000    client=bob
    Gdb    detach    client=alice
    Gdb    detach    client=bob
    Telemetry Counter Should Exceed    90000    device=dev-3
    Telemetry Counter Should Exceed    50000    device=dev-1


*** Keywords ***
Boot All Devices
    [Documentation]    Each device runs, has a session with the server and has checked in.
    FOR    ${device}    IN    @{DEVICES}
        Add Device    ${device}
        Boot Device    ${device}
        Device Should Be Online    ${device}
        Device Should Check Times    1    device=${device}
    END
