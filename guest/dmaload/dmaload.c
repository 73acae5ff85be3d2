// SPDX-License-Identifier: GPL-2.0
/*
 * DMA without end into pages that the processor never writes, for tests that follow which pages a device wrote.
 *
 * dmatest fills its target before each copy, so a page whose DMA was overlooked is soon reported for the processor's write. Here
 * each copy maps a source and one page of a large pool, has the device copy, unmaps both, and compares. What a page must hold is
 * remembered elsewhere: before the device writes a page, what it wrote there last must still be there.
 *
 * Takes any channel that copies and that nobody has. `copies` and `errors` count; unloading the module ends it.
 */
#include <linux/completion.h>
#include <linux/dma-mapping.h>
#include <linux/dmaengine.h>
#include <linux/err.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/random.h>
#include <linux/slab.h>

/* Emulated, a copy takes as long as the machine has other things to do. */
#define PATIENCE (600 * HZ)

static unsigned int pages = 1024;
module_param(pages, uint, 0444);
MODULE_PARM_DESC(pages, "size of the pool");

static unsigned long copies;
module_param(copies, ulong, 0444);
MODULE_PARM_DESC(copies, "copies that were right");

static unsigned long errors;
module_param(errors, ulong, 0444);
MODULE_PARM_DESC(errors, "copies that failed or were wrong, and pages that did not hold what they should");

/* A page of the pool, and the number all of its words hold. */
struct target {
	struct page *page;
	u64 value;
};

static struct dma_chan *channel;
static struct task_struct *thread;
static struct page *source;
static struct target *targets;

static bool holds(const struct page *page, u64 value)
{
	const u64 *words = page_address(page);

	for (unsigned int i = 0; i < PAGE_SIZE / sizeof(*words); i++)
		if (READ_ONCE(words[i]) != value)
			return false;
	return true;
}

static void fill(struct page *page, u64 value)
{
	u64 *words = page_address(page);

	for (unsigned int i = 0; i < PAGE_SIZE / sizeof(*words); i++)
		words[i] = value;
}

static void finished(void *completion)
{
	complete(completion);
}

static bool copy_mapped(dma_addr_t to, dma_addr_t from)
{
	DECLARE_COMPLETION_ONSTACK(done);
	struct dma_async_tx_descriptor *work;

	work = dmaengine_prep_dma_memcpy(channel, to, from, PAGE_SIZE, DMA_CTRL_ACK | DMA_PREP_INTERRUPT);
	if (!work)
		return false;
	work->callback = finished;
	work->callback_param = &done;
	if (dma_submit_error(dmaengine_submit(work)))
		return false;
	dma_async_issue_pending(channel);
	if (wait_for_completion_timeout(&done, PATIENCE))
		return true;
	/* The completion is on this stack: nobody may report any more. */
	dmaengine_terminate_sync(channel);
	return false;
}

static bool copy(struct page *to, struct page *from)
{
	struct device *dev = dmaengine_get_dma_device(channel);
	dma_addr_t read_at, write_at;
	bool good = false;

	read_at = dma_map_page(dev, from, 0, PAGE_SIZE, DMA_TO_DEVICE);
	if (dma_mapping_error(dev, read_at))
		return false;
	write_at = dma_map_page(dev, to, 0, PAGE_SIZE, DMA_FROM_DEVICE);
	if (!dma_mapping_error(dev, write_at)) {
		good = copy_mapped(write_at, read_at);
		dma_unmap_page(dev, write_at, PAGE_SIZE, DMA_FROM_DEVICE);
	}
	dma_unmap_page(dev, read_at, PAGE_SIZE, DMA_TO_DEVICE);
	return good;
}

static int load(void *unused)
{
	u64 value = 0;

	while (!kthread_should_stop()) {
		struct target *target = &targets[get_random_u32_below(pages)];
		bool good;

		fill(source, ++value);
		good = holds(target->page, target->value) && copy(target->page, source) &&
		       holds(target->page, value);
		target->value = value;
		if (good)
			WRITE_ONCE(copies, copies + 1);
		else
			WRITE_ONCE(errors, errors + 1);
		cond_resched();
	}
	return 0;
}

static void release(void)
{
	for (unsigned int i = 0; targets && i < pages && targets[i].page; i++)
		__free_page(targets[i].page);
	kvfree(targets);
	if (source)
		__free_page(source);
	if (channel)
		dma_release_channel(channel);
}

static int prepare(void)
{
	dma_cap_mask_t wanted;

	dma_cap_zero(wanted);
	dma_cap_set(DMA_MEMCPY, wanted);
	channel = dma_request_channel(wanted, NULL, NULL);
	if (!channel)
		return -ENODEV;
	source = alloc_page(GFP_KERNEL);
	targets = kvcalloc(pages, sizeof(*targets), GFP_KERNEL);
	if (!source || !targets)
		return -ENOMEM;
	for (unsigned int i = 0; i < pages; i++) {
		targets[i].page = alloc_page(GFP_KERNEL | __GFP_ZERO);
		if (!targets[i].page)
			return -ENOMEM;
	}
	thread = kthread_run(load, NULL, "dmaload");
	return PTR_ERR_OR_ZERO(thread);
}

static int __init dmaload_init(void)
{
	int ret = pages ? prepare() : -EINVAL;

	if (ret)
		release();
	return ret;
}

static void __exit dmaload_exit(void)
{
	kthread_stop(thread);
	release();
	pr_info("dmaload: %lu copies, %lu errors\n", copies, errors);
}

module_init(dmaload_init);
module_exit(dmaload_exit);
MODULE_DESCRIPTION("DMA without end into pages the processor never writes");
MODULE_LICENSE("GPL");
