/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Page requests of the model. Requests gather in groups; a group is handed out when its last request is there, whole, and is
 * answered by its cookie. What is outstanding when its attachment goes is answered "invalid", as the kernel does.
 */
#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "host/model.h"
#include "memory/alloc.h"

static void notify(const struct model_faults *faults)
{
	uint64_t one = 1;

	/* Cannot block: the counter is read to zero whenever the queue is read. */
	if (write(faults->fd, &one, sizeof(one)) < 0)
		return;
}

int model_faults_create(struct viommu_host *base, uint32_t *id, int *fd)
{
	struct model_host *host = model_host(base);
	struct model_faults *faults;
	int ret;

	if (host->options.type1)
		return -EOPNOTSUPP;
	faults = viommu_zalloc(sizeof(*faults));
	if (!faults)
		return -ENOMEM;
	faults->object.kind = MODEL_FAULTS;
	faults->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (faults->fd < 0) {
		ret = -errno;
		viommu_free(faults);
		return ret;
	}
	pthread_mutex_lock(&host->lock);
	ret = model_add_object(host, &faults->object, id);
	if (!ret) {
		faults->next = host->queues;
		host->queues = faults;
	}
	pthread_mutex_unlock(&host->lock);
	if (ret) {
		close(faults->fd);
		viommu_free(faults);
		return ret;
	}
	*fd = faults->fd;
	return 0;
}

static void free_group(struct model_group *group)
{
	while (group->requests) {
		struct model_request *next = group->requests->next;

		viommu_free(group->requests);
		group->requests = next;
	}
	viommu_free(group);
}

void model_faults_free(struct model_faults *faults)
{
	while (faults->groups) {
		struct model_group *next = faults->groups->next;

		free_group(faults->groups);
		faults->groups = next;
	}
	close(faults->fd);
	viommu_free(faults);
}

void model_faults_destroy(struct viommu_host *base, uint32_t id, int fd)
{
	struct model_host *host = model_host(base);
	struct model_faults *faults, **at;

	pthread_mutex_lock(&host->lock);
	faults = (struct model_faults *)model_object(host, id, MODEL_FAULTS);
	if (faults && !faults->object.users) {
		model_drop_object(host, id);
		for (at = &host->queues; *at != faults; at = &(*at)->next)
			;
		*at = faults->next;
		model_faults_free(faults);
	}
	pthread_mutex_unlock(&host->lock);
}

static struct model_faults *find(struct model_host *host, int fd)
{
	struct model_faults *faults = host->queues;

	while (faults && faults->fd != fd)
		faults = faults->next;
	return faults;
}

static int read_locked(struct model_faults *faults, struct viommu_host_fault *result, uint32_t count)
{
	uint32_t done = 0;

	for (struct model_group *group = faults->groups; group; group = group->next) {
		uint32_t at = done + group->count;

		if (!group->complete || group->cookie || group->answered)
			continue;
		if (group->count > count - done) {
			if (!done)
				return -EINVAL; /* does not fit even alone */
			notify(faults);
			break;
		}
		group->cookie = ++faults->next_cookie;
		/* The list is newest first. */
		for (struct model_request *request = group->requests; request; request = request->next) {
			result[--at] = request->fault;
			result[at].cookie = group->cookie;
		}
		done += group->count;
	}
	return (int)done;
}

int model_faults_read(struct viommu_host *base, int fd, struct viommu_host_fault *result, uint32_t count)
{
	struct model_host *host = model_host(base);
	struct model_faults *faults;
	uint64_t events;
	int ret = -EBADF;

	pthread_mutex_lock(&host->lock);
	faults = find(host, fd);
	if (faults) {
		if (read(fd, &events, sizeof(events)) < 0)
			events = 0; /* nothing new; look all the same */
		ret = read_locked(faults, result, count);
	}
	pthread_mutex_unlock(&host->lock);
	return ret;
}

