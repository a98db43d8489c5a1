// SPDX-License-Identifier: GPL-2.0

package build

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"lpatch/pkg/lazyregexp"
	"lpatch/pkg/lpelf"
)

// A build may modify an object with objcopy or strip between compiler and linker. The removal of symbols and debug
// information does not matter. All other changes, such as the renaming of symbols, are applied to the object for the patch as
// well.

// aliasDir has a linkInput for each output of strip: its SHA-256 and that of the input.
const aliasDir = ".alias"

// rewriteValues lists options of objcopy and strip that take the next argument as value.
var rewriteValues = map[string]bool{
	"-I": true, "--input-target": true, "-O": true, "--output-target": true, "-F": true, "--target": true, "-B": true, "--binary-architecture": true,
	"-j": true, "--only-section": true, "-R": true, "--remove-section": true, "-N": true, "--strip-symbol": true, "-K": true, "--keep-symbol": true,
	"-L": true, "--localize-symbol": true, "-G": true, "--keep-global-symbol": true, "-W": true, "--weaken-symbol": true, "-o": true, "-b": true, "-i": true,
	"--redefine-sym": true, "--redefine-syms": true, "--prefix-symbols": true, "--prefix-sections": true, "--prefix-alloc-sections": true,
	"--rename-section": true, "--set-section-flags": true, "--set-section-alignment": true, "--add-section": true, "--update-section": true, "--dump-section": true,
	"--globalize-symbol": true, "--globalize-symbols": true, "--localize-symbols": true, "--keep-global-symbols": true, "--weaken-symbols": true, "--strip-symbols": true,
	"--keep-symbols": true, "--keep-section": true, "--add-symbol": true, "--add-gnu-debuglink": true, "--strip-unneeded-symbol": true, "--strip-unneeded-symbols": true,
}

var (
	// onlyStrips matches options that preserve code, data and global names.
	onlyStrips = lazyregexp.New(`^(-[gSdsxXpDUvw]|--(strip-(debug|all|unneeded|unneeded-symbols?|dwo)|discard-(all|locals)|preserve-dates|(en|dis)able-deterministic-archives|verbose|wildcard|(de)?compress-debug-sections.*))$`)
	// bySection matches options that name sections, ofCode names of sections that objects for a patch have split.
	bySection = lazyregexp.New(`^(-j|-R|--(only-section|remove-section|rename-section|set-section-(flags|alignment)|update-section|dump-section|prefix-sections|prefix-alloc-sections))$`)
	ofCode    = lazyregexp.New(`^!?\.?(text|data|rodata|bss|\*)`)
)

// rewriting is a call of objcopy or strip.
type rewriting struct {
	real    string
	strip   bool
	options []string // options that do more than strip
	inputs  []string
	output  string
	binary  bool     // the output is not an ELF file
	named   []string // sections named by options
}

// parseRewrite parses the arguments of objcopy or strip. The name by which the tool is called tells which one it is.
func parseRewrite(real, as string, args []string) rewriting {
	w := rewriting{real: real, strip: strings.Contains(filepath.Base(as), "strip")}
	for i := 0; i < len(args); i++ {
		a := args[i]
		name, value, assigned := strings.Cut(a, "=")
		switch {
		case !strings.HasPrefix(a, "-") || a == "-":
			w.inputs = append(w.inputs, a)
			continue
		case w.strip && a == "-o" && i+1 < len(args):
			i++
			w.output = args[i]
			continue
		case onlyStrips().MatchString(a):
			continue
		case rewriteValues[a] && i+1 < len(args):
			i++
			value = args[i]
			w.options = append(w.options, a, value)
		default:
			w.options = append(w.options, a)
			if !assigned && len(a) > 2 && a[1] != '-' {
				name, value = a[:2], a[2:]
			}
		}
		switch {
		case bySection().MatchString(name):
			w.named = append(w.named, value)
		case slices.Contains([]string{"-O", "--output-target", "-F", "--target"}, name) && !strings.HasPrefix(value, "elf"):
			w.binary = true
		}
	}
	if !w.strip && len(w.inputs) > 1 {
		w.output, w.inputs = w.inputs[1], w.inputs[:1]
	}
	return w
}

