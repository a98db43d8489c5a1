// SPDX-License-Identifier: GPL-2.0

package lpnltest

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/mdlayher/genetlink"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"lpatch/pkg/lpnl"
)

// each calls fn for each attribute.
func each(data []byte, fn func(*netlink.AttributeDecoder)) error {
	ad, err := netlink.NewAttributeDecoder(data)
	if err != nil {
		return err
	}
	for ad.Next() {
		fn(ad)
	}
	return ad.Err()
}

// reply returns the only message that answers req.
func reply(req netlink.Message, cmd uint8, fill func(*netlink.AttributeEncoder)) []netlink.Message {
	ae := netlink.NewAttributeEncoder()
	fill(ae)
	b, err := ae.Encode()
	if err != nil {
		panic(err) // the fake's own mistake
	}
	msg := genetlink.Message{Header: genetlink.Header{Command: cmd, Version: lpnl.FamilyVersion}, Data: b}
	data, err := msg.MarshalBinary()
	if err != nil {
		panic(err)
	}
	h := netlink.Header{Type: req.Header.Type, Sequence: req.Header.Sequence, PID: req.Header.PID}
	return []netlink.Message{{Header: h, Data: data}}
}

// failure returns an error message with an extended acknowledgement. If errno is 0, it is a plain acknowledgement.
func failure(req netlink.Message, d Denial) []netlink.Message {
	data := binary.NativeEndian.AppendUint32(nil, uint32(-int32(d.Errno)))
	raw, err := req.MarshalBinary()
	if err != nil {
		panic(err)
	}
	data = append(data, raw...)
	h := netlink.Header{Type: netlink.Error, Sequence: req.Header.Sequence, PID: req.Header.PID}
	if d.Message != "" {
		h.Flags = netlink.AcknowledgeTLVs
		ae := netlink.NewAttributeEncoder()
		ae.String(unix.NLMSGERR_ATTR_MSG, d.Message)
		if d.Attr != 0 {
			ae.Uint32(unix.NLMSGERR_ATTR_OFFS, d.Attr)
		}
		tlvs, err := ae.Encode()
		if err != nil {
			panic(err)
		}
		data = append(data, tlvs...)
	}
	return []netlink.Message{{Header: h, Data: data}}
}

func encodeFamily(ae *netlink.AttributeEncoder) {
	ae.Uint16(unix.CTRL_ATTR_FAMILY_ID, familyID)
	ae.String(unix.CTRL_ATTR_FAMILY_NAME, lpnl.FamilyName)
	ae.Uint32(unix.CTRL_ATTR_VERSION, lpnl.FamilyVersion)
	ae.Nested(unix.CTRL_ATTR_MCAST_GROUPS, func(groups *netlink.AttributeEncoder) error {
		groups.Nested(1, func(g *netlink.AttributeEncoder) error {
			g.String(unix.CTRL_ATTR_MCAST_GRP_NAME, lpnl.GroupEvents)
			g.Uint32(unix.CTRL_ATTR_MCAST_GRP_ID, groupID)
			return nil
		})
		return nil
	})
}

func (k *Kernel) encodeInfo(ae *netlink.AttributeEncoder) {
	ae.String(lpnl.AttrInfoVersion, k.Info.Version)
	ae.String(lpnl.AttrInfoTaskWork, k.Info.TaskWork)
	ae.Uint32(lpnl.AttrInfoPatches, uint32(len(k.Patches)))
	ae.Uint32(lpnl.AttrInfoTargets, uint32(len(k.Records)))
	ae.Uint32(lpnl.AttrInfoGates, uint32(len(k.Gates)))
	ae.Uint32(lpnl.AttrInfoKeyring, uint32(k.Info.Keyring))
	ae.Flag(lpnl.AttrInfoSignatureRequired, k.Info.SignatureRequired)
}

// patchAdd counts the table rows in a request. The result is an acknowledgement or an error.
func (k *Kernel) patchAdd(data []byte) Denial {
	p := k.inTransfer
	p.Chunks++
	var bad error
	err := each(data, func(ad *netlink.AttributeDecoder) {
		switch ad.Type() {
		case lpnl.AttrPatchID:
			if id := ad.Uint32(); id != transfer {
				bad = fmt.Errorf("no object %d is in transfer", id)
			}
		case lpnl.AttrPatchImage:
			p.Images++
		case lpnl.AttrPatchSegment:
			p.Segments++
		case lpnl.AttrPatchSite:
			ad.Nested(p.site)
		case lpnl.AttrPatchFunction:
			p.Functions++
		case lpnl.AttrPatchFixups:
			bad = p.fixups(ad.Bytes())
		}
	})
	if err := errors.Join(err, bad); err != nil {
		return Denial{Errno: unix.EINVAL, Message: err.Error()}
	}
	return Denial{Errno: okErrno}
}

