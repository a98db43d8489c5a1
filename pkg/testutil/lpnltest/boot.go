// SPDX-License-Identifier: GPL-2.0

package lpnltest

import (
	"slices"

	"github.com/mdlayher/genetlink"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"lpatch/pkg/lpnl"
)

// changeBoots adds or removes a boot entry. The result is an acknowledgement or an error.
func (k *Kernel) changeBoots(msg genetlink.Message) Denial {
	var b lpnl.Boot
	err := each(msg.Data, func(ad *netlink.AttributeDecoder) {
		switch ad.Type() {
		case lpnl.AttrBootHash:
			copy(b.Hash[:], ad.Bytes())
		case lpnl.AttrBootFlags:
			b.Flags = lpnl.BootFlags(ad.Uint32())
		}
	})
	if err != nil {
		return Denial{Errno: unix.EINVAL, Message: err.Error()}
	}
	i := slices.IndexFunc(k.Boots, func(o lpnl.Boot) bool { return o.Hash == b.Hash })
	switch p := k.Patches[b.Hash.String()]; {
	case msg.Header.Command == lpnl.CmdBootRemove && i < 0:
		return Denial{Errno: unix.ENOENT, Message: "there is no boot entry of that hash"}
	case msg.Header.Command == lpnl.CmdBootRemove:
		k.Boots = slices.Delete(k.Boots, i, i+1)
	case i >= 0 && k.Boots[i].Flags != b.Flags:
		k.Boots[i].Flags = b.Flags
	case i >= 0:
		return Denial{Errno: unix.EEXIST, Message: "the patch has a boot entry already"}
	case p == nil:
		return Denial{Errno: unix.ENOENT, Message: "no sealed patch has that hash, transfer it first"}
	default:
		b.Patch = p.Name
		k.Boots = append(k.Boots, b)
	}
	return Denial{Errno: okErrno}
}

// boots returns the dump of boot entries.
func (k *Kernel) boots(req netlink.Message) []netlink.Message {
	var list []netlink.Message
	for _, b := range k.Boots {
		list = append(list, reply(req, lpnl.CmdBootGet, func(ae *netlink.AttributeEncoder) {
			ae.Bytes(lpnl.AttrBootHash, b.Hash[:])
			ae.Uint32(lpnl.AttrBootFlags, uint32(b.Flags))
			ae.String(lpnl.AttrBootPatch, b.Patch)
			ae.Uint64(lpnl.AttrBootApplied, b.Applied)
			ae.Uint64(lpnl.AttrBootFailed, b.Failed)
			if b.Message != "" {
				ae.String(lpnl.AttrBootMessage, b.Message)
			}
		})...)
	}
	return dump(req, list)
}
