// SPDX-License-Identifier: GPL-2.0
/*
 * Records for the audit subsystem, of the type that is for "3rd party modules": who did what to which
 * process with which patch, or was refused. The names of the fields are those of the audit project's
 * dictionary: the object of an operation is opid and ocomm, the caller is described by the kernel.
 */

#include <linux/audit.h>
#include <linux/sched.h>

#include "audit.h"
#include "op.h"
#include "patch.h"
#include "target.h"

/*
 * As audit_log_untrustedstring(), which is not exported: what could be taken for the end of the text, or for
 * another field, is written in hexadecimal.
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

/* Return: a record that is begun, or NULL if nobody wants any. */
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

/* As lp_audit_start(), of what is done with a patch. */
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

/* @pid: in the caller's pid namespace, as it named the target */
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
 * lpatch_audit_op() - record an operation that was done or refused
 * @op: with its outcome
 *
 * Context: the caller's, or that of a process that is patched as it starts.
 */
void lpatch_audit_op(const struct lp_op *op)
{
	struct audit_buffer *ab = lp_audit_begin(lpatch_request_verb(op->request), op->patch);

	if (!ab)
		return;
	lp_audit_object(ab, op->request->pid, op->target);
	lp_audit_end(ab, -lpatch_refusal_errno(op->outcome.refusal));
}

/* Records that a patch was restored because that of the operation replaced it. */
void lpatch_audit_replaced(const struct lp_op *op, const struct lp_record *record)
{
	struct audit_buffer *ab = lp_audit_begin("restore", record->patch);

	if (!ab)
		return;
	lp_audit_object(ab, op->request->pid, op->target);
	lp_audit_end(ab, 0);
}

/**
 * lpatch_audit_patch() - record what became of a patch as such
 * @verb: what was to be done with it
 * @patch: the patch
 * @error: 0 or a negative errno
 */
void lpatch_audit_patch(const char *verb, const struct lp_patch *patch, int error)
{
	struct audit_buffer *ab = lp_audit_begin(verb, patch);

	if (ab)
		lp_audit_end(ab, error);
}

/* Records what concerns no patch and no target. @key: that was added or revoked, or NULL. @error: 0 or a negative errno. */
void lpatch_audit_setting(const char *verb, const char *key, int error)
{
	struct audit_buffer *ab = lp_audit_start(verb);

	if (!ab)
		return;
	if (key)
		lp_audit_text(ab, "key", key);
	lp_audit_end(ab, error);
}
