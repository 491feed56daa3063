*** Settings ***
Documentation       Power cuts in a suite of renode-test: the machine is the suite's own, brownout has the flash.
...                 From the repository: renode-test examples/renode/power_cuts.robot
Resource            ${CURDIR}/../../robot/resources/renode.resource

Test Setup          Start My Board With A Staged Upgrade
Test Teardown       Remove Board


*** Variables ***
${FIRMWARE}         ${CURDIR}/../../build/firmware


*** Test Cases ***
Upgrade Is Installed Without A Cut
    Power On
    Wait For Line On Uart    kernel 1.1.0    timeout=60
    Flash Should Hold    kernel    ${FIRMWARE}/1.1.0/kernel.bin

Power Cut In The Middle Of The Kernel Is Survived
    Cut Power In Region    kernel    program    100
    Power Should Be    off
    ${half}=    Read Flash    kernel    1024
    Power On
    Wait For Line On Uart    kernel 1.1.0    timeout=60
    Flash Should Hold    kernel    ${FIRMWARE}/1.1.0/kernel.bin
    Flash Should Hold    app    ${FIRMWARE}/1.1.0/app.bin
    Flash Should Obey Its Rules
    ${whole}=    Read Flash    kernel    1024
    Should Be Equal    ${half}    ${whole}

Two Power Cuts In A Row Are Survived
    Cut Power At Operation    40    before
    Cut Power At Operation    7    after
    Power On
    Wait For Line On Uart    kernel 1.1.0    timeout=60
    Cut Power
    Flash Should Obey Its Rules


*** Keywords ***
Start My Board With A Staged Upgrade
    [Documentation]    1.0.0 is installed, 1.1.0 is staged, the flag asks for it: see examples/reference/target.toml.
    Start Board    ${CURDIR}/board.resc    seed=${1}
    Load Flash Of Target    ${CURDIR}/../reference/target.toml
    Create Terminal Tester    sysbus.uart0
