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
    Arm Power Cut    region=staged_app.erase#3/before
    Publish Release    2    app=1.1.0
    Wait For Power Cut
    Flip Bit In Flash    staged_manifest    offset=60
    Boot Device
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
    Damage One Byte On The Link    after_bytes=20000
    Publish Release    2    kernel=1.1.0
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
