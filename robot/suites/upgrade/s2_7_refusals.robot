*** Settings ***
Documentation       S2.7: the manifest is signed, and an older security counter is refused, by kernel and by boot.
Resource            ../../resources/upgrade.resource
Test Setup          Start Lab With Running Device
Test Teardown       Keep Evidence And Stop Lab


*** Test Cases ***
S2.7 Changed Manifest Is Refused
    [Tags]    smoke
    Publish Tampered Release    app
    Server Changes Manifest    sequence=77
    Device Should Report    SIGNATURE
    Refused Release Should Leave No Trace

S2.7 Manifest Signed With Another Key Is Refused
    Publish Tampered Release    app
    Server Signs Manifest With Another Key
    Device Should Report    SIGNATURE
    Refused Release Should Leave No Trace

S2.7 Set For Another Board Is Refused
    Publish Tampered Release    app
    Server Offers Set For Another Board
    Device Should Report    BOARD_OR_REGION
    Refused Release Should Leave No Trace

S2.7 Module In Another Region Is Refused
    Publish Tampered Release    app
    Server Offers Module In Another Region    app
    Device Should Report    BOARD_OR_REGION
    Refused Release Should Leave No Trace

S2.7 Set With An Unmet Dependency Is Refused
    Publish Tampered Release    app
    Server Offers Set With Unmet Dependency    app
    Device Should Report    DEPENDENCY
    Refused Release Should Leave No Trace

S2.7 Replayed Older Release Is Refused
    [Tags]    smoke
    Upgrade To Release 2    app=1.1.0
    Server Offers Release    1
    Device Should Report    ROLLBACK
    Device Should Still Run Release    2

S2.7 Boot Drops An Older Set Whatever The Flag Says
    Upgrade To Release 2    app=1.1.0
    Cut Power
    Write Staged Release Into Flash    1
    Power On Device
    Boot Should Say    staged set dropped: security counter too low
    Device Should Still Run Release    2

S2.7 Boot Drops A Staged Set That Was Damaged And Tells The Server
    Publish Release    2    app=1.1.0
    Arm Power Cut    at=flag-requested#1/after
    Wait For Power Cut
    Flip Bit In Flash    staged_app    offset=300
    Power On Device
    Boot Should Say    staged set dropped: bad digest
    Device Should Report    DROPPED_BY_BOOT
    Device Should Still Run Release    1

S2.7 Boot Drops A Staged Set Whose Manifest Was Changed
    Publish Release    2    app=1.1.0
    Arm Power Cut    at=flag-requested#1/after
    Wait For Power Cut
    Flip Bit In Flash    staged_manifest    offset=60
    Power On Device
    Boot Should Say    staged set dropped: (bad signature|malformed|bad digest)
    Device Should Still Run Release    1

S2.7 Boot Drops A Staged Set That Is Not The One Of The Flag
    [Documentation]    Everything in staging is valid and signed; the kernel has just not asked for this set.
    Publish Release    2    app=1.1.0
    Arm Power Cut    at=flag-requested#1/after
    Wait For Power Cut
    Publish Release    3    app=1.1.0
    Write Staged Manifest Into Flash    3
    Power On Device
    Boot Should Say    staged set dropped: bad digest

S2.7 Device With Another Server's Key Gets No Session
    Add Device That Trusts Another Server    dev-2
    Boot Device    dev-2
    Server Should Reject Handshake
    Device Should Not Be Online    dev-2

S2.7 Device That The Server Does Not Know Gets No Session
    Cut Power
    Forget Device    dev-1
    Boot Device
    ${reason}    Server Should Reject Handshake
    Should Contain    ${reason}    unknown
