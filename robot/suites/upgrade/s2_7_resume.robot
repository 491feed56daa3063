*** Settings ***
Documentation       S2.7: an interrupted download resumes where it was.
Resource            ../../resources/upgrade.resource
Test Setup          Start Lab With Running Device
Test Teardown       Keep Evidence And Stop Lab


*** Test Cases ***
S2.7 Download Resumes After A Power Loss
    [Tags]    smoke    power-loss
    Arm Power Cut    region=staged_kernel.erase#8/before
    Publish Release    2    kernel=1.1.0
    Wait For Power Cut
    Boot Device
    Device Should Install Release    2
    Download Should Have Resumed    kernel    from_chunk=7

S2.7 Sector That Was Torn Is Transferred Again
    [Tags]    power-loss
    Arm Power Cut    region=staged_kernel.program#100/torn
    Publish Release    2    kernel=1.1.0
    Wait For Power Cut
    Boot Device
    Device Should Report    INSTALLING
    Device Should Install Release    2
    Download Should Have Resumed    kernel    from_chunk=6

S2.7 Two Power Losses In One Download
    [Tags]    power-loss
    Arm Power Cut    region=staged_kernel.program#50/torn
    Publish Release    2    kernel=1.1.0
    Wait For Power Cut
    Arm Power Cut    region=progress.program#2/torn
    Power On Device
    Wait For Power Cut
    Boot Device
    Device Should Install Release    2
    Download Should Have Resumed    kernel    from_chunk=3

S2.7 Staged Manifest Torn Starts The Download Anew
    [Tags]    power-loss
    Arm Power Cut    region=staged_manifest.program#1/torn
    Publish Release    2    app=1.1.0
    Wait For Power Cut
    Boot Device
    Device Should Install Release    2

S2.7 Staged Manifest That Was Damaged Starts The Download Anew
    [Documentation]    Progress vouches for modules, not for the manifest: that is compared before anything resumes.
    [Tags]    power-loss
    Arm Power Cut    region=staged_kernel.erase#3/before
    Publish Release    2    kernel=1.1.0
    Wait For Power Cut
    Flip Bit In Flash    staged_manifest    offset=60
    Boot Device
    Boot Should Say    staged set seq=2 accepted
    Device Should Install Release    2

S2.7 Download Resumes After The Link Was Lost
    Publish Release    2    kernel=1.1.0
    Wait For Chunks In Flash    kernel    3
    Disconnect Link
    Device Should Go Offline
    Connect Link
    Device Should Install Release    2
    Download Should Have Resumed    kernel    from_chunk=3

S2.7 Download Resumes After The Server Was Restarted
    Publish Release    2    kernel=1.1.0
    Wait For Chunks In Flash    kernel    3
    Restart Server
    Device Should Install Release    2
    Download Should Have Resumed    kernel    from_chunk=3

S2.7 Damaged Byte On The Link Costs A Session, Not The Download
    [Documentation]    The device ends the session because of the damage, not because of the silence that follows
    ...    (after 6 s).
    Damage One Byte On The Link    after_bytes=20000
    Publish Release    2    kernel=1.1.0
    Console Should Show    kernel: link down    timeout=5
    Device Should Install Release    2
    Download Should Have Resumed    kernel    from_chunk=1

S2.7 Newer Release During A Download Replaces It
    Arm Power Cut    region=staged_kernel.erase#8/before
    Publish Release    2    kernel=1.1.0
    Wait For Power Cut
    Publish Release    3    app=1.1.0
    Boot Device
    Device Should Install Release    3
    Console Log Should Contain    app 1.1.0

S2.7 Progress Of One Release Does Not Count For The Next
    [Documentation]    Both change the assets, each to other content: no chunk of the first may stay in the second.
    [Tags]    power-loss
    Arm Power Cut    region=staged_assets.erase#4/before
    Publish Release    2    assets=1.1.0
    Wait For Power Cut
    Publish Release With Other Assets    3
    Boot Device
    Device Should Report    INSTALLING
    Device Should Install Release    3

S2.7 Withdrawn Release Leaves No Doubtful Manifest Behind
    [Documentation]    The power goes while release 3's manifest replaces release 2's in staging. Then release 3 is
    ...    withdrawn, and release 2's manifest still reads as a whole, for the last time.
    [Tags]    power-loss
    Arm Power Cut    region=staged_kernel.erase#8/before
    Publish Release    2    kernel=1.1.0
    Wait For Power Cut
    Publish Release    3    app=1.1.0
    Power On Device And Lose It    region=staged_manifest.erase#1/torn/all_unstable/zeros
    Server Offers Release    2
    Power On Device And Lose It    at=flag-requested#1/after/ones
    Power On Device
    Boot Should Say    staged set seq=2 accepted
    Device Should Install Release    2