// site counts a site. Consecutive sites with one name belong to one value.
func (p *Patch) site(ad *netlink.AttributeDecoder) error {
	var kind lpnl.SiteKind
	symbol := ""
	for ad.Next() {
		switch ad.Type() {
		case lpnl.AttrSiteKind:
			kind = lpnl.SiteKind(ad.Uint32())
		case lpnl.AttrSiteSymbol:
			symbol = ad.String()
		}
	}
	switch {
	case kind == lpnl.SiteKindJump:
		p.Jumps++
	case symbol != p.value:
		p.Values++
		p.value = symbol
	}
	return nil
}

func (p *Patch) fixups(b []byte) error {
	if len(b)%lpnl.FixupSize != 0 {
		return fmt.Errorf("%d bytes are no whole number of fixups", len(b))
	}
	for ; len(b) > 0; b = b[lpnl.FixupSize:] {
		p.Fixups = append(p.Fixups, lpnl.Fixup{
			Place:  binary.NativeEndian.Uint64(b),
			Addend: int64(binary.NativeEndian.Uint64(b[8:])),
			Image:  int32(binary.NativeEndian.Uint32(b[16:])),
			Kind:   lpnl.FixupKind(binary.NativeEndian.Uint32(b[20:])),
		})
	}
	return nil
}

// request decodes an operation into the report that will answer it.
func (k *Kernel) request(msg genetlink.Message) (lpnl.Report, error) {
	r := lpnl.Report{StopLimit: lpnl.MaxStopDefault, Verb: map[uint8]lpnl.Verb{
		lpnl.CmdLoad: lpnl.VerbLoad, lpnl.CmdApply: lpnl.VerbApply,
		lpnl.CmdRestore: lpnl.VerbRestore, lpnl.CmdUnload: lpnl.VerbUnload,
		lpnl.CmdRecount: lpnl.VerbRecount,
	}[msg.Header.Command]}
	k.replace, k.supersede = false, nil
	err := each(msg.Data, func(ad *netlink.AttributeDecoder) {
		switch ad.Type() {
		case lpnl.AttrOpHash:
			copy(r.Hash[:], ad.Bytes())
		case lpnl.AttrOpPID:
			r.PID = int(ad.Uint32())
			r.Comm = comm(r.PID)
		case lpnl.AttrOpFlags:
			flags := lpnl.OpFlags(ad.Uint32())
			if flags&lpnl.OpFlagsDryRun != 0 {
				r.Verb = lpnl.VerbCheck
			}
			k.replace = flags&lpnl.OpFlagsReplace != 0
		case lpnl.AttrOpReplace:
			k.supersede = append(k.supersede, hex.EncodeToString(ad.Bytes()))
		case lpnl.AttrOpMaxStop:
			r.StopLimit = time.Duration(ad.Uint64())
		}
	})
	return r, err
}

// status returns the dump of all records, which consists of several messages.
func (k *Kernel) status(req netlink.Message) []netlink.Message {
	var list []netlink.Message
	layers := map[int]int{} // PID -> number of applied patches; records are in the order of their last change
	for _, rec := range k.Records {
		r := lpnl.Report{PID: rec.PID, Comm: rec.Comm, State: rec.State, StopLimit: lpnl.MaxStopDefault}
		hash, _ := hex.DecodeString(rec.Hash)
		copy(r.Hash[:], hash)
		if p := k.Patches[rec.Hash]; p != nil {
			r.Patch, r.Functions, r.Values = p.Name, p.Jumps, p.Values
		}
		stopped(&r)
		rec.Active.tell(&r)
		if rec.State == lpnl.StateApplied {
			layers[rec.PID]++
			r.Layer = layers[rec.PID]
		}
		if d := rec.Drift; d != nil {
			r.State, r.Refusal, r.Errno, r.Message, r.Function = lpnl.StateDrifted, d.Refusal, d.Errno, d.Message, d.Function
		}
		list = append(list, reply(req, lpnl.CmdStatusGet, nest(r))...)
	}
	return dump(req, list)
}

// gates returns the dump of the threads that prevent the module from being unloaded.
func (k *Kernel) gates(req netlink.Message) []netlink.Message {
	var list []netlink.Message
	for _, g := range k.Gates {
		list = append(list, reply(req, lpnl.CmdGatesGet, func(ae *netlink.AttributeEncoder) {
			ae.Uint32(lpnl.AttrGateTID, uint32(g.TID))
			ae.Uint32(lpnl.AttrGatePID, uint32(g.PID))
			ae.String(lpnl.AttrGateComm, g.Comm)
		})...)
	}
	return dump(req, list)
}

