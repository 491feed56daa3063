*** Settings ***
Documentation       S1.6: sessions that the server lets pass, or ends, or records. Each test has a lab of its own.
Resource            ../../resources/debug.resource
Test Setup          Start Lab With Debug Client
Test Teardown       Stop Debugging And Lab


*** Test Cases ***
S1.6 Device Refuses An Expired Token That The Server Lets Pass
    Give Token    read    life=-10
    Server Checks No Tokens
    Fieldlink Debug Should Fail    expired    regs
    Console Log Should Contain    kernel: debug session refused
    [Teardown]    Stop Careless Server

S1.6 Device Refuses A Token For Another Device That The Server Lets Pass
    Give Token    read    device=dev-9
    Server Checks No Tokens
    Device Should Not Authorise
    Console Log Should Contain    kernel: debug session refused
    [Teardown]    Stop Careless Server

S1.6 Device Without Power Is Offline
    Cut Power
    Device Should Go Offline
    Fieldlink Debug Should Fail    offline    regs

S1.6 Server That Restarts Ends The Session And The App Runs On
    Attach GDB
    App Should Stand Still
    Restart Server
    Debug Client Should End    the server shuts down; the app runs on    timeout=10
    App Should Run
    App Code Should Be Unpatched

S1.6 Every Session Leaves An Audit Trail
    Attach GDB
    Add Debug Client    bob
    Fieldlink Debug Should Fail    busy|controls    halt    client=bob
    Close Gdb
    Debug Session Should End
    Audit Log Should Tell    opened
    Audit Log Should Tell    ended
    Audit Log Should Tell    refused    client=bob
    Audit Log Should Be Intact
    Change An Entry Of The Audit Log
    Audit Log Should Be Broken


*** Keywords ***
Stop Careless Server
    [Documentation]    The next lab's server checks tokens.
    Server Checks Tokens Again
    Stop Debugging And Lab
