/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The device tree that describes the board, written with libfdt's sequential functions.
 */
#include <errno.h>
#include <inttypes.h>
#include <libfdt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "checkers.h"
#include "loader.h"

#define FDT_SIZE 65536

static void cells(void *fdt, const char *name, unsigned int count, ...)
{
	uint32_t v[64];
	va_list list;

	va_start(list, count);
	for (unsigned int i = 0; i < count && i < 64; i++)
		v[i] = cpu_to_fdt32(va_arg(list, uint32_t));
	va_end(list);
	fdt_property(fdt, name, v, (int)(4 * count));
}

static void reg(void *fdt, uint64_t address, uint64_t size)
{
	cells(fdt, "reg", 4, (uint32_t)(address >> 32), (uint32_t)address, (uint32_t)(size >> 32),
	      (uint32_t)size);
}

static void begin(void *fdt, const char *name, uint64_t address)
{
	char full[64];

	snprintf(full, sizeof(full), "%s@%" PRIx64, name, address);
	fdt_begin_node(fdt, full);
}

static void strings(void *fdt, const char *name, const char *list, size_t length)
{
	fdt_property(fdt, name, list, (int)length);
}

static void interrupt(const struct board *b, void *fdt, uint32_t irq)
{
	if (b->plic) {
		cells(fdt, "interrupt-parent", 1, PHANDLE_IRQ);
		cells(fdt, "interrupts", 1, irq);
	} else {
		cells(fdt, "interrupt-parent", 1, PHANDLE_APLIC_S);
		cells(fdt, "interrupts", 2, irq, 4u);
	}
}

static const char *isa(const struct board *b)
{
	return b->aia ? "rv64imafdc_zicbom_zicboz_zicntr_zicsr_zifencei_zba_zbb_zbs_smaia_ssaia_sstc_svadu_svinval"
		      : "rv64imafdc_zicbom_zicboz_zicntr_zicsr_zifencei_zba_zbb_zbs_sstc_svadu_svinval";
}

/* The same as a list of strings, which newer kernels prefer. */
static void isa_extensions(const struct board *b, void *fdt)
{
	char list[256];
	size_t length = 0;
	const char *text = isa(b) + 4;
	static const char letters[] = "imafdc";

	for (const char *p = letters; *p; p++) {
		list[length++] = *p;
		list[length++] = 0;
	}
	for (text = strchr(text, '_'); text; text = strchr(text, '_')) {
		size_t n = strcspn(++text, "_");

		memcpy(list + length, text, n);
		list[length + n] = 0;
		length += n + 1;
	}
	fdt_property_string(fdt, "riscv,isa-base", "rv64i");
	strings(fdt, "riscv,isa-extensions", list, length);
}

/* RISC-V Worlds: what each hart may be (both the properties of the binding and the node older
 * firmware reads). */
static void worlds(const struct board *b, void *fdt)
{
	uint32_t list[32];
	unsigned int count = 0;

	if (!b->worlds_on)
		return;
	cells(fdt, "riscv,pmwid", 1, b->worlds.mwid);
	cells(fdt, "riscv,pmlwidlist", 1, b->worlds.mwidlist);
	fdt_begin_node(fdt, "worldguard");
	fdt_property_string(fdt, "compatible", "riscv,wgcpu");
	cells(fdt, "mwid", 1, b->worlds.mwid);
	for (uint32_t wid = 0; wid < b->worlds.worlds; wid++)
		if (b->worlds.mwidlist >> wid & 1)
			list[count++] = cpu_to_fdt32(wid);
	fdt_property(fdt, "mwidlist", list, (int)(4 * count));
	fdt_end_node(fdt);
}

