#ifndef BROWNOUT_KERNEL_SYSCALL_HANDLER_H
#define BROWNOUT_KERNEL_SYSCALL_HANDLER_H

#include "thread.h"

/* Runs in SVC: serves the system call of app/syscalls.h whose arguments the app left in `frame`. */
void syscall_handler_dispatch(struct thread_frame *frame);

#endif
