// SPDX-License-Identifier: GPL-2.0
/*
 * Audit records of type AUDIT_KERNEL_OTHER, which is meant for third-party modules. A record says
 * who did what to which process with which patch, or was refused. Field names come from the audit
 * project's dictionary: opid and ocomm describe the target; the kernel describes the caller.
 */

#include <linux/audit.h>
#include <linux/sched.h>

#include "audit.h"
#include "op.h"
#include "patch.h"
#include "target.h"

/*
 * Like audit_log_untrustedstring(), which is not exported: text that could be mistaken for the end
 * of the field, or for another field, is written in hexadecimal.
 */
static void lp_audit_text(struct audit_buffer *ab, const char *field, const char *text)
{
	const char *at = text;

	while (*at > 0x20 && *at < 0x7f && *at != '"')
		at++;
	if (!*at) {
		audit_log_format(ab, " %s=\"%s\"", field, text);
		return;
	}
	audit_log_format(ab, " %s=", field);
	for (at = text; *at; at++)
		audit_log_format(ab, "%02X", (u8)*at);
}

/* Starts a record. Return: the record, or NULL if auditing is off or the record is filtered out. */
static struct audit_buffer *lp_audit_start(const char *verb)
{
	struct audit_buffer *ab;

	if (audit_enabled == AUDIT_OFF)
		return NULL;
	ab = audit_log_start(audit_context(), GFP_KERNEL, AUDIT_KERNEL_OTHER);
	if (ab)
		audit_log_format(ab, "lpatch: op=%s", verb);
	return ab;
}

/* Like lp_audit_start(), with the fields that describe a patch. */
static struct audit_buffer *lp_audit_begin(const char *verb, const struct lp_patch *patch)
{
	struct audit_buffer *ab = lp_audit_start(verb);

	if (!ab)
		return NULL;
	lp_audit_text(ab, "patch", patch->name);
	audit_log_format(ab, " hash=%*phN content=%*phN signed=%d", LPATCH_HASH_LEN, patch->hash,
			 LP_SUM_LEN, patch->content, !!patch->signature);
	return ab;
}

/* @pid: of the target, in the pid namespace of the caller */
static void lp_audit_object(struct audit_buffer *ab, u32 pid, const struct lp_target *target)
{
	audit_log_format(ab, " opid=%u", pid);
	if (target)
		lp_audit_text(ab, "ocomm", target->comm);
}

/* @error: 0 or a negative errno. */
static void lp_audit_end(struct audit_buffer *ab, int error)
{
	audit_log_format(ab, " exit=%d", error);
	audit_log_task_info(ab);
	audit_log_format(ab, " res=%d", !error);
	audit_log_end(ab);
}

/**
 * lpatch_audit_op() - record an operation that succeeded or was refused
 * @op: the operation, with its outcome
 *
 * Context: the client, or a process that is patched as it starts.
 */
void lpatch_audit_op(const struct lp_op *op)
{
	struct audit_buffer *ab = lp_audit_begin(lpatch_request_verb(op->request), op->patch);

	if (!ab)
		return;
	lp_audit_object(ab, op->request->pid, op->target);
	lp_audit_end(ab, -lpatch_refusal_errno(op->outcome.refusal));
}

/* Records that a patch was restored because the patch of the operation replaced it. */
void lpatch_audit_replaced(const struct lp_op *op, const struct lp_record *record)
{
	struct audit_buffer *ab = lp_audit_begin("restore", record->patch);

	if (!ab)
		return;
	lp_audit_object(ab, op->request->pid, op->target);
	lp_audit_end(ab, 0);
}

/**
 * lpatch_audit_patch() - record an operation on a patch that concerns no target
 * @verb: the operation
 * @patch: the patch
 * @error: 0 or a negative errno
 */
void lpatch_audit_patch(const char *verb, const struct lp_patch *patch, int error)
{
	struct audit_buffer *ab = lp_audit_begin(verb, patch);

	if (ab)
		lp_audit_end(ab, error);
}

/*
 * Records an operation that concerns neither a patch nor a target. @key: the key that was added or
 * revoked, or NULL. @error: 0 or a negative errno.
 */
void lpatch_audit_setting(const char *verb, const char *key, int error)
{
	struct audit_buffer *ab = lp_audit_start(verb);

	if (!ab)
		return;
	if (key)
		lp_audit_text(ab, "key", key);
	lp_audit_end(ab, error);
}
