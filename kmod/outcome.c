// SPDX-License-Identifier: GPL-2.0
/* The result of an operation and its reason. */

#include <linux/errno.h>
#include <linux/kernel.h>

#include "outcome.h"

static const int lp_errnos[] = {
	[LPATCH_REFUSAL_NONE] = 0,
	[LPATCH_REFUSAL_TARGET_GONE] = ESRCH,
	[LPATCH_REFUSAL_TARGET_KERNEL] = EINVAL,
	[LPATCH_REFUSAL_TARGET_CHANGED] = ESRCH,
	[LPATCH_REFUSAL_IMAGE_MISSING] = ENOEXEC,
	[LPATCH_REFUSAL_IMAGE_TWICE] = ENOTUNIQ,
	[LPATCH_REFUSAL_NO_GAP] = ENOSPC,
	[LPATCH_REFUSAL_MAP_FAILED] = EIO,
	[LPATCH_REFUSAL_FIXUP_RANGE] = ERANGE,
	[LPATCH_REFUSAL_SITE_UNREADABLE] = EFAULT,
	[LPATCH_REFUSAL_BYTES_DIFFER] = EILSEQ,
	[LPATCH_REFUSAL_SITE_TAKEN] = EADDRINUSE,
	[LPATCH_REFUSAL_THREAD_ACTIVE] = EBUSY,
	[LPATCH_REFUSAL_THREAD_RUNNING] = EBUSY,
	[LPATCH_REFUSAL_THREAD_SIGNAL_STACK] = EBUSY,
	[LPATCH_REFUSAL_STACK_UNREADABLE] = EBUSY,
	[LPATCH_REFUSAL_DEADLINE] = ETIME,
	[LPATCH_REFUSAL_NO_MEMORY] = ENOMEM,
	[LPATCH_REFUSAL_CANCELED] = ECANCELED,
	[LPATCH_REFUSAL_NOT_LOADED] = ENOENT,
	[LPATCH_REFUSAL_NOT_APPLIED] = EALREADY,
	[LPATCH_REFUSAL_ALREADY] = EALREADY,
	[LPATCH_REFUSAL_STILL_APPLIED] = EBUSY,
	[LPATCH_REFUSAL_IMAGE_MOVED] = ESTALE,
	[LPATCH_REFUSAL_PATCH_MISSING] = ESTALE,
	[LPATCH_REFUSAL_COVERED] = EBUSY,
	[LPATCH_REFUSAL_PINNED] = EBUSY,
	[LPATCH_REFUSAL_UNSIGNED] = EKEYREJECTED,
	[LPATCH_REFUSAL_BROKEN] = ENOTRECOVERABLE,
};

/* Return: the positive errno of a refusal. */
int lpatch_refusal_errno(u32 refusal)
{
	return lp_errnos[refusal];
}

/* Refuses an operation with a sentence that gives the reason. Return: the negative errno. */
int lpatch_refuse(struct lp_outcome *out, u32 refusal, const char *fmt, ...)
{
	va_list args;

	out->refusal = refusal;
	va_start(args, fmt);
	vscnprintf(out->message, sizeof(out->message), fmt, args);
	va_end(args);
	return -lp_errnos[refusal];
}

int lpatch_refuse_canceled(struct lp_outcome *out)
{
	return lpatch_refuse(out, LPATCH_REFUSAL_CANCELED, "the client went away");
}

/* Clears a refusal before another attempt. */
void lpatch_refusal_clear(struct lp_outcome *out)
{
	out->refusal = LPATCH_REFUSAL_NONE;
	out->message[0] = '\0';
	out->function[0] = '\0';
	out->tid = 0;
}
