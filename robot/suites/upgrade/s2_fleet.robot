*** Settings ***
Documentation       S2 with several devices at once against one server.
Resource            ../../resources/upgrade.resource
Test Setup          Start Lab    ${ENGINE}
Test Teardown       Keep Evidence And Stop Lab


*** Variables ***
@{DEVICES}          dev-1    dev-2    dev-3


*** Test Cases ***
S2 Three Devices Upgrade At Once And One Loses Power
    [Tags]    power-loss
    Boot All Devices
    Arm Power Cut    region=app.program#1/torn    device=dev-2
    Publish Release    2    app=1.1.0    assets=1.1.0
    Wait For Power Cut    device=dev-2
    Device Should Install Release    2    device=dev-1
    Device Should Install Release    2    device=dev-3
    Recover Device    device=dev-2
    Connect Link    dev-2
    All Devices Should Run Release 2


*** Keywords ***
Boot All Devices
    [Documentation]    Each device has the factory set and a session with the one server.
    FOR    ${device}    IN    @{DEVICES}
        Add Device    ${device}
        Boot Device    ${device}
        Device Should Be Online    ${device}
    END

All Devices Should Run Release 2
    [Documentation]    Each fetched what changed, once, and nothing else.
    FOR    ${device}    IN    @{DEVICES}
        Device Should Still Run Release    2    device=${device}
        Only These Modules Should Have Travelled    app    assets    device=${device}
    END
