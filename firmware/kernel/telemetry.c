#include "telemetry.h"

#include <string.h>

#include "syscalls.h"

#define QUEUE_LENGTH 16u

static uint8_t queue[QUEUE_LENGTH][SYSCALL_MESSAGE_MAX];
static size_t lengths[QUEUE_LENGTH];
static volatile uint32_t head;
static volatile uint32_t tail;
static uint32_t dropped;

bool telemetry_push(const uint8_t *message, size_t length)
{
    if (length == 0 || length > SYSCALL_MESSAGE_MAX || head - tail == QUEUE_LENGTH) {
        dropped++;
        return false;
    }
    memcpy(queue[head % QUEUE_LENGTH], message, length);
    lengths[head % QUEUE_LENGTH] = length;
    head = head + 1;
    return true;
}

size_t telemetry_peek(const uint8_t **message)
{
    if (head == tail) {
        return 0;
    }
    *message = queue[tail % QUEUE_LENGTH];
    return lengths[tail % QUEUE_LENGTH];
}

void telemetry_pop(void)
{
    if (head != tail) {
        tail = tail + 1;
    }
}

uint32_t telemetry_dropped(void)
{
    return dropped;
}
