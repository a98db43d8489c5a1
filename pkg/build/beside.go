// SPDX-License-Identifier: GPL-2.0

package build

import (
	"fmt"
	"path/filepath"
	"slices"
)

// warnBeside names programs and libraries of the build that are used together with the target, that change with the fix, and that
// no patch is built for: one half of a fix may rely on the other.
func (b *builder) warnBeside() {
	if b.o.Links == nil || len(b.o.Targets) == 0 {
		return
	}
	target := identityOf(b.im.File)
	for _, n := range b.o.Links.new.records {
		i := slices.IndexFunc(b.o.Links.old.records, func(o linkRecord) bool { return o.Output == n.Output })
		isTarget := b.oldIn.outputs[n.Output] || slices.ContainsFunc(b.o.Targets, func(t string) bool { return filepath.Base(t) == n.Identity.Name })
		if i < 0 || isTarget || b.o.Links.old.records[i].Loaded == n.Loaded || !target.needs(n.Identity) && !n.Identity.needs(target) {
			continue
		}
		text := fmt.Sprintf("%s: the fix changes it too, it is used together with %s, and this patch is not for it; if one relies on the other, build for both at once, with --target for each", n.Output, b.im.Path)
		if !slices.Contains(b.res.Warnings, text) {
			b.res.Warnings = append(b.res.Warnings, text)
		}
	}
}

// needs tells whether a program or library is linked with a library. One without a name of its own is needed by its path.
func (id identity) needs(library identity) bool {
	return slices.ContainsFunc(id.Needed, func(name string) bool {
		return name == library.Soname || library.Soname == "" && filepath.Base(name) == library.Name
	})
}
