/* SPDX-License-Identifier: GPL-2.0 */
/*
 * ASN.1 elements in DER (X.690), for the checks of certificates and signatures that precede the
 * kernel's own parsers.
 */
#ifndef LPATCH_DER_H
#define LPATCH_DER_H

#include <linux/types.h>

#define LP_DER_INTEGER 0x02
#define LP_DER_OCTETS 0x04
#define LP_DER_OID 0x06
#define LP_DER_SEQUENCE 0x30
#define LP_DER_SET 0x31
#define LP_DER_KEY_ID 0x80
#define LP_DER_CONTEXT_0 0xa0

/*
 * Enters the element at *@at if it has tag @tag: sets *@at and *@end to the bounds of its content.
 * Return: whether the element has that tag.
 */
static inline bool lp_der_enter(const u8 **at, const u8 **end, u8 tag)
{
	const u8 *p = *at;
	size_t len, bytes;

	if (*end - p < 2 || *p++ != tag)
		return false;
	len = *p++;
	if (len >= 0x80) {
		bytes = len - 0x80;
		if (!bytes || bytes > 3 || *end - p < bytes)
			return false;
		for (len = 0; bytes--; p++)
			len = len << 8 | *p;
	}
	if (*end - p < len)
		return false;
	*at = p;
	*end = p + len;
	return true;
}

/* Enters the element at *@at if it has tag @tag and ends at @end. */
static inline bool lp_der_enter_all(const u8 **at, const u8 *end, u8 tag)
{
	const u8 *last = end;

	return lp_der_enter(at, &last, tag) && last == end;
}

static inline bool lp_der_skip(const u8 **at, const u8 *end, u8 tag)
{
	const u8 *to = end;

	if (!lp_der_enter(at, &to, tag))
		return false;
	*at = to;
	return true;
}

#endif
