"""Peripherals of the in-process microcontroller, one module each; registry.py names their kinds."""
