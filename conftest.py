"""For all tests: Ctrl-C works, wherever they are started from."""

import signal

# A shell has what it runs in the background ignore Ctrl-C, and what that starts inherits it: tests that
# interrupt a process would wait for ever.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
