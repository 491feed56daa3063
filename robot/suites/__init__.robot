*** Settings ***
Documentation       Brownout: the reference systems on an emulated board, with the power cut where it hurts.
Test Timeout        2 minutes
