"""Brownout: cut the power of an emulated Cortex-M board at any flash operation. See README.md."""
