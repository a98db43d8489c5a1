// SPDX-License-Identifier: GPL-2.0

package link

import (
	"sort"

	"lpatch/pkg/patch"
)

// addRelies records the functions of the image that the patch was built against.
func (l *linker) addRelies(spec *patch.Spec) {
	seen := map[uint64]bool{}
	for _, in := range l.inputs {
		if in.Loc == nil {
			continue
		}
		for _, f := range in.Diff.Relies() {
			places := in.Loc.Doubted(f)
			if at, found, err := in.Loc.Address(f); err == nil && found {
				places = []uint64{at}
			}
			for _, at := range places {
				if seen[at] || len(spec.Relies) == patch.MaxRelies {
					continue
				}
				seen[at] = true
				spec.Relies = append(spec.Relies, patch.Reliance{Symbol: f.Name[:min(len(f.Name), patch.MaxNameLen)], Start: at})
			}
		}
	}
	sort.Slice(spec.Relies, func(i, j int) bool { return spec.Relies[i].Start < spec.Relies[j].Start })
}
