*** Settings ***
Documentation       S1.2: the server decrypts the addressing and re-encrypts for the device's link; it never sees an
...                 instruction.
Resource            ../../resources/debug.resource
Test Setup          Start Lab With Debug Client
Test Teardown       Stop Debugging, Server Process And Lab
Test Tags           e2e


*** Variables ***
${SECRET}       the-server-must-not-read-this-9f4e


*** Test Cases ***
S1.2 Server And Links Never Hold What The Client And The Device Say
    Move Server Into Its Own Process
    Device Should Check In With Server Process
    Capture Link Of Client
    Attach Gdb
    Gdb    set var {char [35]}0x20038000 = "${SECRET}"
    Gdb    x/s 0x20038000    ${SECRET}
    ${client}    Process Of Client
    Client Process Should Hold    ${client}    ${SECRET}
    Links Should Not Carry    ${SECRET}
    Server Process Should Not Hold    ${SECRET}
