"""fieldlink: the wire protocol, upgrade server and command line for devices in the field."""