// rewrite runs objcopy or strip and records the changes to objects.
func rewrite(real string, args []string) (int, error) {
	w := parseRewrite(real, cmp.Or(calledAs, real), expand(args))
	before := map[string][]byte{}
	for _, name := range w.inputs {
		if data, err := os.ReadFile(name); err == nil {
			before[name] = data
		}
	}
	status, err := run(real, args)
	if err != nil || status != 0 {
		return status, err
	}
	for name, was := range before {
		output := name
		if w.output != "" {
			output = w.output
		}
		is, err := os.ReadFile(output)
		if err != nil {
			continue // the output is elsewhere or missing
		}
		if err := w.note(output, was, is); err != nil {
			return 0, err
		}
	}
	return 0, nil
}

// note records the change of a file from was to is.
func (w *rewriting) note(output string, was, is []byte) error {
	switch {
	case isObject(was) && w.binary:
		return refuseBuild(fmt.Errorf("%s is made by objcopy of an object's sections, which lpctl has otherwise; have it made of a linked file", output))
	case isObject(was) && isObject(is):
		return w.noteObject(output, filepath.Base(output), was, is)
	case isArchive(was) && lpelf.IsArchive(was) && lpelf.IsArchive(is):
		return w.noteArchive(output, was, is)
	case isObject(is): // the input was not an object
		return record(output)
	}
	return nil
}

func (w *rewriting) noteArchive(output string, was, is []byte) error {
	olds, err := lpelf.ParseArchive(output, was)
	news, newErr := lpelf.ParseArchive(output, is)
	if err := errors.Join(err, newErr); err != nil {
		return err
	}
	for i := range olds {
		if i < len(news) && olds[i].Name == news[i].Name && isObject(olds[i].Data) {
			if err := w.noteObject(output+"-"+olds[i].Name, olds[i].Name, olds[i].Data, news[i].Data); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *rewriting) noteObject(output, member string, was, is []byte) error {
	sum := sumOf(is)
	if section := slices.IndexFunc(w.named, ofCode().MatchString); section >= 0 {
		return writeRecord(linksDir, output+"\n"+sum, linkRecord{Output: belowRoot(output), Sum: sum, Unsure: fmt.Sprintf(
			"objcopy makes %s of the section %s of an object, which lpctl has in parts; have it select or rename sections that the source names", output, w.named[section])})
	}
	own := ownOf(was)
	unnamed := len(fileSymbols(is)) == 0 && len(fileSymbols(own)) == 1
	if len(w.options) == 0 && !unnamed {
		return writeRecord(aliasDir, sum, linkInput{Name: sumOf(was), Sum: sum})
	}
	if unnamed {
		own = nameSource(own, member)
	}
	return recordMade(output, is, func(tmp string) error {
		if err := os.WriteFile(tmp, own, 0o600); err != nil || len(w.options) == 0 {
			return err
		}
		status, err := run(w.real, append(slices.Clone(w.options), tmp))
		if status != 0 {
			err = fmt.Errorf("%s is made by objcopy, but not once more (status %d)", output, status)
		}
		return err
	})
}

// ownOf returns the object for the patch that was recorded for the build's object data, or data itself.
func ownOf(data []byte) []byte {
	sum := sumOf(data)
	for range 10 {
		var alias linkInput
		if readRecord(aliasDir, sum, &alias) != nil {
			break
		}
		sum = alias.Name
	}
	var in, last linkInput
	if readRecord(bySumDir, sum, &in) != nil || readRecord(madeDir, in.Name, &last) != nil || last.Sum != sum {
		return data
	}
	own, err := os.ReadFile(filepath.Join(os.Getenv(shimObjEnv), in.Name))
	if err != nil {
		return data
	}
	return own
}

// readRecord reads a record of this build.
func readRecord(dir, key string, record any) error {
	data, err := os.ReadFile(filepath.Join(os.Getenv(shimObjEnv), dir, recordFile(key)))
	if err != nil {
		return err
	}
	return json.Unmarshal(data, record)
}

// takeAliases resolves outputs of strip to the original objects. An object may be stripped repeatedly.
func (l *buildLinks) takeAliases(alias map[string]string) {
	l.stripped = map[string]string{}
	for sum := range alias {
		of := sum
		for range len(alias) {
			before, ok := alias[of]
			if !ok || before == of {
				break
			}
			of = before
		}
		l.stripped[sum] = of
	}
}
