#ifndef EXAMPLE_COMMON_JOURNAL_H
#define EXAMPLE_COMMON_JOURNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "image.h"
#include "status.h"

/* What the device is in the middle of, in a log of three pages (README.md says why it is made like this).
 *
 * The current entry is the valid one with the highest generation. An entry that was complete has a seal: it
 * will be read at every power-on to come. One without may be gone at the next. The first write of a session
 * (the time since power-on or reset) goes to a page that it erases itself, leaves the current and the newest
 * sealed entry alone until its own is sealed, and then erases the other two pages: when it returns, nothing
 * that an interrupted write or erase has left half-way is anywhere in the journal. No word is programmed
 * twice. */

enum journal_state {
    JOURNAL_IDLE = 1,      /* nothing to do; `image` is the one that was dealt with last */
    JOURNAL_REQUESTED = 2, /* the app wants `image` in the secondary slot installed */
    JOURNAL_SWAPPING = 3,  /* steps before `step` are done */
    JOURNAL_TESTING = 4,   /* `image` was started and has not confirmed itself yet */
    JOURNAL_REVERTING = 5, /* swapping back; steps before `step` are done */
};

struct journal_entry {
    enum journal_state state;
    uint32_t step;
    uint32_t pages;   /* that are swapped */
    uint32_t counter; /* images with a lower security counter are refused */
    uint32_t image[IMAGE_ID_WORDS];
};

/* A session's way of writing; all zero at its start. */
struct journal {
    bool fresh;          /* a page was erased in this session and takes appends */
    uint32_t next;       /* address of the next append, when fresh */
    uint32_t generation; /* of the last entry written, when fresh */
};

/* Reads the current entry. STATUS_NOT_FOUND when there is none. */
MUST_USE status_t journal_read(struct journal_entry *entry);

/* Whether the current entry is sealed. */
bool journal_is_sealed(void);

/* Writes a new current entry; it persists once this returns STATUS_OK. */
MUST_USE status_t journal_write(struct journal *journal, const struct journal_entry *entry);

#endif
