*** Settings ***
Documentation       S1.5: a stock GDB drives all of it while the kernel, the link and the upgrade checks keep running.
Resource            ../../resources/debug.resource
Test Setup          Start Lab With Debug Client
Test Teardown       Stop Debugging And Lab


*** Test Cases ***
S1.5 GDB Stops At A Breakpoint, Reads A Variable And Goes On
    [Tags]    smoke
    Attach GDB
    Gdb    break measurement_take    Breakpoint 1
    Gdb    continue    Breakpoint 1, measurement_take
    Gdb    backtrace    \#0 .*measurement_take(.|\\n)*app_entry
    Gdb    print measurement.counter    = \\d+
    Gdb    info registers    pc .*measurement_take
    Gdb    delete
    Gdb    detach
    App Should Run

S1.5 GDB Steps Over And Into
    Attach GDB
    Gdb    break measurement_take    Breakpoint 1
    Gdb    continue    Breakpoint 1
    Gdb    next    \\d+
    Gdb    frame    \#0 .*measurement_take
    Gdb    finish    Run till exit(.|\\n)*app_entry
    Gdb    step    measurement_encode \\(
    Gdb    stepi    \\d+
    Gdb    frame    \#0 .*measurement_encode
    Gdb    finish    Run till exit(.|\\n)*app_entry
    Gdb    next    \\d+
    Gdb    frame    \#0 .*app_entry

S1.5 GDB Watches A Variable
    Attach GDB
    Gdb    watch measurement.counter    watchpoint
    Gdb    continue    Old value = \\d+(.|\\n)*New value = \\d+
    Gdb    continue    Old value = \\d+(.|\\n)*New value = \\d+

S1.5 GDB Writes A Variable That The Server Then Sees
    Attach GDB
    Gdb    set var measurement.counter = 100000
    Gdb    print measurement.counter    = 100000
    Gdb    detach
    Telemetry Counter Should Exceed    100000

S1.5 GDB Interrupts A Running App
    Attach GDB
    Gdb Continues
    App Should Run
    Gdb Interrupts
    App Should Stand Still
    Gdb    backtrace    \#0

S1.5 Kernel And Link Go On While The App Stands Still
    Attach GDB
    App Should Stand Still
    Device Should Check Times    3

S1.5 Detach Leaves The App Running Without A Patch
    Attach GDB
    Set Breakpoint That Stays
    Gdb    detach
    App Should Run
    App Code Should Be Unpatched

S1.5 Client That Dies Leaves The App Running Without A Patch
    Attach GDB
    Set Breakpoint That Stays
    Kill Debug Client
    App Should Run
    App Code Should Be Unpatched

S1.5 Another Session Reads The App's Code Without Breakpoints
    Add Debug Client    bob
    Give Token    read    client=bob
    ${before}    Fieldlink Debug    read    measurement_take    64    client=bob
    Attach GDB
    Set Breakpoint That Stays
    ${patched}    Fieldlink Debug    read    measurement_take    64    client=bob
    Should Be Equal    ${patched}    ${before}    msg=memory must be shown without breakpoints

S1.5 Monitor Commands Tell About The Device
    Attach GDB
    Gdb    monitor status    stopped|running
    Gdb    monitor permissions    read
