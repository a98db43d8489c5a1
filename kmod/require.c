// SPDX-License-Identifier: GPL-2.0
/* Tells whether this kernel requires patches to be signed. */

#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/security.h>

#include "audit.h"
#include "require.h"

static bool lp_sign_asked;

static int lp_sign_ask(const char *value, const struct kernel_param *param)
{
	int ret = param_set_bool_enable_only(value, param);

	lpatch_audit_setting("require-signature", NULL, ret);
	return ret;
}

/* The parameter can be set, but not cleared. */
static const struct kernel_param_ops lp_sign_ask_ops = {
	.flags = KERNEL_PARAM_OPS_FL_NOARG,
	.set = lp_sign_ask,
	.get = param_get_bool,
};

module_param_cb(require_signature, &lp_sign_ask_ops, &lp_sign_asked, 0644);
__MODULE_PARM_TYPE(require_signature, "bool");
MODULE_PARM_DESC(require_signature,
		 "Refuse patches without a signature by a key in the keyring .lpatch (default off; once on it stays on)");

/**
 * lpatch_sign_required() - are only signed patches accepted?
 *
 * Under lockdown nobody, including root, may load code into the kernel that no trusted key has
 * signed. The same applies to code that the kernel loads into programs. Lockdown is never lifted,
 * and each query logs a message about unsigned modules, so the answer is cached.
 */
bool lpatch_sign_required(void)
{
	static bool locked_down;

	if (READ_ONCE(lp_sign_asked) || READ_ONCE(locked_down))
		return true;
	if (!security_locked_down(LOCKDOWN_MODULE_SIGNATURE))
		return false;
	WRITE_ONCE(locked_down, true);
	return true;
}
