// SPDX-License-Identifier: GPL-2.0

//go:build vm

package cases

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"syscall"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"lpatch/pkg/lpnl"
	"lpatch/pkg/testutil/lpnltest"
)

// worker makes messages and sends them, on a socket of its own.
type worker struct {
	*fuzzer
	maker
	fd  int
	seq uint32
	id  uint32 // of the last object in transfer
}

func (f *fuzzer) newWorker(i int) *worker {
	w := &worker{fuzzer: f, fd: -1}
	w.maker = maker{Rand: rand.New(rand.NewPCG(f.seed, uint64(i))), known: map[string][][]byte{}, fds: f.fds}
	for name, values := range f.known {
		w.maker.known[name] = values
	}
	w.reopen()
	return w
}

func (w *worker) count(what string) {
	w.mu.Lock()
	w.counts[what]++
	w.mu.Unlock()
}

// reopen closes the socket, whatever is under way on it.
func (w *worker) reopen() {
	if w.fd >= 0 {
		unix.Close(w.fd)
	}
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_GENERIC)
	if err != nil {
		panic(err)
	}
	// So that an error has a sentence, and nothing else but it.
	for _, option := range []int{unix.NETLINK_EXT_ACK, unix.NETLINK_CAP_ACK} {
		if err := unix.SetsockoptInt(fd, unix.SOL_NETLINK, option, 1); err != nil {
			panic(err)
		}
	}
	w.fd = fd
}

// step sends a message, or some that belong together.
func (w *worker) step() {
	switch n := w.IntN(20); {
	case n < 8:
		w.patch()
	case n < 12:
		w.operate(w.kept[w.IntN(len(w.kept))], w.pid, 0)
	case n < 15:
		w.operate(w.anyHash(), w.anyPID(), w.IntN(4))
	case n < 17:
		w.send(uint8(w.IntN(14)), w.flags(), noiseAttributes(w.Rand, 3))
	case n < 18:
		w.datagram()
	case n < 19:
		w.status()
	default:
		w.reopen()
	}
}

// patch transfers a patch of the wild target and does all that can be done with it, mutated here and there.
func (w *worker) patch() {
	strange := w.IntN(3) // how many mutations of a message
	hash := lpnl.Hash(w.bytes(lpnl.HashLen))
	w.maker.known["hash"] = [][]byte{hash[:]}
	w.id = 0
	w.request("patch-new", strange*w.IntN(2))
	if w.id == 0 || w.IntN(20) == 0 {
		w.id = w.Uint32N(100)
	}
	w.maker.known["id"] = [][]byte{u32(w.id)}
	for range 1 + w.IntN(2)*w.IntN(3) {
		w.request("patch-add", strange*w.IntN(4))
	}
	if w.IntN(8) == 0 {
		w.reopen() // in mid-transfer
		return
	}
	if w.request("patch-seal", strange*w.IntN(2)) == nil {
		w.count("sealed")
		w.mu.Lock()
		w.hashes = append(w.hashes[max(0, len(w.hashes)-16):], hash)
		w.mu.Unlock()
	}
	for range w.IntN(6) {
		w.operate(hash, w.wild.pid(), strange*w.IntN(2))
	}
}

// operate sends an operation with so many mutations.
func (w *worker) operate(hash lpnl.Hash, pid, mutations int) {
	w.maker.known["hash"] = [][]byte{hash[:]}
	w.maker.known["pid"] = [][]byte{u32(uint32(pid))}
	verb := []string{"load", "apply", "apply", "restore", "restore", "unload"}[w.IntN(6)]
	w.maker.known["flags"], w.maker.known["replace"] = [][]byte{u32(0)}, nil
	if verb == "apply" || mutations > 0 {
		w.maker.known["flags"] = [][]byte{u32(0), u32(0), u32(0), u32(uint32(w.IntN(4)))}
		for range max(0, w.IntN(6)-3) {
			other := w.anyHash()
			w.maker.known["replace"] = append(w.maker.known["replace"], other[:])
		}
	}
	err := w.request(verb, mutations)
	what := "wild"
	if pid == w.fuzzer.pid {
		what = "kept"
	}
	if err == nil {
		w.count(what + " " + verb)
	}
}

func (w *worker) anyHash() lpnl.Hash {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.hashes) > 0 && w.IntN(3) > 0 {
		return w.hashes[w.IntN(len(w.hashes))]
	}
	return w.kept[w.IntN(len(w.kept))]
}

// anyPID is one of the targets', of init, of the fuzzer, of a kernel thread, or of nobody.
func (w *worker) anyPID() int {
	return []int{w.fuzzer.pid, w.wild.pid(), w.wild.pid(), 1, os.Getpid(), 2, 0, -1, 1 << 30, int(w.number())}[w.IntN(10)]
}

func (w *worker) flags() uint16 {
	flags := uint16(unix.NLM_F_REQUEST | unix.NLM_F_ACK)
	if w.IntN(6) == 0 {
		flags |= []uint16{unix.NLM_F_DUMP, unix.NLM_F_ROOT, unix.NLM_F_ECHO, 0xffff}[w.IntN(4)]
	}
	return flags
}