static void cpus(const struct board *b, void *fdt)
{
	fdt_begin_node(fdt, "cpus");
	if (b->worlds_on) {
		cells(fdt, "riscv,nworlds", 1, b->worlds.worlds);
		if (b->worlds.trusted_wid != VIOMMU_NO_WID)
			cells(fdt, "sifive,trustedwid", 1, b->worlds.trusted_wid);
	}
	cells(fdt, "#address-cells", 1, 1);
	cells(fdt, "#size-cells", 1, 0);
	cells(fdt, "timebase-frequency", 1, (uint32_t)BOARD_HZ);
	for (unsigned int i = 0; i < b->harts; i++) {
		begin(fdt, "cpu", i);
		fdt_property_string(fdt, "device_type", "cpu");
		cells(fdt, "reg", 1, i);
		cells(fdt, "phandle", 1, PHANDLE_CPU + i);
		fdt_property_string(fdt, "status", "okay");
		fdt_property_string(fdt, "compatible", "riscv");
		fdt_property_string(fdt, "riscv,isa", isa(b));
		isa_extensions(b, fdt);
		fdt_property_string(fdt, "mmu-type", "riscv,sv57");
		cells(fdt, "riscv,cbom-block-size", 1, 64);
		cells(fdt, "riscv,cboz-block-size", 1, 64);
		worlds(b, fdt);
		fdt_begin_node(fdt, "interrupt-controller");
		cells(fdt, "#interrupt-cells", 1, 1);
		fdt_property(fdt, "interrupt-controller", NULL, 0);
		fdt_property_string(fdt, "compatible", "riscv,cpu-intc");
		cells(fdt, "phandle", 1, PHANDLE_INTC + i);
		fdt_end_node(fdt);
		fdt_end_node(fdt);
	}
	fdt_end_node(fdt);
}

/* {phandle of the hart's controller, irq} for each hart and each irq given. */
static void extended(const struct board *b, void *fdt, unsigned int count, const uint32_t *irqs)
{
	uint32_t v[BOARD_HARTS * 4];
	unsigned int n = 0;

	for (unsigned int i = 0; i < b->harts; i++) {
		for (unsigned int k = 0; k < count; k++) {
			v[n++] = cpu_to_fdt32(PHANDLE_INTC + i);
			v[n++] = cpu_to_fdt32(irqs[k]);
		}
	}
	fdt_property(fdt, "interrupts-extended", v, (int)(4 * n));
}

static void interrupt_controllers(const struct board *b, void *fdt)
{
	static const uint32_t clint[] = { IRQ_MSI, IRQ_MTI }, plic[] = { IRQ_MEI, IRQ_SEI };
	static const char clint_names[] = "sifive,clint0\0riscv,clint0",
			  plic_names[] = "sifive,plic-1.0.0\0riscv,plic0";

	begin(fdt, "clint", ADDR_ACLINT);
	strings(fdt, "compatible", clint_names, sizeof(clint_names));
	reg(fdt, ADDR_ACLINT, 0x10000);
	extended(b, fdt, 2, clint);
	fdt_end_node(fdt);
	if (!b->plic)
		return;
	begin(fdt, "plic", ADDR_PLIC);
	strings(fdt, "compatible", plic_names, sizeof(plic_names));
	cells(fdt, "#interrupt-cells", 1, 1);
	cells(fdt, "#address-cells", 1, 0);
	fdt_property(fdt, "interrupt-controller", NULL, 0);
	reg(fdt, ADDR_PLIC, 0x600000);
	extended(b, fdt, 2, plic);
	cells(fdt, "riscv,ndev", 1, BOARD_IRQS - 1);
	cells(fdt, "phandle", 1, PHANDLE_IRQ);
	fdt_end_node(fdt);
}

static void imsic(const struct board *b, void *fdt, uint64_t base, uint32_t irq, uint32_t phandle)
{
	begin(fdt, "interrupt-controller", base);
	fdt_property_string(fdt, "compatible", "riscv,imsics");
	reg(fdt, base, 0x1000ull * b->harts);
	fdt_property(fdt, "interrupt-controller", NULL, 0);
	cells(fdt, "#interrupt-cells", 1, 0);
	fdt_property(fdt, "msi-controller", NULL, 0);
	cells(fdt, "#msi-cells", 1, 0);
	extended(b, fdt, 1, &irq);
	cells(fdt, "riscv,num-ids", 1, 255);
	cells(fdt, "phandle", 1, phandle);
	fdt_end_node(fdt);
}

