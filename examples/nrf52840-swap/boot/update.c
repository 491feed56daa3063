#include "update.h"

#include <stdbool.h>

#include "cortex.h"
#include "digest.h"
#include "ed25519.h"
#include "image.h"
#include "journal.h"
#include "memory_map.h"
#include "nvmc.h"
#include "release_key.h"

#define PAGE_WORDS     (FLASH_PAGE_SIZE / sizeof(uint32_t))
#define STEPS_PER_PAGE 3u
#define COPY_TRIES     3u

status_t update_image_check(uint32_t slot, uint32_t counter)
{
    const struct image_header *header = image_header_at(slot);
    uint8_t digest[DIGEST_SIZE];
    struct ed25519_span message = {.bytes = (const uint8_t *)header, .length = IMAGE_SIGNED_SIZE};

    if (!image_is_present(slot)) {
        return STATUS_MALFORMED;
    }
    digest_compute(digest, (const uint8_t *)header + IMAGE_HEADER_SIZE, header->size);
    if (!digest_equal(digest, (const uint8_t *)header->digest)) {
        return STATUS_BAD_DIGEST;
    }
    RETURN_IF_ERROR(ed25519_verify(header->signature, release_key, &message, 1));
    return header->counter >= counter ? STATUS_OK : STATUS_ROLLBACK;
}

/* Makes the page at `to` equal to the one at `from`. Whatever an interrupted copy left in `to` is erased. */
static status_t page_copy(uint32_t to, uint32_t from)
{
    status_t status = STATUS_FLASH;

    for (uint32_t i = 0; i < COPY_TRIES && status != STATUS_OK; i++) {
        status = nvmc_page_erase(to);
        if (status == STATUS_OK) {
            status = nvmc_words_program(to, (const uint32_t *)(uintptr_t)from, PAGE_WORDS);
        }
    }
    return status;
}

/* Swaps page `step / 3` of the slots, in three steps. A step can be done again as long as the next one has
 * not begun: it does not change what it copies from. */
static status_t swap_step(uint32_t step)
{
    uint32_t offset = step / STEPS_PER_PAGE * FLASH_PAGE_SIZE;

    switch (step % STEPS_PER_PAGE) {
    case 0:
        return page_copy(SCRATCH_ADDRESS, SECONDARY_ADDRESS + offset);
    case 1:
        return page_copy(SECONDARY_ADDRESS + offset, PRIMARY_ADDRESS + offset);
    default:
        return page_copy(PRIMARY_ADDRESS + offset, SCRATCH_ADDRESS);
    }
}

/* All steps from entry->step on. The entry has been written in this session: it will be read, and nothing
 * else, by whoever continues after a power loss. */
static status_t swap_run(struct journal *journal, struct journal_entry *entry)
{
    cortex_stack_wipe();
    while (entry->step < entry->pages * STEPS_PER_PAGE) {
        RETURN_IF_ERROR(swap_step(entry->step));
        entry->step++;
        RETURN_IF_ERROR(journal_write(journal, entry));
    }
    return STATUS_OK;
}

static status_t revert(struct journal *journal, struct journal_entry *entry)
{
    RETURN_IF_ERROR(swap_run(journal, entry));
    entry->state = JOURNAL_IDLE;
    return journal_write(journal, entry);
}

static status_t revert_start(struct journal *journal, struct journal_entry *entry)
{
    entry->state = JOURNAL_REVERTING;
    entry->step = 0;
    RETURN_IF_ERROR(journal_write(journal, entry));
    return revert(journal, entry);
}

static status_t install(struct journal *journal, struct journal_entry *entry)
{
    RETURN_IF_ERROR(swap_run(journal, entry));
    if (update_image_check(PRIMARY_ADDRESS, entry->counter) != STATUS_OK) {
        return revert_start(journal, entry);
    }
    entry->state = JOURNAL_TESTING;
    return journal_write(journal, entry);
}

static status_t install_start(struct journal *journal, struct journal_entry *entry)
{
    uint32_t installed = image_pages(PRIMARY_ADDRESS);
    uint32_t staged = image_pages(SECONDARY_ADDRESS);

    if (!image_has_id(SECONDARY_ADDRESS, entry->image) ||
        update_image_check(SECONDARY_ADDRESS, entry->counter) != STATUS_OK) {
        /* The app sees the image's id in the journal, and does not ask again. */
        entry->state = JOURNAL_IDLE;
        return journal_write(journal, entry);
    }
    entry->state = JOURNAL_SWAPPING;
    entry->step = 0;
    entry->pages = installed > staged ? installed : staged;
    RETURN_IF_ERROR(journal_write(journal, entry));
    return install(journal, entry);
}

static status_t journal_follow(struct journal *journal, struct journal_entry *entry)
{
    switch (entry->state) {
    case JOURNAL_IDLE:
        /* Without a seal it may be gone at the next power-on, and what was there before it is not idle. */
        return journal_is_sealed() ? STATUS_OK : journal_write(journal, entry);
    case JOURNAL_REQUESTED:
        return install_start(journal, entry);
    case JOURNAL_SWAPPING:
        /* What was read is written again before a page is touched: an interrupted write of the step after it
         * must never be read later on. */
        RETURN_IF_ERROR(journal_write(journal, entry));
        return install(journal, entry);
    case JOURNAL_TESTING:
        return revert_start(journal, entry);
    case JOURNAL_REVERTING:
        RETURN_IF_ERROR(journal_write(journal, entry));
        return revert(journal, entry);
    }
    return STATUS_MALFORMED;
}

status_t update_run(uint32_t *counter)
{
    struct journal journal = {.fresh = false};
    struct journal_entry entry;

    /* A device without a journal has no counter to hold its image against. */
    RETURN_IF_ERROR(journal_read(&entry));
    RETURN_IF_ERROR(journal_follow(&journal, &entry));
    *counter = entry.counter;
    return STATUS_OK;
}
