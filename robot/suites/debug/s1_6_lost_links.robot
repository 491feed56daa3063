*** Settings ***
Documentation       S1.6: a session whose links are lost, and nobody says so, ends for both within a bounded time: the client
...                 is told, the app runs on without a patch, and the next session is as good as the first.
Resource            ../../resources/debug.resource
Test Setup          Start Lab With Debug Client
Test Tags           e2e


*** Variables ***
# A link that is silent for 6 s is lost (server/PROTOCOL.md, section 2); the rest is for a busy machine.
${LIMIT}        20


*** Test Cases ***
S1.6 Silent Link Ends The Session For Client And Device
    Attach Gdb
    Set Breakpoint That Stays
    Mark Events
    Disconnect Link
    Debug Client Should End    link to the device or the server was lost    timeout=${LIMIT}
    App Should Run On Unpatched Without A Link    timeout=${LIMIT}
    Close Gdb
    Connect Link
    Device Should Be Online
    Device Should Check Times    1
    Attach Gdb
    Gdb    print measurement.counter    = \\d+
    [Teardown]    Stop Debugging And Lab

S1.6 Server That Dies Ends The Session For Client And Device
    Move Server Into Its Own Process
    Device Should Check In With Server Process
    Attach Gdb
    Set Breakpoint That Stays
    Kill Server Process
    Debug Client Should End    link to the device or the server was lost    timeout=${LIMIT}
    Start Server Process
    App Should Run On Unpatched Without A Link    timeout=${LIMIT}
    Close Gdb
    Device Should Check In With Server Process
    Attach Gdb
    Gdb    print measurement.counter    = \\d+
    [Teardown]    Stop Debugging, Server Process And Lab
