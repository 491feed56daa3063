#ifndef BROWNOUT_APP_SYSCALLS_H
#define BROWNOUT_APP_SYSCALLS_H

#include <stddef.h>
#include <stdint.h>

/* What the application can ask of the kernel: SVC 0 with the number in r0, arguments in r1 and r2, the result
 * in r0. */

enum syscall {
    SYSCALL_SLEEP = 0,   /* r1: milliseconds */
    SYSCALL_CONSOLE = 1, /* r1: bytes, r2: length. Writes to the console */
    SYSCALL_SEND =
        2, /* r1: bytes, r2: length. Queues a message for the application channel; -1 when dropped */
    SYSCALL_UPTIME = 3, /* result: milliseconds since the kernel started */
    SYSCALL_EXIT = 4,   /* r1: exit code. Does not return */
};

#define SYSCALL_MESSAGE_MAX 64u
#define SYSCALL_FAILED      0xFFFFFFFFu

#endif
