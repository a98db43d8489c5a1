package apply

import (
	"testing"

	"lpatch/pkg/lpnl"
	"lpatch/pkg/patch"
	"lpatch/pkg/proc"
)

// TestMissingUnknown is about a file of the right name that cannot be read: it is not said to be another.
func TestMissingUnknown(t *testing.T) {
	spec := &patch.Spec{Name: "fix", Images: []patch.Image{{Name: "prog", BuildID: patch.Hex{0xab}}}}
	list := []candidate{{mapping: proc.Mapping{Path: "/mnt/prog"}}}
	err := New(nil, proc.New("/proc")).missing(spec, &spec.Images[0], proc.Process{PID: 7, Comm: "prog"}, list)
	const want = "prog[7] maps /mnt/prog, which cannot be read, so whether it is what the patch is for (build-id ab) is not known"
	if err.Error() != want || reportOf(err).Refusal != lpnl.RefusalImageMissing {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}