static void aplic(const struct board *b, void *fdt, uint64_t base, uint32_t irq, uint32_t phandle,
		  uint32_t msi, bool root)
{
	begin(fdt, "interrupt-controller", base);
	fdt_property_string(fdt, "compatible", "riscv,aplic");
	reg(fdt, base, 0x8000);
	cells(fdt, "#interrupt-cells", 1, 2);
	cells(fdt, "#address-cells", 1, 0);
	fdt_property(fdt, "interrupt-controller", NULL, 0);
	if (b->options.aia == AIA_IMSIC)
		cells(fdt, "msi-parent", 1, msi);
	else
		extended(b, fdt, 1, &irq);
	cells(fdt, "riscv,num-sources", 1, BOARD_IRQS - 1);
	if (root) {
		cells(fdt, "riscv,children", 1, PHANDLE_APLIC_S);
		cells(fdt, "riscv,delegation", 3, PHANDLE_APLIC_S, 1, BOARD_IRQS - 1);
		cells(fdt, "riscv,delegate", 3, PHANDLE_APLIC_S, 1, BOARD_IRQS - 1);
	}
	cells(fdt, "phandle", 1, phandle);
	fdt_end_node(fdt);
}

static void advanced_controllers(const struct board *b, void *fdt)
{
	if (!b->aia)
		return;
	if (b->options.aia == AIA_IMSIC) {
		imsic(b, fdt, ADDR_IMSIC_M, IRQ_MEI, PHANDLE_IMSIC_M);
		imsic(b, fdt, ADDR_IMSIC_S, IRQ_SEI, PHANDLE_IMSIC_S);
	}
	aplic(b, fdt, ADDR_APLIC_M, IRQ_MEI, PHANDLE_IRQ, PHANDLE_IMSIC_M, true);
	aplic(b, fdt, ADDR_APLIC_S, IRQ_SEI, PHANDLE_APLIC_S, PHANDLE_IMSIC_S, false);
}

static void finisher(void *fdt)
{
	static const char names[] = "sifive,test1\0sifive,test0\0syscon";
	static const struct {
		const char *node;
		uint32_t value;
	} ends[] = {
		{ "poweroff", 0x5555 },
		{ "reboot", 0x7777 },
	};

	begin(fdt, "test", ADDR_FINISHER);
	strings(fdt, "compatible", names, sizeof(names));
	reg(fdt, ADDR_FINISHER, 0x1000);
	cells(fdt, "phandle", 1, PHANDLE_FINISHER);
	fdt_end_node(fdt);
	for (unsigned int i = 0; i < 2; i++) {
		char compatible[32];

		fdt_begin_node(fdt, ends[i].node);
		snprintf(compatible, sizeof(compatible), "syscon-%s", ends[i].node);
		fdt_property_string(fdt, "compatible", compatible);
		cells(fdt, "regmap", 1, PHANDLE_FINISHER);
		cells(fdt, "offset", 1, 0);
		cells(fdt, "value", 1, ends[i].value);
		fdt_end_node(fdt);
	}
}

