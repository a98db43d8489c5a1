// SPDX-License-Identifier: GPL-2.0

package lpnl

import (
	"time"

	"github.com/mdlayher/netlink"
)

// KeyAdd has the kernel trust patches that are signed with the key of a certificate (X.509 in DER) until it expires: the kernel
// does not look at the time in it. Once signatures are required it takes only those that a key trusted by the kernel vouches for.
func (c *Client) KeyAdd(cert []byte, expires time.Time) error {
	ae := netlink.NewAttributeEncoder()
	ae.Bytes(AttrKeyCert, cert)
	ae.Uint64(AttrKeyExpires, uint64(max(0, expires.Unix())))
	return c.acknowledged("key-add", CmdKeyAdd, ae)
}

// KeyRevoke has the kernel trust a certificate no more. The error is os.ErrNotExist if it is not in the keyring.
func (c *Client) KeyRevoke(cert []byte) error {
	ae := netlink.NewAttributeEncoder()
	ae.Bytes(AttrKeyCert, cert)
	return c.acknowledged("key-revoke", CmdKeyRevoke, ae)
}

// KeyLock has the kernel take no more certificates until the module is loaded again. The errno is EALREADY if it does not anyway.
func (c *Client) KeyLock() error {
	return c.acknowledged("key-lock", CmdKeyLock, netlink.NewAttributeEncoder())
}
