// SPDX-License-Identifier: GPL-2.0

package packages

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// recipe is what scripts/container/Containerfile says.
type recipe struct {
	suite, workdir string
	packages       []string
	copied         [2]string // from the directory that the image is built in, and where to
	entrypoint     []string
}

// readRecipe reads it. An instruction that this test does not follow is an error.
func readRecipe(t *testing.T) (r recipe) {
	t.Helper()
	for line := range strings.Lines(string(read(t, "../../scripts/container/Containerfile"))) {
		instruction, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		match := func(pattern string) []string {
			m := regexp.MustCompile(pattern).FindStringSubmatch(rest)
			if m == nil {
				t.Fatalf("%s: %q is not as the test expects", instruction, rest)
			}
			return m
		}
		switch instruction {
		case "#", "":
		case "ARG":
			r.suite = match(`^SUITE=(\w+)$`)[1]
		case "FROM":
			match(`^docker\.io/library/debian:\$\{SUITE\}-slim$`)
		case "RUN":
			m := match(`^apt-get update && apt-get install -y --no-install-recommends ([a-z0-9+. -]+) && rm -rf /var/lib/apt/lists/\*$`)
			r.packages = strings.Fields(m[1])
		case "COPY":
			m := match(`^(\S+) (\S+)$`)
			r.copied = [2]string{m[1], m[2]}
		case "WORKDIR":
			r.workdir = match(`^(/\S+)$`)[1]
		case "ENTRYPOINT":
			if err := json.Unmarshal([]byte(rest), &r.entrypoint); err != nil {
				t.Fatal(err)
			}
		default:
			t.Fatalf("the test does not follow %s", instruction)
		}
	}
	return r
}

// TestContainer makes of Debian's archive what the recipe of the container image makes of its base image, and builds a patch in it as
// the guide says, as root and as a user whom the image does not know.
func TestContainer(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can change the root")
	}
	r := readRecipe(t)
	needed := strings.Fields(run(t, "bash", "-euc", `sed -nE 's/^\tlpctl\) echo (.*) ;;$/\1/p' ../../scripts/deps`))
	for _, p := range needed {
		if !slices.Contains(r.packages, p) {
			t.Errorf("the image has no %s, which lpctl build calls by scripts/deps", p)
		}
	}
	root := t.TempDir()
	const unpack = `. ../../scripts/lib.sh
		tar=$CACHE/container/$1-$3.tar
		make() { [ -e "$tar" ] || { rm -rf "$CACHE/container"; mkdir -p "$CACHE/container"
			debian_root "$1 $1-updates $1-security" --variant=minbase --format=tar --include="$3" --aptopt='APT::Install-Recommends "false"' \
				--dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' "$tar.new"; mv "$tar.new" "$tar"; }; }
		locked "$CACHE/.container.lock" make "$@"
		tar -xpf "$tar" -C "$2" --exclude='./dev/*'
		mkdir -p "$2$4"; chmod 777 "$2$4"; cp ../../Documentation/example/* "$2$4"
		"$TOP/scripts/go-build" "$2$5" ./ctl/lpctl`
	run(t, "bash", "-euc", unpack, "", r.suite, root, strings.Join(r.packages, ","), r.workdir, r.copied[1])
	if r.copied[0] != "lpctl" || !slices.Equal(r.entrypoint, []string{r.copied[1]}) {
		t.Errorf("it copies %s to %s, and runs %s", r.copied[0], r.copied[1], r.entrypoint)
	}
	inside(t, root, r.workdir, "0:0", "make")
	build := append(slices.Clone(r.entrypoint), "build", "source", ".", "--target", "greet", "--patch", "fix.patch", "-o", "fix.lp", "--", "make")
	var patches [2]string
	for i, user := range []string{"0:0", "4242:4242"} {
		if out := inside(t, root, r.workdir, user, build...); !strings.Contains(out, "built fix.lp: 1 function\n") {
			t.Errorf("%s:\n%s", user, out)
		}
		patch := filepath.Join(root, r.workdir, "fix.lp")
		patches[i] = string(read(t, patch))
		if err := os.Remove(patch); err != nil {
			t.Fatal(err)
		}
	}
	if patches[0] != patches[1] {
		t.Error("two users get two patches")
	}
}

// inside runs a command in the root as a container engine would: with a /proc and a /dev of its own, without a session's environment.
func inside(t *testing.T, root, workdir, user string, args ...string) string {
	t.Helper()
	const enter = `mount -t proc none "$1/proc"; mount -t tmpfs none "$1/dev"; mkdir "$1/dev/shm"; chmod 1777 "$1/dev/shm"
		for node in null zero full random urandom tty; do touch "$1/dev/$node"; mount --bind "/dev/$node" "$1/dev/$node"; done
		exec chroot --userspec="$3" "$1" /usr/bin/env -i -C "$2" PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/ "${@:4}"`
	cmd := exec.Command("unshare", slices.Concat([]string{"--mount", "--pid", "--fork", "--kill-child", "bash", "-euc", enter, "", root, workdir, user}, args)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// TestContainerGuide: the guide makes and uses the image by the recipe that there is.
func TestContainerGuide(t *testing.T) {
	guide := string(read(t, "../../Documentation/patch-author-guide.md"))
	for _, want := range []string{
		"cp build/lpctl scripts/container/Containerfile build/container", "podman build -t lpctl build/container",
		`podman run --rm -v "$PWD:/work" lpctl build source . --target greet --patch fix.patch -o fix.lp -- make`,
	} {
		if !strings.Contains(guide, want) {
			t.Errorf("the guide does not say %s", want)
		}
	}
}
