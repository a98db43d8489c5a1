// SPDX-License-Identifier: GPL-2.0

package bench

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"lpatch/pkg/arch"
	"lpatch/pkg/ehframe"
	"lpatch/pkg/lpelf"
	"lpatch/pkg/lpnl"
)

const (
	// patchEvery is the interval at which a patch is applied and restored under memcached's load.
	patchEvery = 1500 * time.Millisecond
	// memcachedThreads is the number of worker threads.
	memcachedThreads = 4
)

// memcached measures the latency of requests to memcached, without and with patches.
func (r *runner) memcached() {
	without := Row{System: SystemNone, Threads: memcachedThreads, Load: LoadMemcached}
	with := Row{System: SystemLpatch, Threads: memcachedThreads, Load: LoadMemcached, Functions: 1}
	if err := r.latencies(&without, &with); err != nil {
		without.Error, with.Error = err.Error(), err.Error()
	}
	r.add(without)
	r.add(with)
}

// latencies alternates between both, so that other activity on the machine affects them equally.
func (r *runner) latencies(without, with *Row) error {
	patch, err := hashPatch(r.Memcached)
	if err != nil {
		return err
	}
	l := &lpatch{k: r.Kernel, patch: patch}
	defer l.close()
	if err := r.Kernel.Transfer(patch); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "lpctl-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	socket := filepath.Join(dir, "socket")
	cmd := exec.Command(r.Memcached, "-u", "root", "-s", socket, "-t", fmt.Sprint(memcachedThreads))
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return err
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	l.pid = cmd.Process.Pid
	c, err := dialClients(socket)
	if err != nil {
		return err
	}
	defer c.close()
	var quiet, patched, stops []int64
	for range r.segments {
		got, err := c.load(r.segment, nil)
		if err != nil {
			return err
		}
		quiet = append(quiet, got...)
		got, err = c.load(r.segment, func(stop <-chan bool) error { return l.cycle(stop, &stops) })
		if err != nil {
			return err
		}
		patched = append(patched, got...)
	}
	without.Requests, without.Latency = len(quiet), summarize(quiet)
	with.Requests, with.Latency = len(patched), summarize(patched)
	with.Windows, with.Stop = len(stops), summarize(stops)
	l.sum(with)
	return nil
}

// cycle alternately applies and restores until it is told to stop, and leaves the patch restored.
func (l *lpatch) cycle(stop <-chan bool, stops *[]int64) error {
	for on := true; ; on = !on {
		select {
		case <-stop:
			if !on {
				_, err := l.replace(false)
				return err
			}
			return nil
		case <-time.After(patchEvery / 2):
		}
		took, err := l.replace(on)
		if err != nil {
			return err
		}
		*stops = append(*stops, took)
	}
}

// murmur contains constants of the hash function MurmurHash3_x86_32, which memcached calls for each key.
var murmur = []uint32{0xcc9e2d51, 0x1b873593}

// hashPatch creates a patch that replaces the hash function of a stock, stripped memcached by a copy of itself: each request
// executes it, and the replies stay correct.
func hashPatch(path string) (*lpnl.Patch, error) {
	f, err := lpelf.Open(path)
	if err != nil {
		return nil, err
	}
	start, end, err := hashFunction(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	code := f.BytesAt(start)[:end-start]
	if err := selfContained(f.Arch, code); err != nil {
		return nil, fmt.Errorf("%s: the hash function at %#x cannot be copied: %w", path, start, err)
	}
	p, err := rawPatch(f, path, "bench-hash", code)
	if err != nil {
		return nil, err
	}
	p.Sites = []lpnl.Site{{Kind: lpnl.SiteKindJump, Symbol: "MurmurHash3_x86_32", Vaddr: start, Old: code[:jumpSize]}}
	p.Functions = []lpnl.Function{{Symbol: "MurmurHash3_x86_32", Start: start, End: end}}
	return p, nil
}

// hashFunction finds the function that contains the constants, delimited by entries of .eh_frame_hdr.
func hashFunction(f *lpelf.File) (start, end uint64, err error) {
	text, table := f.Section(".text"), f.Section(".eh_frame_hdr")
	if text == nil || table == nil {
		return 0, 0, errors.New("it has no .text or no .eh_frame_hdr")
	}
	at := -1
	for _, c := range murmur {
		if at = bytes.Index(text.Data, binary.LittleEndian.AppendUint32(nil, c)); at < 0 {
			return 0, 0, errors.New("it does not hash its keys with MurmurHash3_x86_32")
		}
	}
	rows, _ := ehframe.ReadHeader(table.Data, table.Addr)
	var starts []uint64
	for _, r := range rows {
		starts = append(starts, r.PC)
	}
	i, _ := slices.BinarySearch(starts, text.Addr+uint64(at))
	if i == 0 || i == len(starts) || starts[i-1] < text.Addr {
		return 0, 0, errors.New("its table of functions is in a form that is not known here")
	}
	return starts[i-1], starts[i], nil
}

// selfContained returns an error unless code is position independent: all its references are internal.
func selfContained(a arch.Arch, code []byte) error {
	for at, in := range arch.Instructions(a, code) {
		if in.Kind == arch.Bad {
			return fmt.Errorf("the instruction at +%#x does not decode", at)
		}
		if in.PCRel > 0 {
			to := int64(at+in.Len) + in.Disp(code[at:])
			if !in.IsBranch() || in.Kind == arch.Call || to < 0 || to >= int64(len(code)) {
				return fmt.Errorf("the instruction at +%#x refers to +%#x", at, to)
			}
		}
		if in.Kind == arch.JmpInd || in.Kind == arch.CallInd {
			return fmt.Errorf("the instruction at +%#x leads somewhere", at)
		}
	}
	return nil
}
