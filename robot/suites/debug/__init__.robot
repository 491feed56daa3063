*** Settings ***
Documentation       S1, remote debugging through a server that cannot read it, driven by a stock GDB.
Test Tags           debug
