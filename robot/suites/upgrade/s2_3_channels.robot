*** Settings ***
Documentation       S2.3: a module arrives over the connection that carries application data, on its own channel.
Resource            ../../resources/upgrade.resource
Test Setup          Start Lab With Running Device
Test Teardown       Keep Evidence And Stop Lab


*** Test Cases ***
S2.3 Module Arrives On Its Own Channel Of The One Connection
    Arm Power Cut    at=flag-requested#1/before
    Publish Release    2    kernel=1.1.0
    Wait For Power Cut
    ${sessions}    Sessions Of Device
    Should Be Equal As Integers    ${sessions}    1    msg=one connection carries everything
    ${telemetry}    Channel Bytes Received    APPLICATION
    Should Be True    ${telemetry} > 0
    ${module}    Channel Bytes Sent    UPGRADE
    ${size}    Encrypted Size    kernel
    Should Be True    ${module} > ${size}    msg=the whole module travelled on the upgrade channel

S2.3 Application Data Flows During The Download
    Publish Release    2    kernel=1.1.0    app=1.1.0    assets=1.1.0
    Device Should Install Release    2
    ${telemetry}    Telemetry During Download
    Should Be True    ${telemetry}[count] >= 3    msg=the application keeps sending
    Should Be Equal As Integers    ${telemetry}[lost]    0    msg=no message of the application is lost
    Should Be True    ${telemetry}[gap] < ${LARGEST_GAP_S}
