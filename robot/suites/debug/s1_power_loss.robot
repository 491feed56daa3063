*** Settings ***
Documentation       S1 and S2 together: power lost in a debug session leaves no trace, and the client can come back.
Resource            ../../resources/debug.resource
Test Setup          Start Lab With Debug Client
Test Teardown       Stop Debugging And Lab
Test Tags           power-loss


*** Test Cases ***
S1.6 Power Lost In A Session Leaves No Trace In Flash
    Attach GDB
    Gdb    break measurement_take
    Gdb    continue    Breakpoint 1
    Cut Power
    Debug Session Should End
    Close Gdb
    ${installed}    Recover Device    old=1    new=1
    Should Be Equal As Integers    ${installed}    1
    Installed Regions Should Be Untouched
    App Code Should Be Unpatched

S1.6 Client Attaches Again After A Power Loss
    Attach GDB
    Cut Power
    Close Gdb
    Boot Device
    Mark Events
    Device Should Check Times    1
    Attach GDB
    Gdb    print measurement.counter    = \\d+
