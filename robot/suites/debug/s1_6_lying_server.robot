*** Settings ***
Documentation       S1.6: a message that is replayed, reordered, changed, spliced or sent across is refused by the device.
Resource            ../../resources/debug.resource
Test Setup          Start Lab With Lying Debug Server
Test Teardown       Stop Debugging And Lab
Test Tags           e2e


*** Test Cases ***
S1.6 Replayed Instruction Is Refused
    [Tags]    smoke
    Lie Should End The Session And Harm Nothing    REPLAY

S1.6 Lost Instruction Is Noticed
    Lie Should End The Session And Harm Nothing    DROP

S1.6 Reordered Instructions Are Refused
    Lie Should End The Session And Harm Nothing    REORDER

S1.6 Changed Instruction Is Refused
    Lie Should End The Session And Harm Nothing    CHANGE

S1.6 Spliced Instruction Is Refused
    Lie Should End The Session And Harm Nothing    SPLICE    skip=2

S1.6 Instruction Of An Earlier Session Is Refused
    Fieldlink Debug    read    0x20030000    64
    Lie Should End The Session And Harm Nothing    RECORDED

S1.6 Instruction Of Another Device's Session Is Refused
    Add Device    dev-2
    Boot Device    dev-2
    Device Should Check Times    1    device=dev-2
    Add Debug Client    bob    device=dev-2
    Attach Gdb    bob
    Mark Events
    Server Lies Once    CROSS
    Fieldlink Debug Should Fail    session|channel|ended|reply    read    0x20030000    64
    Server Should Have Lied
    Device Should Have Ended The Session    dev-2
    App Should Run    dev-2
    App Should Run

S1.6 Server That Leads The Client To Another Device Is Noticed
    Add Device    dev-2
    Boot Device    dev-2
    Device Should Check Times    1    device=dev-2
    Server Leads Client To Another Device    dev-2
    Fieldlink Debug Should Fail    session|channel|ended    regs
    App Should Run    dev-2

S1.6 Client That Proves No Fresh Key Holds No Session
    Mark Events
    Server Lies Once    DROP    skip=0
    Fieldlink Debug Should Fail    no session|channel|ended    regs
    Server Should Have Lied
    Console Log Should Not Contain    kernel: debug session ready
    App Should Run
