"""Flash controllers of the in-process microcontroller, one module each."""
