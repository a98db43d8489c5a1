// SPDX-License-Identifier: GPL-2.0

package lpnl

import (
	"fmt"

	"github.com/mdlayher/netlink"
)

// Boot is a boot entry: a patch that the kernel applies to each process as it starts.
type Boot struct {
	Patch   string
	Hash    Hash
	Flags   BootFlags
	Applied uint64 // number of processes that were patched
	Failed  uint64 // number of processes that could not be patched
	Message string // reason of the last failure
}

// BootAdd registers a transferred patch as a boot entry: the kernel applies it to each process that maps the images of the
// patch from now on, before the process executes an instruction of the mapping. The kernel keeps the patch and the entry
// until BootRemove.
func (c *Client) BootAdd(hash Hash, flags BootFlags) error {
	ae := netlink.NewAttributeEncoder()
	ae.Bytes(AttrBootHash, hash[:])
	ae.Uint32(AttrBootFlags, uint32(flags))
	return c.acknowledged("boot-add", CmdBootAdd, ae)
}

// BootRemove removes a boot entry. Processes that it has patched stay patched.
func (c *Client) BootRemove(hash Hash) error {
	ae := netlink.NewAttributeEncoder()
	ae.Bytes(AttrBootHash, hash[:])
	return c.acknowledged("boot-remove", CmdBootRemove, ae)
}

func (c *Client) acknowledged(op string, cmd uint8, ae *netlink.AttributeEncoder) error {
	data, err := ae.Encode()
	if err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	_, err = c.execute(op, cmd, netlink.Acknowledge, data)
	return err
}

// Boots returns the boot entries in the order in which they were added.
func (c *Client) Boots() ([]Boot, error) {
	replies, err := c.execute("boot-get", CmdBootGet, netlink.Dump, nil)
	if err != nil {
		return nil, err
	}
	var list []Boot
	for _, m := range replies {
		b, err := decodeBoot(m.Data)
		if err != nil {
			return nil, fmt.Errorf("boot-get: %w", err)
		}
		list = append(list, b)
	}
	return list, nil
}

func decodeBoot(data []byte) (Boot, error) {
	var b Boot
	err := decode(data, func(ad *netlink.AttributeDecoder) {
		switch ad.Type() {
		case AttrBootHash:
			copy(b.Hash[:], ad.Bytes())
		case AttrBootFlags:
			b.Flags = BootFlags(ad.Uint32())
		case AttrBootPatch:
			b.Patch = ad.String()
		case AttrBootApplied:
			b.Applied = ad.Uint64()
		case AttrBootFailed:
			b.Failed = ad.Uint64()
		case AttrBootMessage:
			b.Message = ad.String()
		}
	})
	return b, err
}
