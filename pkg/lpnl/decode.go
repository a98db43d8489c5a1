// SPDX-License-Identifier: GPL-2.0

package lpnl

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/mdlayher/netlink"
)

// Unknown attributes are skipped: a newer kernel may send more.

func decodeInfo(data []byte) (Info, error) {
	var i Info
	err := decode(data, func(ad *netlink.AttributeDecoder) {
		switch ad.Type() {
		case AttrInfoVersion:
			i.Version = ad.String()
		case AttrInfoTaskWork:
			i.TaskWork = ad.String()
		case AttrInfoPatches:
			i.Patches = int(ad.Uint32())
		case AttrInfoTargets:
			i.Targets = int(ad.Uint32())
		case AttrInfoGates:
			i.Gates = int(ad.Uint32())
		case AttrInfoKeyring:
			i.Keyring = int(ad.Uint32())
		case AttrInfoSignatureRequired:
			i.SignatureRequired = true
		}
	})
	if err != nil {
		return Info{}, fmt.Errorf("info-get: %w", err)
	}
	return i, nil
}

func decodeGate(data []byte) (Gate, error) {
	var g Gate
	err := decode(data, func(ad *netlink.AttributeDecoder) {
		switch ad.Type() {
		case AttrGateTID:
			g.TID = int(ad.Uint32())
		case AttrGatePID:
			g.PID = int(ad.Uint32())
		case AttrGateComm:
			g.Comm = ad.String()
		}
	})
	return g, err
}

func decodePatchNew(data []byte) (id uint32, exists bool, err error) {
	err = decode(data, func(ad *netlink.AttributeDecoder) {
		switch ad.Type() {
		case AttrPatchID:
			id = ad.Uint32()
		case AttrPatchExists:
			exists = true
		}
	})
	return id, exists, err
}

// decodeReply decodes the report in a reply to an operation, in an entry of a status dump or in an event.
func decodeReply(data []byte) (Report, error) {
	var r Report
	found := false
	err := decode(data, func(ad *netlink.AttributeDecoder) {
		if ad.Type() == AttrOpReport {
			found = true
			ad.Nested(r.decode)
		}
	})
	if err == nil && !found {
		err = errors.New("the kernel sent no report")
	}
	if err != nil {
		return Report{}, err
	}
	return r, nil
}

func (r *Report) decode(ad *netlink.AttributeDecoder) error {
	times := r.times()
	for ad.Next() {
		if d := times[ad.Type()]; d != nil {
			*d = time.Duration(ad.Uint64())
		}
		r.decodeWhat(ad)
		r.decodeRefusal(ad)
		r.decodeActive(ad)
	}
	return nil
}

// times maps each duration attribute to its field of the report.
func (r *Report) times() map[uint16]*time.Duration {
	return map[uint16]*time.Duration{
		AttrReportStopNS:          &r.Stop,
		AttrReportStopLimitNS:     &r.StopLimit,
		AttrReportLongestThreadNS: &r.LongestThread,
		AttrReportGateNS:          &r.Gate,
		AttrReportBarrierNS:       &r.Barrier,
		AttrReportCheckNS:         &r.Check,
		AttrReportWriteNS:         &r.Write,
		AttrReportReleaseNS:       &r.Release,
		AttrReportLockNS:          &r.Lock,
	}
}

func (r *Report) decodeWhat(ad *netlink.AttributeDecoder) {
	switch ad.Type() {
	case AttrReportPatch:
		r.Patch = ad.String()
	case AttrReportHash:
		copy(r.Hash[:], ad.Bytes())
	case AttrReportVerb:
		r.Verb = Verb(ad.String())
	case AttrReportPID:
		r.PID = int(ad.Uint32())
	case AttrReportComm:
		r.Comm = ad.String()
	case AttrReportState:
		r.State = State(ad.Uint32())
	case AttrReportSince:
		r.Since = time.Unix(0, int64(ad.Uint64()))
	case AttrReportFunctions:
		r.Functions = int(ad.Uint32())
	case AttrReportValues:
		r.Values = int(ad.Uint32())
	case AttrReportThreads:
		r.Threads = int(ad.Uint32())
	case AttrReportAttempts:
		r.Attempts = int(ad.Uint32())
	case AttrReportMappedAt:
		r.MappedAt = ad.Uint64()
	case AttrReportMappedBytes:
		r.MappedBytes = ad.Uint64()
	case AttrReportLayer:
		r.Layer = int(ad.Uint32())
	}
}

func (r *Report) decodeRefusal(ad *netlink.AttributeDecoder) {
	switch ad.Type() {
	case AttrReportRefusal:
		r.Refusal = Refusal(ad.Uint32())
	case AttrReportErrno:
		r.Errno = syscall.Errno(ad.Uint32())
	case AttrReportMessage:
		r.Message = ad.String()
	case AttrReportTID:
		r.TID = int(ad.Uint32())
	case AttrReportFunction:
		r.Function = ad.String()
	}
}

func (r *Report) decodeActive(ad *netlink.AttributeDecoder) {
	switch ad.Type() {
	case AttrReportActiveThreads:
		r.ActiveThreads = int(ad.Uint32())
	case AttrReportActiveTID:
		r.ActiveTID = int(ad.Uint32())
	case AttrReportActiveFunction:
		r.ActiveFunction = ad.String()
	case AttrReportActivePatch:
		r.ActivePatch = ad.String()
	}
}

// decode calls fn for each attribute in data.
func decode(data []byte, fn func(*netlink.AttributeDecoder)) error {
	ad, err := netlink.NewAttributeDecoder(data)
	if err != nil {
		return fmt.Errorf("the kernel's reply cannot be read: %w", err)
	}
	for ad.Next() {
		fn(ad)
	}
	if err := ad.Err(); err != nil {
		return fmt.Errorf("the kernel's reply cannot be read: %w", err)
	}
	return nil
}
