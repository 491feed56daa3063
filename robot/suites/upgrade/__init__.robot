*** Settings ***
Documentation       S2, safe modular upgrades: every element, on the real firmware, against the real server.
Test Tags           upgrade
