/*
 * nRF52840: comes up as a bootloader does, erases and programs a page and a word of UICR, waits for an RTC
 * interrupt, resets itself, and ends with a store that the NVMC does not take.
 */
#include "image.h"

#define CLOCK      0x40000000u
#define UARTE      0x40002000u
#define RTC        0x4000b000u
#define NVMC       0x4001e000u
#define FICR       0x10000000u
#define CUSTOMER   0x10001080u
#define PAGE       0x00040000u
#define RTC_IRQ    11u
#define NVIC_ISER0 0xe000e100u
#define AIRCR      0xe000ed0cu

static volatile uint32_t woken __attribute__((section(".noinit")));
static volatile char letter __attribute__((section(".noinit")));

void image_console_open(void)
{
    REGISTER(UARTE + 0x500) = 8; /* ENABLE: with EasyDMA */
}

void image_console_put(char character)
{
    letter = character;
    REGISTER(UARTE + 0x120) = 0;                            /* ENDTX */
    REGISTER(UARTE + 0x544) = (uint32_t)(uintptr_t)&letter; /* TXD.PTR */
    REGISTER(UARTE + 0x548) = 1;                            /* TXD.MAXCNT */
    REGISTER(UARTE + 0x008) = 1;                            /* STARTTX */
    while (REGISTER(UARTE + 0x120) == 0) {
    }
}

static void wait_ready(void)
{
    while (REGISTER(NVMC + 0x400) == 0) {
    }
}

static void configure(uint32_t mode)
{
    REGISTER(NVMC + 0x504) = mode;
    wait_ready();
}

static void start_clocks(void)
{
    REGISTER(CLOCK + 0x000) = 1; /* HFCLKSTART */
    while (REGISTER(CLOCK + 0x100) == 0) {
    }
    REGISTER(CLOCK + 0x518) = 1; /* LFCLKSRC: crystal */
    REGISTER(CLOCK + 0x008) = 1; /* LFCLKSTART */
    while (REGISTER(CLOCK + 0x104) == 0) {
    }
}

static void write_flash(void)
{
    configure(2);
    REGISTER(NVMC + 0x508) = PAGE;
    wait_ready();
    configure(1);
    for (uint32_t word = 0; word < 8; word++) {
        REGISTER(PAGE + 4 * word) = 0x01010101u * (word + 1);
        wait_ready();
    }
    REGISTER(CUSTOMER) = 0xffff1234u;
    wait_ready();
    configure(0);
    image_print_number("flash", REGISTER(PAGE + 28));
}

static void wait_for_rtc(void)
{
    woken = 0;
    REGISTER(RTC + 0x540) = 33;       /* CC[0]: about a millisecond */
    REGISTER(RTC + 0x304) = 1u << 16; /* INTENSET: COMPARE[0] */
    REGISTER(NVIC_ISER0) = 1u << RTC_IRQ;
    REGISTER(RTC + 0x000) = 1;
    while (woken == 0) {
        __asm volatile("wfi");
    }
    image_print_number("rtc", REGISTER(RTC + 0x504));
}

void image_exception(uint32_t number)
{
    if (number == 16 + RTC_IRQ) {
        REGISTER(RTC + 0x140) = 0;
        REGISTER(RTC + 0x308) = 1u << 16;
        woken = 1;
        return;
    }
    image_print_number("exception", number);
    image_end();
}

void image_run(void)
{
    uint32_t reason = REGISTER(CLOCK + 0x400);

    image_print_number("reset", reason);
    image_print_number("pages", REGISTER(FICR + 0x014));
    if (reason == 0) {
        start_clocks();
        write_flash();
        wait_for_rtc();
        REGISTER(CLOCK + 0x51c) = 0xb1; /* GPREGRET */
        REGISTER(AIRCR) = 0x05fa0004u;
        image_end();
    }
    image_print_number("gpregret", REGISTER(CLOCK + 0x51c));
    image_print_number("customer", REGISTER(CUSTOMER));
    image_print_number("flash", REGISTER(PAGE));
    configure(1);
    *(volatile uint8_t *)(uintptr_t)(PAGE + 64) = 0;
    __asm volatile("dsb");
    image_print("not a fault");
}
