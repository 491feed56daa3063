*** Settings ***
Documentation       S1.5: whatever stops the app reaches GDB as a stop with its reason, and the device goes on all the same.
...                 The tests share one device: each leaves it running.
Resource            ../../resources/debug.resource
Suite Setup         Start Lab With Debug Client
Suite Teardown      Run Keywords    Close All Gdbs    AND    Stop Lab
Test Setup          Attach Gdb
Test Teardown       Leave App Running


*** Test Cases ***
S1.5 Memory Fault Is A Stop With Its Address
    Gdb    break measurement_take    Breakpoint 1
    Gdb    continue    Breakpoint 1
    Gdb    set var $r0 = 0x20000000
    Gdb    delete
    Gdb    continue    memory fault at 0x20000000(.|\\n)*SIGSEGV(.|\\n)*measurement_take
    App Should Stand Still
    Device Should Check Times    1

S1.5 Stack Overflow Is A Stop With Its Reason
    Gdb    break measurement_encode    Breakpoint 1
    Gdb    continue    Breakpoint 1
    Gdb    set var $sp = 0x20030020
    Gdb    delete
    Gdb    continue    stack overflow at 0x(.|\\n)*SIGSEGV
    App Should Stand Still
    Device Should Check Times    1
    Gdb    detach
    App Should Run

S1.5 Exit Of The App Is A Stop, And Detach Starts It Again
    Gdb    find /h1 app_entry, +256, 0xdf00    1 pattern found
    Gdb    set var $pc = $_
    Gdb    set var $r0 = 4
    Gdb    continue    the app has exited(.|\\n)*SIGTERM
    App Should Stand Still
    Device Should Check Times    1
    Gdb    detach
    App Should Run

S1.5 Monitor Reset Starts The App From Its Beginning
    Gdb    set var measurement.counter = 70000
    Gdb    monitor reset
    Gdb    maintenance flush register-cache
    Gdb    print $pc    <app_entry>
    Gdb    print measurement.counter    = 0$

S1.5 GDB Stops Where A Variable Is Read
    Gdb    rwatch measurement.counter    Hardware read watchpoint
    Gdb    continue    Hardware read watchpoint(.|\\n)*[Vv]alue = \\d+
    Gdb    delete
    Gdb    stepi

S1.5 GDB Stops Where A Variable Is Read Or Written
    Gdb    awatch measurement.counter    Hardware access
    Gdb    continue    Hardware access(.|\\n)*\\nValue = \\d+
    Gdb    continue    Hardware access(.|\\n)*Old value = \\d+


*** Keywords ***
Leave App Running
    [Documentation]    Keeps the evidence of a failed test, ends the debugger; the next test finds the app running.
    Keep Evidence Of Failed Test
    Close Gdb
    App Should Run
    App Code Should Be Unpatched
