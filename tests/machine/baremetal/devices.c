/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Interrupts and devices: ACLINT, Sstc, PLIC priorities and claims, UART, DMA, RTC.
 */
#include "rt.h"

#define PLIC	 0x0c000000ul
#define DMA	 0x10010000ul
#define UART	 0x10000000ul
#define MTIMECMP 0x02004000ul
#define MTIME	 0x0200bff8ul

static uint64_t buffers[2][1024] PAGE;

static void spin(void)
{
	for (volatile int i = 0; i < 200000; i++)
		;
}

static void enable_and_spin(void)
{
	asm volatile("csrsi sstatus, 2");
	spin();
}

static void machine_spin(void)
{
	SET_CSR(mstatus, 8);
	spin();
}

static void timers(void)
{
	WRITE_CSR(mie, 1 << 7);
	write64(MTIMECMP, read64(MTIME) + 500);
	EQUAL(try(M, machine_spin, 0, 0), INTERRUPT(7));
	CHECK(read64(MTIME) >= read64(MTIMECMP));
	EQUAL(READ_CSR(mip) >> 7 & 1, 1);
	write64(MTIMECMP, -1ul);
	EQUAL(READ_CSR(mip) >> 7 & 1, 0);
	/* wait for it, with interrupts off: WFI returns, nothing is taken */
	write64(MTIMECMP, read64(MTIME) + 100000);
	asm volatile("wfi");
	CHECK(read64(MTIME) >= read64(MTIMECMP));
	write64(MTIMECMP, -1ul);
	/* Sstc */
	EQUAL(try(S, do_load, MTIME, 0), NONE);
	asm volatile("csrs 0x30a, %0" : : "r"(1ul << 63));
	WRITE_CSR(mcounteren, 7);
	WRITE_CSR(mideleg, 0x222);
	WRITE_CSR(mie, 1 << 5);
	WRITE_CSR(0x14d, READ_CSR(time) + 500);
	WRITE_CSR(mideleg, 0); /* not delegated: M-mode gets it */
	EQUAL(try(S, enable_and_spin, 0, 0), INTERRUPT(5));
	WRITE_CSR(0x14d, -1ul);
	EQUAL(READ_CSR(mip) >> 5 & 1, 0);
	SET_CSR(mip, 1 << 5); /* read-only with Sstc on */
	EQUAL(READ_CSR(mip) >> 5 & 1, 0);
}

static void software(void)
{
	WRITE_CSR(mie, 1 << 3 | 1 << 7);
	write32(0x02000000, 1);
	write64(MTIMECMP, 0);
	EQUAL(try(M, machine_spin, 0, 0), INTERRUPT(3)); /* before the timer */
	write32(0x02000000, 0);
	EQUAL(try(M, machine_spin, 0, 0), INTERRUPT(7));
	write64(MTIMECMP, -1ul);
	WRITE_CSR(mie, 2);
	SET_CSR(mip, 2);
	EQUAL(try(S, enable_and_spin, 0, 0), INTERRUPT(1));
	CLEAR_CSR(mip, 2);
}

static void start_dma(uint32_t control, const void *from, void *to, uint64_t length)
{
	write64(DMA + 8, (uint64_t)from);
	write64(DMA + 16, (uint64_t)to);
	write64(DMA + 24, length);
	write32(DMA, control);
}

static void external(void)
{
	WRITE_CSR(mie, 1 << 11 | 1 << 9);
	write32(PLIC + 4 * 12, 3);
	write32(PLIC + 4 * 10, 5);
	write32(PLIC + 0x2000, 1 << 12 | 1 << 10); /* context 0: machine */
	write32(PLIC + 0x200000, 2);
	write8(UART + 1, 2); /* transmitter empty */
	for (unsigned int i = 0; i < 1024; i++)
		buffers[0][i] = i * 3;
	start_dma(3, buffers[0], buffers[1], sizeof(buffers[0]));
	EQUAL(read32(DMA + 4), 1);
	EQUAL(buffers[1][1023], 3069);
	EQUAL(try(M, machine_spin, 0, 0), INTERRUPT(11));
	EQUAL(read32(PLIC + 0x1000), 1 << 12 | 1 << 10);
	EQUAL(read32(PLIC + 0x200004), 10); /* the higher priority */
	EQUAL(read32(PLIC + 0x200004), 12);
	EQUAL(read32(PLIC + 0x200004), 0);
	EQUAL(READ_CSR(mip) >> 11 & 1, 0);
	write32(PLIC + 0x200004, 12); /* complete while the level is still up: again */
	EQUAL(READ_CSR(mip) >> 11 & 1, 1);
	EQUAL(read32(PLIC + 0x200004), 12);
	write32(DMA + 4, 3);
	write32(PLIC + 0x200004, 12);
	EQUAL(READ_CSR(mip) >> 11 & 1, 0);
	EQUAL(*(volatile uint8_t *)(UART + 2) & 15, 2);
	EQUAL(*(volatile uint8_t *)(UART + 2) & 15, 1); /* reading it took it away */
	write32(PLIC + 0x200004, 10);
	EQUAL(READ_CSR(mip) >> 11 & 1, 0);
	/* the supervisor's context; a threshold that holds it back */
	write32(PLIC + 0x2000, 0);
	write32(PLIC + 0x2080, 1 << 12);
	write32(PLIC + 0x201000, 3);
	start_dma(3, buffers[0], buffers[1], 8);
	EQUAL(READ_CSR(mip) >> 9 & 1, 0);
	write32(PLIC + 0x201000, 0);
	EQUAL(READ_CSR(mip) >> 9 & 1, 1);
	EQUAL(try(S, enable_and_spin, 0, 0), INTERRUPT(9));
	EQUAL(read32(PLIC + 0x201004), 12);
	write32(DMA + 4, 3);
	write32(PLIC + 0x201004, 12);
}

static void bus_error(void)
{
	start_dma(1, (void *)0x40000000, buffers[1], 64);
	EQUAL(read32(DMA + 4), 3);
	EQUAL(read64(DMA + 0x28), 0);
	write32(DMA + 4, 3);
	write64(DMA + 0x20, 0x0102030405060708ul);
	start_dma(1 | 1 << 2, NULL, buffers[1], 24);
	EQUAL(buffers[1][2], 0x0102030405060708ul);
	EQUAL(buffers[1][3], 9);
}

static void others(void)
{
	uint64_t low = read32(0x101000), high = read32(0x101004);

	CHECK((high << 32 | low) > 1700000000000000000ul);
	EQUAL(read32(0x10001000), 0x74726976);
	EQUAL(read32(0x10001004), 2);
	write8(UART + 4, 0x10); /* loop back */
	write8(UART, 'x');
	EQUAL(*(volatile uint8_t *)(UART + 5) & 1, 1);
	EQUAL(*(volatile uint8_t *)UART, 'x');
	EQUAL(*(volatile uint8_t *)(UART + 5) & 1, 0);
	write8(UART + 4, 0);
}

int main(void)
{
	timers();
	software();
	external();
	bus_error();
	others();
	return 0;
}
