*** Settings ***
Documentation       S2.4: a received module is decrypted, hashed and compared; nothing is installed before all are valid.
Resource            ../../resources/upgrade.resource
Test Setup          Start Lab With Running Device
Test Teardown       Keep Evidence And Stop Lab


*** Test Cases ***
S2.4 Module Content Travels And Is Stored Encrypted
    Publish Release    2    assets=1.1.0
    Device Should Install Release    2
    Link Capture Should Not Contain Module    2    assets
    Stored Blob Should Not Contain Module    2    assets
    Flash Should Contain Module    2    assets

S2.4 Tampered Module Is Refused
    [Tags]    smoke
    Publish Tampered Release    app
    Server Flips Bit In Chunk    app
    Device Should Report    CHUNK_AUTHENTICATION
    Refused Release Should Leave No Trace

S2.4 Tampered Last Chunk Is Refused
    Publish Tampered Release    kernel
    Server Flips Bit In Chunk    kernel    chunk=-1
    Device Should Report    CHUNK_AUTHENTICATION
    Refused Release Should Leave No Trace

S2.4 Module With Another Hash Than The Manifest's Is Refused
    Publish Tampered Release    app
    Server Swaps Module Content    app
    Device Should Report    DIGEST
    Refused Release Should Leave No Trace

S2.4 Nothing Is Installed Until Every Module Is Valid
    [Documentation]    The kernel arrives whole and valid; only the last module, assets, is bad.
    Publish Tampered Release    kernel    assets
    Server Swaps Module Content    assets
    Device Should Report    DIGEST
    ${kernel}    Module Bytes Sent    kernel
    ${size}    Encrypted Size    kernel
    Should Be Equal As Integers    ${kernel}    ${size}    msg=the valid module was received as a whole
    Refused Release Should Leave No Trace

S2.4 Content Key Of Another Release Does Not Open
    Publish Tampered Release    app
    Server Offers Content Key Of Another Release
    Device Should Report    CONTENT_KEY
    Refused Release Should Leave No Trace

S2.4 Device Recovers From A Refusal With The Next Good Release
    Publish Tampered Release    app
    Server Flips Bit In Chunk    app
    Device Should Report    CHUNK_AUTHENTICATION
    Server Behaves
    Publish Release    3    app=1.1.0
    Device Should Install Release    3
