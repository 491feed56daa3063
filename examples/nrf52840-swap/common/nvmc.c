#include "nvmc.h"

#include "memory_map.h"

/* nRF52840 product specification, chapter NVMC. */
#define NVMC_READY     (*(volatile uint32_t *)0x4001E400u)
#define NVMC_CONFIG    (*(volatile uint32_t *)0x4001E504u)
#define NVMC_ERASEPAGE (*(volatile uint32_t *)0x4001E508u)

#define CONFIG_READ_ONLY    0u
#define CONFIG_WRITE_ENABLE 1u
#define CONFIG_ERASE_ENABLE 2u

#define PAGE_WORDS (FLASH_PAGE_SIZE / sizeof(uint32_t))

static void ready_wait(void)
{
    while (NVMC_READY == 0) {
    }
}

static void config_set(uint32_t config)
{
    NVMC_CONFIG = config;
    ready_wait();
}

status_t nvmc_page_erase(uint32_t address)
{
    const volatile uint32_t *page = (const volatile uint32_t *)(uintptr_t)address;

    config_set(CONFIG_ERASE_ENABLE);
    NVMC_ERASEPAGE = address;
    ready_wait();
    config_set(CONFIG_READ_ONLY);
    for (uint32_t i = 0; i < PAGE_WORDS; i++) {
        if (page[i] != FLASH_ERASED) {
            return STATUS_FLASH;
        }
    }
    return STATUS_OK;
}

status_t nvmc_words_program(uint32_t address, const uint32_t *words, uint32_t count)
{
    volatile uint32_t *flash = (volatile uint32_t *)(uintptr_t)address;

    config_set(CONFIG_WRITE_ENABLE);
    for (uint32_t i = 0; i < count; i++) {
        if (words[i] != FLASH_ERASED) {
            flash[i] = words[i];
            ready_wait();
        }
    }
    config_set(CONFIG_READ_ONLY);
    for (uint32_t i = 0; i < count; i++) {
        if (flash[i] != words[i]) {
            return STATUS_FLASH;
        }
    }
    return STATUS_OK;
}