static void devices(const struct board *b, void *fdt)
{
	begin(fdt, "serial", ADDR_UART);
	fdt_property_string(fdt, "compatible", "ns16550a");
	reg(fdt, ADDR_UART, 0x100);
	cells(fdt, "clock-frequency", 1, 3686400);
	interrupt(b, fdt, BOARD_IRQ_UART);
	cells(fdt, "phandle", 1, PHANDLE_UART);
	fdt_end_node(fdt);
	/* both banks in one node, each a pair of 16-bit chips */
	begin(fdt, "flash", ADDR_FLASH);
	fdt_property_string(fdt, "compatible", "cfi-flash");
	cells(fdt, "reg", 8, 0, ADDR_FLASH, 0, FLASH_SIZE / 2, 0, ADDR_FLASH + FLASH_SIZE / 2, 0,
	      FLASH_SIZE / 2);
	cells(fdt, "bank-width", 1, 4);
	cells(fdt, "phandle", 1, PHANDLE_FLASH);
	fdt_end_node(fdt);
	begin(fdt, "rtc", ADDR_RTC);
	fdt_property_string(fdt, "compatible", "google,goldfish-rtc");
	reg(fdt, ADDR_RTC, 0x1000);
	interrupt(b, fdt, BOARD_IRQ_RTC);
	fdt_end_node(fdt);
	for (unsigned int i = 0; i < BOARD_VIRTIO; i++) {
		begin(fdt, "virtio_mmio", ADDR_VIRTIO + 0x1000ull * i);
		fdt_property_string(fdt, "compatible", "virtio,mmio");
		reg(fdt, ADDR_VIRTIO + 0x1000ull * i, 0x1000);
		interrupt(b, fdt, BOARD_IRQ_VIRTIO + i);
		fdt_end_node(fdt);
	}
	begin(fdt, "dma-controller", ADDR_DMA);
	fdt_property_string(fdt, "compatible", "viommu,dma-1");
	reg(fdt, ADDR_DMA, 0x1000);
	interrupt(b, fdt, BOARD_IRQ_DMA);
	fdt_end_node(fdt);
}

static void chosen(void *fdt, const char *append, uint64_t initrd, uint64_t initrd_length)
{
	char path[64];

	fdt_begin_node(fdt, "chosen");
	snprintf(path, sizeof(path), "/soc/serial@%x", ADDR_UART);
	fdt_property_string(fdt, "stdout-path", path);
	if (append)
		fdt_property_string(fdt, "bootargs", append);
	if (initrd_length) {
		cells(fdt, "linux,initrd-start", 2, (uint32_t)(initrd >> 32), (uint32_t)initrd);
		cells(fdt, "linux,initrd-end", 2, (uint32_t)((initrd + initrd_length) >> 32),
		      (uint32_t)(initrd + initrd_length));
	}
	fdt_end_node(fdt);
}

int fdt_build(const struct board *b, const char *append, uint64_t initrd, uint64_t initrd_length,
	      void **blob, size_t *length)
{
	void *fdt = calloc(1, FDT_SIZE);
	int r;

	if (!fdt)
		return -ENOMEM;
	fdt_create(fdt, FDT_SIZE);
	fdt_finish_reservemap(fdt);
	fdt_begin_node(fdt, "");
	cells(fdt, "#address-cells", 1, 2);
	cells(fdt, "#size-cells", 1, 2);
	fdt_property_string(fdt, "compatible", "riscv-virtio");
	fdt_property_string(fdt, "model", "riscv-virtio,viommu");
	chosen(fdt, append, initrd, initrd_length);
	begin(fdt, "memory", ADDR_DRAM);
	fdt_property_string(fdt, "device_type", "memory");
	reg(fdt, ADDR_DRAM, b->options.memory);
	cells(fdt, "phandle", 1, PHANDLE_MEMORY);
	fdt_end_node(fdt);
	cpus(b, fdt);
	fdt_begin_node(fdt, "soc");
	cells(fdt, "#address-cells", 1, 2);
	cells(fdt, "#size-cells", 1, 2);
	fdt_property_string(fdt, "compatible", "simple-bus");
	fdt_property(fdt, "ranges", NULL, 0);
	interrupt_controllers(b, fdt);
	advanced_controllers(b, fdt);
	devices(b, fdt);
	finisher(fdt);
	checkers_describe(b, fdt, PHANDLE_IRQ);
	fdt_end_node(fdt);
	fdt_end_node(fdt);
	r = fdt_finish(fdt);
	if (r) {
		free(fdt);
		return -ENOSPC;
	}
	*blob = fdt;
	*length = fdt_totalsize(fdt);
	return 0;
}
