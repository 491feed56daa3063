"""For all tests: Ctrl-C works, wherever they are started from, and `robot` is Robot Framework."""

import signal

# Here already: pytest makes a package `robot` of the folder robot/ when it collects the tests in there, and
# whoever imports Robot Framework after that would get this one.
import robot as robot_framework

__all__ = ["robot_framework"]

# A shell has what it runs in the background ignore Ctrl-C, and what that starts inherits it: tests that
# interrupt a process would wait for ever.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
