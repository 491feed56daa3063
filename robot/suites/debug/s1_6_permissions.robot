*** Settings ***
Documentation       S1.6: permissions are enforced on the device for each instruction. The tests share one device.
Resource            ../../resources/debug.resource
Suite Setup         Start Lab With Debug Client
Suite Teardown      Run Keywords    Close All Gdbs    AND    Stop Lab
Test Setup          Give Token    read    write    control    reset
Test Teardown       Keep Evidence And End Sessions


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
    Add Debug Client    mallory
    Give Client A Key That The Server Does Not Know    client=mallory
    Fieldlink Debug Should Fail    no answer to the handshake    regs    client=mallory

S1.6 Second Controlling Session Is Refused
    Attach GDB
    Add Debug Client    bob
    Fieldlink Debug Should Fail    busy|controls    halt    client=bob

S1.6 Read-only Client Looks On Beside A Controlling One
    Attach GDB
    Gdb    set var measurement.counter = 4711
    Add Debug Client    carol
    Give Token    read    client=carol
    Attach GDB    carol
    Gdb    print measurement.counter    = 4711    client=carol
    Gdb    set var measurement.counter = 1    Cannot access memory    client=carol
    Gdb    detach    client=carol
    Close Gdb    carol
    App Should Stand Still
    Gdb    print measurement.counter    = 4711
    Gdb    detach
    App Should Run

S1.6 Readers Leave A Place For The One Who Controls
    Add Debug Client    dave
    Add Debug Client    erin
    Give Token    read    client=dave
    Give Token    read    client=erin
    Attach GDB    dave
    Fieldlink Debug Should Fail    as many    regs    client=erin
    Attach GDB
    Gdb    set var measurement.counter = 4712
    Gdb    print measurement.counter    = 4712    client=dave
    Gdb    detach
    Gdb    detach    client=dave
    App Should Run


*** Keywords ***
Keep Evidence And End Sessions
    [Documentation]    The lab and its clients stay for the next test.
    Keep Evidence Of Failed Test
    Close Gdbs
