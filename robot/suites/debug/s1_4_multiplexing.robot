*** Settings ***
Documentation       S1.4: one connection to the device carries its application's data, upgrades and debugging.
Resource            ../../resources/debug.resource
Test Setup          Start Lab With Debug Client
Test Teardown       Stop Debugging And Lab


*** Test Cases ***
S1.4 Telemetry Keeps Arriving While Memory Is Read
    [Tags]    smoke
    Give Token    read
    Telemetry Should Keep Arriving While Memory Is Read    limit=1.0    seconds=1.5
    ${sessions}    Sessions Of Device
    Should Be Equal As Integers    ${sessions}    1    msg=one connection carries everything

S1.4 Download Runs During A Session And Is Installed When It Ends
    Attach GDB
    Publish Release    2    app=1.1.0
    Console Should Show    kernel: upgrade waits for the debug session
    Upgrade Flag Should Be    CLEAR
    Gdb    detach
    Close Gdb
    Device Should Install Release    2
