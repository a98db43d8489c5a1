package build

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// Progress tells a person what is going on.
type Progress struct {
	To   io.Writer // gets a line for each step; nil for none
	Live bool      // To is a terminal: also a line about how far a build is, again and again
}

// say prints the beginning of a step.
func (p Progress) say(format string, args ...any) {
	if p.To != nil {
		fmt.Fprintf(p.To, format+"\n", args...)
	}
}

// watch shows, until the function that it returns is called, how many objects a build has made so far and for how long
// it has been at it.
func (p Progress) watch(objects string) (stop func()) {
	if p.To == nil || !p.Live {
		return func() {}
	}
	done, ended := make(chan struct{}), make(chan struct{})
	started := time.Now()
	before := objectCount(objects)
	go func() {
		defer close(ended)
		tick := time.NewTicker(500 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				fmt.Fprintf(p.To, "\r  %s, %d s ", plural(int(objectCount(objects)-before), "object"), int(time.Since(started).Seconds()))
			case <-done:
				fmt.Fprint(p.To, "\r\x1b[K")
				return
			}
		}
	}()
	return func() {
		close(done)
		<-ended
	}
}

// objectCount returns how many objects shims have recorded in a folder.
func objectCount(dir string) int64 {
	st, err := os.Stat(filepath.Join(dir, countFile))
	if err != nil {
		return 0
	}
	return st.Size()
}
