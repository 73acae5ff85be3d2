/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Page requests of the host's devices, on their way to the guest and back.
 *
 * Each group that is handed to the guest is on record with the host's cookie until it is answered: by the guest, by its time running
 * out, or because its PASID or the device goes. A full queue is answered "success", so that the device tries again; whatever else
 * keeps a request from the guest is answered "invalid". So none stays open, and none is answered twice.
 */
#include <errno.h>

#include "memory/alloc.h"
#include "passthrough/internal.h"

enum { READ_AT_ONCE = 64 };

int relay_open(struct viommu_passthrough *passthrough)
{
	struct hub *hub = passthrough->hub;
	struct viommu_host *host = passthrough->device->host;
	struct fault_queue *queue;
	int ret;

	if (!hub->unit->options.page_request || !passthrough->info.page_requests ||
	    !passthrough->info.nesting || !passthrough->info.ats)
		return 0;
	for (queue = hub->queues; queue && queue->host != host; queue = queue->next)
		;
	if (!queue) {
		queue = viommu_zalloc(sizeof(*queue));
		if (!queue)
			return -ENOMEM;
		queue->host = host;
		ret = viommu_host_faults_create(host, &queue->id, &queue->fd);
		if (ret) {
			viommu_free(queue);
			return ret;
		}
		queue->next = hub->queues;
		hub->queues = queue;
	}
	queue->references++;
	passthrough->faults = queue;
	return 0;
}

static struct pending_page *take(struct viommu_passthrough *passthrough, uint32_t pasid, uint16_t group)
{
	struct pending_page **at, *page;

	pthread_mutex_lock(&passthrough->pages_lock);
	for (at = &passthrough->pages; (page = *at); at = &page->next) {
		if (page->pasid == pasid && page->group == group) {
			*at = page->next;
			break;
		}
	}
	pthread_mutex_unlock(&passthrough->pages_lock);
	return page;
}

static void reject(struct viommu_passthrough *passthrough, uint32_t cookie)
{
	passthrough->statistics.page_rejects++;
	viommu_host_faults_answer(passthrough->faults->host, passthrough->faults->fd, cookie, false);
}

bool relay_answer(struct viommu_passthrough *passthrough, uint32_t pasid, uint16_t group,
		  enum viommu_response_code code)
{
	struct pending_page *page;

	if (!passthrough->faults)
		return false;
	page = take(passthrough, pasid, group);
	if (!page)
		return false; /* late, or never asked */
	passthrough->statistics.page_answers++;
	/* The host knows no "failure": a device that gets "invalid" gives up too. */
	viommu_host_faults_answer(passthrough->faults->host, passthrough->faults->fd, page->cookie,
				  code == VIOMMU_RESPONSE_SUCCESS);
	viommu_free(page);
	return true;
}

void relay_forget(struct viommu_passthrough *passthrough, uint32_t pasid, bool all)
{
	struct pending_page **at, *page, *gone = NULL;

	if (!passthrough->faults)
		return;
	pthread_mutex_lock(&passthrough->pages_lock);
	for (at = &passthrough->pages; (page = *at);) {
		if (!all && page->pasid != pasid) {
			at = &page->next;
			continue;
		}
		*at = page->next;
		page->next = gone;
		gone = page;
	}
	pthread_mutex_unlock(&passthrough->pages_lock);
	for (; gone; gone = page) {
		page = gone->next;
		/* The host has usually answered by itself; then this is refused and does no harm. */
		reject(passthrough, gone->cookie);
		viommu_free(gone);
	}
}

void relay_close(struct viommu_passthrough *passthrough)
{
	struct fault_queue *queue = passthrough->faults, **link;

	if (!queue)
		return;
	relay_forget(passthrough, 0, true);
	passthrough->faults = NULL;
	if (--queue->references)
		return;
	for (link = &passthrough->hub->queues; *link != queue; link = &(*link)->next)
		;
	*link = queue->next;
	viommu_host_faults_destroy(queue->host, queue->id, queue->fd);
	viommu_free(queue);
}

static struct viommu_passthrough *find_device(struct hub *hub, const struct fault_queue *queue, uint32_t id)
{
	for (uint32_t i = 0; i < hub->device_count; i++) {
		struct viommu_passthrough *passthrough = hub->devices[i];

		if (passthrough && passthrough->faults == queue && passthrough->device->id == id)
			return passthrough;
	}
	return NULL;
}