// changeKeys adds or revokes a certificate, or locks the keyring. The result is an acknowledgement or an error.
func (k *Kernel) changeKeys(msg genetlink.Message) Denial {
	var cert []byte
	_ = each(msg.Data, func(ad *netlink.AttributeDecoder) {
		if ad.Type() == lpnl.AttrKeyCert {
			cert = ad.Bytes()
		}
	})
	at := slices.IndexFunc(k.Keys, func(key []byte) bool { return bytes.Equal(key, cert) })
	switch {
	case k.Info.Keyring == 0:
		return Denial{Errno: unix.EOPNOTSUPP, Message: "this kernel cannot verify signatures: it is built without CONFIG_SYSTEM_DATA_VERIFICATION"}
	case msg.Header.Command == lpnl.CmdKeyRevoke && at < 0:
		return Denial{Errno: unix.ENOENT, Message: "the certificate is not in the keyring .lpatch"}
	case msg.Header.Command == lpnl.CmdKeyRevoke:
		k.Keys = slices.Delete(k.Keys, at, at+1)
	case k.Locked && msg.Header.Command == lpnl.CmdKeyLock:
		return Denial{Errno: unix.EALREADY, Message: "the keyring .lpatch is locked already"}
	case k.Locked:
		return Denial{Errno: unix.EROFS, Message: "the keyring .lpatch is locked and takes no more keys until the module is loaded again"}
	case msg.Header.Command == lpnl.CmdKeyLock:
		k.Locked = true
	case at >= 0:
		return Denial{Errno: unix.EEXIST, Message: "the certificate is in the keyring .lpatch already"}
	default:
		k.Keys = append(k.Keys, cert)
	}
	return Denial{Errno: okErrno}
}

// drain wakes all threads except those that are stuck.
func (k *Kernel) drain(req netlink.Message) []netlink.Message {
	woken := len(k.Gates)
	k.Gates = slices.DeleteFunc(k.Gates, func(g lpnl.Gate) bool { return !slices.Contains(k.Stuck, g.TID) })
	return reply(req, lpnl.CmdGatesDrain, func(ae *netlink.AttributeEncoder) {
		ae.Uint32(lpnl.AttrGateWoken, uint32(woken))
	})
}

// dump converts replies to a multi-part message.
func dump(req netlink.Message, list []netlink.Message) []netlink.Message {
	done := netlink.Message{Header: netlink.Header{
		Type: netlink.Done, Sequence: req.Header.Sequence, PID: req.Header.PID,
	}, Data: make([]byte, 4)}
	list = append(list, done)
	for i := range list {
		list[i].Header.Flags |= netlink.Multi
	}
	return list
}

// nest encodes a report as the kernel does.
func nest(r lpnl.Report) func(*netlink.AttributeEncoder) {
	return func(ae *netlink.AttributeEncoder) {
		ae.Nested(lpnl.AttrOpReport, func(n *netlink.AttributeEncoder) error {
			encodeReport(n, r)
			return nil
		})
	}
}

func encodeReport(ae *netlink.AttributeEncoder, r lpnl.Report) {
	for typ, s := range map[uint16]string{
		lpnl.AttrReportPatch: r.Patch, lpnl.AttrReportVerb: string(r.Verb), lpnl.AttrReportComm: r.Comm,
		lpnl.AttrReportMessage: r.Message, lpnl.AttrReportFunction: r.Function,
		lpnl.AttrReportActiveFunction: r.ActiveFunction, lpnl.AttrReportActivePatch: r.ActivePatch,
	} {
		if s != "" {
			ae.String(typ, s)
		}
	}
	ae.Bytes(lpnl.AttrReportHash, r.Hash[:])
	for typ, n := range map[uint16]int{
		lpnl.AttrReportPID: r.PID, lpnl.AttrReportState: int(r.State), lpnl.AttrReportFunctions: r.Functions,
		lpnl.AttrReportValues: r.Values, lpnl.AttrReportThreads: r.Threads, lpnl.AttrReportAttempts: r.Attempts,
		lpnl.AttrReportRefusal: int(r.Refusal), lpnl.AttrReportErrno: int(r.Errno), lpnl.AttrReportTID: r.TID,
		lpnl.AttrReportLayer: r.Layer, lpnl.AttrReportActiveThreads: r.ActiveThreads, lpnl.AttrReportActiveTID: r.ActiveTID,
	} {
		ae.Uint32(typ, uint32(n))
	}
	for typ, d := range map[uint16]time.Duration{
		lpnl.AttrReportStopNS: r.Stop, lpnl.AttrReportStopLimitNS: r.StopLimit,
		lpnl.AttrReportLongestThreadNS: r.LongestThread, lpnl.AttrReportGateNS: r.Gate,
		lpnl.AttrReportBarrierNS: r.Barrier, lpnl.AttrReportCheckNS: r.Check, lpnl.AttrReportWriteNS: r.Write,
		lpnl.AttrReportReleaseNS: r.Release, lpnl.AttrReportLockNS: r.Lock,
		lpnl.AttrReportMappedAt: time.Duration(r.MappedAt), lpnl.AttrReportMappedBytes: time.Duration(r.MappedBytes),
	} {
		ae.Uint64(typ, uint64(d))
	}
	if !r.Since.IsZero() {
		ae.Uint64(lpnl.AttrReportSince, uint64(r.Since.UnixNano()))
	}
	ae.Uint32(lpnl.AttrReportPad+100, 1) // an attribute of a newer kernel
}
