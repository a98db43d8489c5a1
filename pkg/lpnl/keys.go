// SPDX-License-Identifier: GPL-2.0

package lpnl

import (
	"time"

	"github.com/mdlayher/netlink"
)

// KeyAdd adds a certificate (X.509, DER) to the keyring of the kernel module, which then accepts patches signed with its key
// until expires. The kernel ignores the validity period in the certificate. Once signatures are required, the kernel only
// accepts certificates that are signed by a key it already trusts.
func (c *Client) KeyAdd(cert []byte, expires time.Time) error {
	ae := netlink.NewAttributeEncoder()
	ae.Bytes(AttrKeyCert, cert)
	ae.Uint64(AttrKeyExpires, uint64(max(0, expires.Unix())))
	return c.acknowledged("key-add", CmdKeyAdd, ae)
}

// KeyRevoke removes a certificate from the keyring. The error matches os.ErrNotExist if the keyring does not contain it.
func (c *Client) KeyRevoke(cert []byte) error {
	ae := netlink.NewAttributeEncoder()
	ae.Bytes(AttrKeyCert, cert)
	return c.acknowledged("key-revoke", CmdKeyRevoke, ae)
}

// KeyLock makes the kernel reject further certificates until the module is reloaded. The errno is EALREADY if it rejects them
// already.
func (c *Client) KeyLock() error {
	return c.acknowledged("key-lock", CmdKeyLock, netlink.NewAttributeEncoder())
}