/* Put a group on record; an older one of the same number is over. */
static bool record(struct viommu_passthrough *passthrough, const struct viommu_host_fault *fault,
		   uint64_t deadline)
{
	struct pending_page *page = take(passthrough, fault->pasid, (uint16_t)fault->group);

	if (page && page->cookie != fault->cookie) {
		reject(passthrough, page->cookie);
	} else if (!page) {
		page = viommu_zalloc(sizeof(*page));
		if (!page)
			return false;
	}
	page->pasid = fault->pasid;
	page->group = (uint16_t)fault->group;
	page->cookie = fault->cookie;
	page->deadline = deadline;
	pthread_mutex_lock(&passthrough->pages_lock);
	page->next = passthrough->pages;
	passthrough->pages = page;
	pthread_mutex_unlock(&passthrough->pages_lock);
	return true;
}

static void relay(struct viommu_passthrough *passthrough, const struct viommu_host_fault *fault,
		  uint64_t now)
{
	struct pending_page *page;
	int ret = -ENOMEM;

	/* VT-d 7.5.1: the group's number has 9 bits. */
	if (fault->group > 0x1ff)
		ret = -EINVAL;
	else if (record(passthrough, fault, now + passthrough->options.page_timeout))
		ret = vtd_listener_page_request(passthrough->hub->unit, passthrough->rid, fault->pasid,
						fault->address, fault->access, (uint16_t)fault->group,
						fault->last);
	if (!ret) {
		passthrough->statistics.page_requests++;
		return;
	}
	page = take(passthrough, fault->pasid, (uint16_t)fault->group);
	if (ret == -ENOSPC && page) {
		passthrough->statistics.page_rejects++;
		viommu_host_faults_answer(passthrough->faults->host, passthrough->faults->fd,
					  fault->cookie, true);
	} else {
		reject(passthrough, fault->cookie);
	}
	viommu_free(page);
}

/* Reject what has waited too long; lower *next to the earliest deadline of the rest. */
static void expire(struct viommu_passthrough *passthrough, uint64_t now, uint64_t *next)
{
	struct pending_page **at, *page, *gone = NULL;

	pthread_mutex_lock(&passthrough->pages_lock);
	for (at = &passthrough->pages; (page = *at);) {
		if (page->deadline > now) {
			if (page->deadline < *next)
				*next = page->deadline;
			at = &page->next;
			continue;
		}
		*at = page->next;
		page->next = gone;
		gone = page;
	}
	pthread_mutex_unlock(&passthrough->pages_lock);
	for (; gone; gone = page) {
		page = gone->next;
		passthrough_log(passthrough, "the guest has not answered a page request in %u ms",
				passthrough->options.page_timeout);
		reject(passthrough, gone->cookie);
		viommu_free(gone);
	}
}

int viommu_passthrough_fault_fd(struct viommu_passthrough *passthrough)
{
	return passthrough->faults ? passthrough->faults->fd : -1;
}

int viommu_passthrough_work(struct viommu_passthrough *passthrough, uint64_t now)
{
	struct viommu_host_fault faults[READ_AT_ONCE];
	struct hub *hub = passthrough->hub;
	struct fault_queue *queue = passthrough->faults;
	uint64_t next = UINT64_MAX;
	int count = 0;

	if (!queue)
		return -1;
	vtd_unit_enter(hub->unit);
	/* One batch a call: the caller polls again, and a device that only asks holds nobody up. */
	count = viommu_host_faults_read(queue->host, queue->fd, faults, READ_AT_ONCE);
	for (int i = 0; i < count; i++) {
		struct viommu_passthrough *device = find_device(hub, queue, faults[i].device);

		if (device)
			relay(device, &faults[i], now);
		else if (faults[i].last)
			viommu_host_faults_answer(queue->host, queue->fd, faults[i].cookie, false);
	}
	for (uint32_t i = 0; i < hub->device_count; i++) {
		if (hub->devices[i] && hub->devices[i]->faults == queue)
			expire(hub->devices[i], now, &next);
	}
	vtd_unit_leave(hub->unit);
	if (count == READ_AT_ONCE)
		return 0;
	return next == UINT64_MAX ? -1 : (int)(next - now > INT32_MAX ? INT32_MAX : next - now);
}
