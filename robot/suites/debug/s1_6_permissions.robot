*** Settings ***
Documentation       S1.6: permissions are enforced on the device for each instruction, and everything leaves an audit trail.
Resource            ../../resources/debug.resource
Test Setup          Start Lab With Debug Client
Test Teardown       Stop Debugging And Lab


*** Test Cases ***
S1.6 Read-only Token Reads
    [Tags]    smoke
    Give Token    read
    Fieldlink Debug    read    0x20020000    64
    App Should Run

S1.6 Read-only Token Cannot Write
    Give Token    read
    Fieldlink Debug Should Fail    does not permit    write    0x20030000    00112233
    App Should Run

S1.6 Read-only Token Cannot Halt
    Give Token    read
    Fieldlink Debug Should Fail    does not permit    halt
    App Should Run

S1.6 Device Refuses Itself To Write For A Read-only Token
    Give Token    read
    Device Should Not Permit    write memory    write registers    insert breakpoint
    App Should Run

S1.6 Device Refuses Itself To Control The App For A Read-only Token
    Give Token    read
    Device Should Not Permit    halt    resume    step    insert watchpoint
    App Should Run

S1.6 Device Refuses Itself To Reset Without Permission
    Give Token    read    write    control
    Device Should Not Permit    reset
    App Should Run

S1.6 Keys Are Never Readable
    Fieldlink Debug Should Fail    address    read    0x21000000    64

S1.6 Kernel Memory Is Never Readable
    Fieldlink Debug Should Fail    address    read    0x20000000    64

S1.6 Expired Token Is Refused
    Give Token    read    life=-10
    Fieldlink Debug Should Fail    expired    regs

S1.6 Token Of Another Fleet Is Refused
    Give Token Of Another Fleet
    Fieldlink Debug Should Fail    not authorised    regs

S1.6 Token For Another Device Is Refused
    Give Token    read    device=dev-9
    Fieldlink Debug Should Fail    not authorised    regs

S1.6 Client Key That The Server Does Not Know Gets No Session
    Give Client A Key That The Server Does Not Know
    Fieldlink Debug Should Fail    key|handshake    regs

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

S1.6 Second Controlling Session Is Refused
    Attach GDB
    Add Debug Client    bob
    Fieldlink Debug Should Fail    busy|controls    halt    client=bob

S1.6 Device Without Power Is Offline
    Cut Power
    Device Should Go Offline
    Fieldlink Debug Should Fail    offline    regs

S1.6 Server That Restarts Ends The Session And The App Runs On
    Attach GDB
    App Should Stand Still
    Restart Server
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
