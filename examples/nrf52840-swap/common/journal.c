#include "journal.h"

#include <stddef.h>

#include "crc32.h"
#include "memory_map.h"
#include "nvmc.h"

#define RECORD_MAGIC 0x4E4A0000u /* plus the state */
#define RECORD_SEAL  0x5EA1ED00u
#define STATE_MASK   0xFFu
#define WRITE_TRIES  3u

struct record {
    uint32_t magic;
    uint32_t generation;
    uint32_t progress; /* pages << 16 | step */
    uint32_t counter;
    uint32_t image[IMAGE_ID_WORDS];
    uint32_t crc; /* CRC-32 of the words before */
    uint32_t seal;
};

#define BODY_WORDS  (offsetof(struct record, seal) / sizeof(uint32_t))
#define JOURNAL_END (JOURNAL_ADDRESS + JOURNAL_PAGES * FLASH_PAGE_SIZE)

_Static_assert(FLASH_PAGE_SIZE % sizeof(struct record) == 0, "a page is an array of records");

static uint32_t record_crc(const struct record *record)
{
    return crc32_compute((const uint8_t *)record, offsetof(struct record, crc));
}

static bool record_is_valid(const struct record *record)
{
    uint32_t state = record->magic & STATE_MASK;

    return (record->magic & ~STATE_MASK) == RECORD_MAGIC && state >= JOURNAL_IDLE &&
           state <= JOURNAL_REVERTING && record->crc == record_crc(record);
}

static bool record_is_sealed(const struct record *record)
{
    return record_is_valid(record) && record->seal == RECORD_SEAL;
}

/* The entry with the highest generation of those that `is_wanted`; NULL when there is none. */
static const struct record *newest_find(bool (*is_wanted)(const struct record *record))
{
    const struct record *best = NULL;

    for (uint32_t at = JOURNAL_ADDRESS; at < JOURNAL_END; at += sizeof(struct record)) {
        const struct record *record = (const struct record *)(uintptr_t)at;
        if (is_wanted(record) && (best == NULL || record->generation > best->generation)) {
            best = record;
        }
    }
    return best;
}

status_t journal_read(struct journal_entry *entry)
{
    const struct record *record = newest_find(record_is_valid);

    if (record == NULL) {
        return STATUS_NOT_FOUND;
    }
    entry->state = (enum journal_state)(record->magic & STATE_MASK);
    entry->step = record->progress & 0xFFFFu;
    entry->pages = record->progress >> 16;
    entry->counter = record->counter;
    entry->image[0] = record->image[0];
    entry->image[1] = record->image[1];
    return STATUS_OK;
}

bool journal_is_sealed(void)
{
    const struct record *record = newest_find(record_is_valid);

    return record != NULL && record_is_sealed(record);
}

static status_t record_program(uint32_t address, const struct journal_entry *entry, uint32_t generation)
{
    struct record record = {
        .magic = RECORD_MAGIC | (uint32_t)entry->state,
        .generation = generation,
        .progress = entry->pages << 16 | entry->step,
        .counter = entry->counter,
        .image = {entry->image[0], entry->image[1]},
        .seal = RECORD_SEAL,
    };

    record.crc = record_crc(&record);
    RETURN_IF_ERROR(nvmc_words_program(address, (const uint32_t *)&record, BODY_WORDS));
    return nvmc_words_program(address + offsetof(struct record, seal), &record.seal, 1);
}

static bool page_holds(uint32_t page, const struct record *record)
{
    return record != NULL && (uint32_t)(uintptr_t)record - page < FLASH_PAGE_SIZE;
}

/* The first write of a session, or of a page. */
static status_t fresh_write(struct journal *journal, const struct journal_entry *entry)
{
    const struct record *current = newest_find(record_is_valid);
    const struct record *sealed = newest_find(record_is_sealed);
    uint32_t generation = current != NULL ? current->generation + 1u : 1u;
    uint32_t page = JOURNAL_ADDRESS;

    /* The current entry may be gone at the next power-on, and then the sealed one counts: both stay. */
    while (page_holds(page, current) || page_holds(page, sealed)) {
        page += FLASH_PAGE_SIZE;
    }
    RETURN_IF_ERROR(nvmc_page_erase(page));
    RETURN_IF_ERROR(record_program(page, entry, generation));
    /* Nothing of what is half-way in the other pages shall be read again. */
    for (uint32_t other = JOURNAL_ADDRESS; other < JOURNAL_END; other += FLASH_PAGE_SIZE) {
        if (other != page) {
            RETURN_IF_ERROR(nvmc_page_erase(other));
        }
    }
    journal->fresh = true;
    journal->generation = generation;
    journal->next = page + sizeof(struct record);
    return STATUS_OK;
}

static status_t append(struct journal *journal, const struct journal_entry *entry)
{
    uint32_t address = journal->next;

    RETURN_IF_ERROR(record_program(address, entry, journal->generation + 1u));
    journal->generation++;
    journal->next = address + sizeof(struct record);
    return STATUS_OK;
}

status_t journal_write(struct journal *journal, const struct journal_entry *entry)
{
    status_t status = STATUS_FLASH;

    for (uint32_t i = 0; i < WRITE_TRIES && status != STATUS_OK; i++) {
        if (journal->fresh && journal->next % FLASH_PAGE_SIZE != 0) {
            status = append(journal, entry);
            journal->fresh = status == STATUS_OK;
        } else {
            status = fresh_write(journal, entry);
        }
    }
    return status;
}
