// SPDX-License-Identifier: GPL-2.0

//go:build vm

package cases

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"lpatch/pkg/patch"
	"lpatch/pkg/proc"
	"lpatch/pkg/testutil/filetest"
)

// TestBaked compares a program that the module has patched with one that lpctl baked: what is at the sites and in the
// patch is the same, and so is what they do.
//
//machine:only 6.12
func TestBaked(t *testing.T) {
	for _, b := range []struct{ name, program, image, patch string }{
		{"static", "victim-static", "victim-static", "victim-static"},
		{"stripped-pie", "victim-stripped", "victim-stripped", "victim-stripped"},
		{"library", "victim-shared", "libvalue-gcc-O2.so", "libvalue-plain.so"},
	} {
		t.Run(b.name, func(t *testing.T) {
			lp := fixtures + b.patch + ".lp"
			dir := t.TempDir()
			filetest.Copy(t, fixtures+b.program, filepath.Join(dir, b.program))
			baked := filepath.Join(dir, b.image)
			if status, _, complaint := lpctl(t, "boot", "bake", lp, "--image", fixtures+b.image, "-o", baked); status != 0 {
				t.Fatalf("lpctl boot bake: %s", complaint)
			}
			v := startVictim(t, b.program, "-t", "0")
			wantDone(t, "applied .*", "apply", lp, "--pid", fmt.Sprint(v.pid), "--max-stop", "2s")
			w := startCommand(t, exec.Command(filepath.Join(dir, b.program), "-t", "0"))
			p, err := patch.Open(lp)
			if err != nil {
				t.Fatal(err)
			}
			inProcess, inFile := imageIn(t, v, fixtures+b.image), imageIn(t, w, baked)
			inProcess.patch = mappedAt(t, v)
			inFile.patch = inFile.base + bakedBase(t, baked)
			wantSame(t, p, inProcess, inFile)
			v.wantValue(2)
			w.wantValue(2)
		})
	}
}

// mappedAt is where the module mapped the only patch of a process.
func mappedAt(t *testing.T, v *victim) uint64 {
	t.Helper()
	_, out, complaint := lpctl(t, "status", "--json", "--pid", fmt.Sprint(v.pid))
	var r struct {
		MappedAt uint64 `json:"mapped_at"`
	}
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatalf("status: %v\n%s%s", err, out, complaint)
	}
	return r.MappedAt
}

// bakedBase is where in a baked file the patch begins: a link-time address.
func bakedBase(t *testing.T, path string) uint64 {
	t.Helper()
	f, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	base := ^uint64(0)
	for _, s := range f.Sections {
		if strings.HasPrefix(s.Name, ".lpatch.") {
			base = min(base, s.Addr)
		}
	}
	return base
}

// patchedImage is an image in a process, with the patch.
type patchedImage struct {
	t     *testing.T
	mem   *os.File
	base  uint64 // what is added to link-time addresses of the image
	patch uint64 // the address of the patch
}

// imageIn finds an image by its file.
func imageIn(t *testing.T, v *victim, path string) *patchedImage {
	t.Helper()
	list, err := proc.New("/proc").Maps(v.pid)
	if err != nil {
		t.Fatal(err)
	}
	f, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", v.pid))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { mem.Close() })
	im := &patchedImage{t: t, mem: mem}
	for _, m := range list {
		if m.Path != path || m.Offset != 0 {
			continue
		}
		if f.Type == elf.ET_DYN {
			im.base = m.Start
		}
		return im
	}
	t.Fatalf("%s is not mapped at its begin:\n%s", path, maps(t, v.pid))
	return nil
}

func (im *patchedImage) read(at, size uint64) []byte {
	im.t.Helper()
	b := make([]byte, size)
	if _, err := im.mem.ReadAt(b, int64(at)); err != nil {
		im.t.Fatalf("reading %d bytes at %#x: %v", size, at, err)
	}
	return b
}

// meaning makes an address independent of where things are.
func (im *patchedImage) meaning(addr uint64, self bool) string {
	if self {
		return fmt.Sprintf("patch%+d", int64(addr-im.patch))
	}
	return fmt.Sprintf("image%+d", int64(addr-im.base))
}

// wantSame compares the sites, the fix-ups by what they mean, and all other bytes of the patch.
func wantSame(t *testing.T, p *patch.File, a, b *patchedImage) {
	t.Helper()
	for _, s := range p.Spec.Sites {
		if x, y := a.site(s), b.site(s); x != y {
			t.Errorf("the site of %s is %s in the process and %s in the file", s.Symbol, x, y)
		}
	}
	for _, s := range p.Segments() {
		x, y := a.read(a.patch+s.Vaddr, s.Size), b.read(b.patch+s.Vaddr, s.Size)
		for _, f := range p.Spec.Fixups {
			if f.Place < s.Vaddr || f.Place >= s.Vaddr+s.Size {
				continue
			}
			if m, n := a.fixup(f, x[f.Place-s.Vaddr:]), b.fixup(f, y[f.Place-s.Vaddr:]); m != n {
				t.Errorf("the fix-up at %#x is %s in the process and %s in the file", f.Place, m, n)
			}
		}
		if !bytes.Equal(x, y) {
			t.Errorf("the segment at %#x differs", s.Vaddr)
		}
	}
}

func (im *patchedImage) site(s patch.Site) string {
	im.t.Helper()
	at := im.base + s.Vaddr
	code := im.read(at, uint64(len(s.Old)))
	if s.Kind != patch.SiteJump {
		return fmt.Sprintf("% x", code)
	}
	return fmt.Sprintf("%x to %s", code[0], im.meaning(at+5+relative(code[1:]), true))
}

func relative(field []byte) uint64 { return uint64(int64(int32(binary.LittleEndian.Uint32(field)))) }

// fixup tells what a field means and clears it.
func (im *patchedImage) fixup(f patch.Fixup, field []byte) string {
	var to uint64
	size := 4
	switch f.Kind {
	case patch.FixupAbs64:
		to, size = binary.LittleEndian.Uint64(field), 8
	case patch.FixupAbs32:
		to = uint64(binary.LittleEndian.Uint32(field))
	case patch.FixupPC32:
		to = im.patch + f.Place + relative(field)
	}
	clear(field[:size])
	return im.meaning(to, f.Image == patch.SelfImage)
}