int model_faults_answer(struct viommu_host *base, int fd, uint32_t cookie, bool success)
{
	struct model_host *host = model_host(base);
	struct model_faults *faults;
	int ret;

	pthread_mutex_lock(&host->lock);
	ret = model_gate(host, VIOMMU_HOST_FAULTS_ANSWER);
	faults = find(host, fd);
	if (!ret)
		ret = -EINVAL;
	else
		faults = NULL;
	for (struct model_group *group = faults ? faults->groups : NULL; group; group = group->next) {
		if (group->cookie != cookie || group->answered)
			continue;
		group->answered = true;
		group->success = success;
		ret = 0;
		break;
	}
	pthread_mutex_unlock(&host->lock);
	return ret;
}

void model_faults_flush(struct model_host *host, const struct model_device *device, uint32_t pasid)
{
	for (struct model_faults *faults = host->queues; faults; faults = faults->next) {
		for (struct model_group *group = faults->groups; group; group = group->next) {
			if (group->device != device || group->pasid != pasid || group->answered)
				continue;
			group->answered = true;
			group->success = false;
		}
	}
}

static struct model_faults *queue_of(struct model_host *host, const struct model_device *device,
				     uint32_t pasid)
{
	struct model_nested *nested = (struct model_nested *)model_object(
		host, model_attached(device, pasid), MODEL_NESTED);

	if (!nested || !nested->first.faults)
		return NULL;
	return (struct model_faults *)model_object(host, nested->first.faults, MODEL_FAULTS);
}

static int request_locked(struct model_faults *faults, struct model_device *device,
			  const struct viommu_host_fault *fault)
{
	struct model_request *request = viommu_zalloc(sizeof(*request));
	struct model_group *group, **end;

	if (!request)
		return -ENOMEM;
	for (end = &faults->groups; (group = *end); end = &group->next) {
		if (group->device == device && group->pasid == fault->pasid &&
		    group->group == fault->group && !group->complete)
			break;
	}
	if (!group) {
		group = viommu_zalloc(sizeof(*group));
		if (!group) {
			viommu_free(request);
			return -ENOMEM;
		}
		group->device = device;
		group->pasid = fault->pasid;
		group->group = fault->group;
		*end = group;
	}
	request->fault = *fault;
	request->next = group->requests;
	group->requests = request;
	group->count++;
	group->complete = fault->last;
	if (group->complete)
		notify(faults);
	return 0;
}

int viommu_host_model_page_request(struct viommu_host_device *base, uint32_t pasid, uint64_t address,
				   uint32_t access, uint32_t group, bool last)
{
	struct model_host *host = model_host(base->host);
	struct viommu_host_fault fault = {
		.device = base->id, .pasid = pasid, .group = group, .access = access,
		.address = address & ~UINT64_C(4095), .last = last,
	};
	struct model_faults *faults;
	int ret = -EFAULT;

	pthread_mutex_lock(&host->lock);
	faults = queue_of(host, model_device(base), pasid);
	if (faults)
		ret = request_locked(faults, model_device(base), &fault);
	pthread_mutex_unlock(&host->lock);
	return ret;
}

static int take_answer(struct model_faults *faults, const struct model_device *device, uint32_t pasid,
		       uint32_t number, bool *success)
{
	for (struct model_group **at = &faults->groups; *at; at = &(*at)->next) {
		struct model_group *group = *at;

		if (group->device != device || group->pasid != pasid || group->group != number ||
		    !group->answered)
			continue;
		*success = group->success;
		*at = group->next;
		free_group(group);
		return 1;
	}
	return 0;
}

int viommu_host_model_page_answer(struct viommu_host_device *base, uint32_t pasid, uint32_t group,
				  bool *success)
{
	struct model_host *host = model_host(base->host);
	int found = 0;

	pthread_mutex_lock(&host->lock);
	for (struct model_faults *faults = host->queues; faults && !found; faults = faults->next)
		found = take_answer(faults, model_device(base), pasid, group, success);
	pthread_mutex_unlock(&host->lock);
	return found;
}
