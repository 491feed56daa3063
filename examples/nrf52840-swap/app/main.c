/* The app: asks for the update that lies in the secondary slot, confirms itself after one, and leaves its
 * mark. */

#include <stdbool.h>
#include <stdint.h>

#include "cortex.h"
#include "image.h"
#include "journal.h"
#include "memory_map.h"

/* Called by the reset handler. */
int main(void);

static bool update_is_wanted(const struct journal_entry *entry)
{
    return entry->state == JOURNAL_IDLE && image_is_present(SECONDARY_ADDRESS) &&
           !image_has_id(SECONDARY_ADDRESS, entry->image) &&
           image_header_at(SECONDARY_ADDRESS)->counter >= entry->counter;
}

static status_t update_request(struct journal_entry *entry)
{
    struct journal journal = {.fresh = false};
    const struct image_header *staged = image_header_at(SECONDARY_ADDRESS);

    entry->state = JOURNAL_REQUESTED;
    entry->image[0] = staged->digest[0];
    entry->image[1] = staged->digest[1];
    return journal_write(&journal, entry);
}

/* From here on there is no way back: images with a lower counter are refused. */
static status_t update_confirm(struct journal_entry *entry)
{
    struct journal journal = {.fresh = false};

    entry->state = JOURNAL_IDLE;
    entry->counter = image_header_at(PRIMARY_ADDRESS)->counter;
    return journal_write(&journal, entry);
}

int main(void)
{
    struct journal_entry entry;

    if (journal_read(&entry) != STATUS_OK) {
        cortex_halt();
    }
    if (entry.state == JOURNAL_TESTING && update_confirm(&entry) != STATUS_OK) {
        cortex_reset();
    }
    if (update_is_wanted(&entry) && update_request(&entry) == STATUS_OK) {
        cortex_reset();
    }
    *(volatile uint32_t *)MARKER_ADDRESS = MARKER_MAGIC + image_header_at(PRIMARY_ADDRESS)->version;
    cortex_halt();
}