// request sends a command with so many mutations. The error is what the kernel answered.
func (w *worker) request(name string, mutations int) error {
	for _, r := range lpnltest.Requests {
		if r.Name != name {
			continue
		}
		list := w.attributes("", r.Attrs)
		for range mutations {
			list = w.mutate(list)
		}
		flags := uint16(unix.NLM_F_REQUEST | unix.NLM_F_ACK)
		if mutations > 0 {
			flags = w.flags()
		}
		return w.send(r.Command, flags, encodeAttributes(list))
	}
	panic("the contract has no command " + name)
}

// send sends one message and reads what is answered at once.
func (w *worker) send(command uint8, flags uint16, attrs []byte) error {
	w.write(w.message(command, flags, attrs))
	return w.answers()
}

func (w *worker) message(command uint8, flags uint16, attrs []byte) []byte {
	if command >= lpnl.CmdLoad && command <= lpnl.CmdUnload {
		hurry(attrs)
	}
	w.seq++
	b := u32(uint32(unix.NLMSG_HDRLEN + 4 + len(attrs)))
	b = binary.NativeEndian.AppendUint16(b, w.family)
	b = binary.NativeEndian.AppendUint16(b, flags)
	b = append(append(b, u32(w.seq)...), u32(0)...)
	return append(append(b, command, lpnl.FamilyVersion, 0, 0), attrs...)
}

func (w *worker) write(b []byte) {
	if w.trace {
		fmt.Printf("fd %d: % x\n", w.fd, b)
	}
	w.count("messages")
	if err := unix.Sendto(w.fd, b, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		w.count("not sent: " + err.Error())
	}
}

// datagram sends a message that is cut off, or says a wrong length, or several in one.
func (w *worker) datagram() {
	b := w.message(uint8(w.IntN(14)), w.flags(), noiseAttributes(w.Rand, 2))
	switch w.IntN(4) {
	case 0:
		b = b[:w.IntN(len(b))]
	case 1:
		binary.NativeEndian.PutUint32(b, uint32(w.number()))
	case 2:
		b[unix.SizeofNlMsghdr-1-w.IntN(10)] ^= 1 << w.IntN(8) // not the type: other families are not meant
	default:
		for range w.IntN(20) {
			b = append(b, w.message(uint8(w.IntN(14)), w.flags(), nil)...)
		}
	}
	w.write(b)
	w.answers()
}

// status asks for all records, and does not always wait for the end.
func (w *worker) status() {
	w.write(w.message(lpnl.CmdStatusGet, unix.NLM_F_REQUEST|unix.NLM_F_DUMP, nil))
	switch w.IntN(3) {
	case 0:
		w.reopen()
	case 1:
		w.write(w.message(lpnl.CmdStatusGet, unix.NLM_F_REQUEST|unix.NLM_F_DUMP, nil))
	}
	w.answers()
}

// answers reads all that is there: what answers a message is, when it is sent. The error is that of the last answer, or
// the refusal in it.
func (w *worker) answers() error {
	buf := make([]byte, 64<<10)
	var last error
	for {
		n, _, err := unix.Recvfrom(w.fd, buf, unix.MSG_DONTWAIT)
		if err != nil {
			return last
		}
		list, err := syscall.ParseNetlinkMessage(buf[:n])
		if err != nil {
			panic(fmt.Sprintf("the kernel's answer cannot be read: %v: % x", err, buf[:n]))
		}
		for _, m := range list {
			if err := w.answer(m); err != nil {
				last = err
			}
		}
	}
}

func (w *worker) answer(m syscall.NetlinkMessage) error {
	switch {
	case m.Header.Type == unix.NLMSG_ERROR && len(m.Data) >= 4:
		if errno := syscall.Errno(-int32(binary.NativeEndian.Uint32(m.Data))); errno != 0 {
			w.count(sentence(m.Data, errno))
			return errno
		}
	case m.Header.Type == w.family && len(m.Data) >= 4:
		return w.reply(m.Data[0], m.Data[4:])
	}
	return nil
}

// sentence is what the kernel says of an error, or its number's meaning.
func sentence(data []byte, errno syscall.Errno) string {
	const attrs = 4 + unix.NLMSG_HDRLEN // behind the number and the header of the request
	if len(data) > attrs {
		ad, err := netlink.NewAttributeDecoder(data[attrs:])
		for err == nil && ad.Next() {
			if ad.Type() == unix.NLMSGERR_ATTR_MSG {
				return ad.String()
			}
		}
	}
	return errno.Error()
}

// reply notes the handle of an object, and gives the refusal of an operation.
func (w *worker) reply(command uint8, attrs []byte) error {
	ad, err := netlink.NewAttributeDecoder(attrs)
	if err != nil {
		return err
	}
	for ad.Next() {
		switch {
		case command == lpnl.CmdPatchNew && ad.Type() == lpnl.AttrPatchID:
			w.id = ad.Uint32()
		case command >= lpnl.CmdLoad && command <= lpnl.CmdUnload && ad.Type() == lpnl.AttrOpReport:
			ad.Nested(func(ad *netlink.AttributeDecoder) error {
				for ad.Next() {
					if ad.Type() == lpnl.AttrReportRefusal {
						err = refusalError(lpnl.Refusal(ad.Uint32()))
					}
				}
				return nil
			})
		}
	}
	if err != nil {
		w.count("refused: " + err.Error())
	}
	return err
}

func refusalError(r lpnl.Refusal) error {
	if r == lpnl.RefusalNone {
		return nil
	}
	return errors.New(r.String())
}
