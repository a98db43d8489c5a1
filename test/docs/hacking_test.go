// SPDX-License-Identifier: GPL-2.0

package docs

import (
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestHacking runs the commands of HACKING.md in this very repository, but has go test compile and list the tests that they
// name: make unit and make vm-test run these. The case that one of the commands selects must be among those of test/cases.
func TestHacking(t *testing.T) {
	list := commands(t, "../HACKING.md", "console build")
	cmd := exec.Command("bash", "-c", "exec 2>&1\n"+script(list))
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "GOFLAGS=-list=. -vet=off")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	judge(t, "HACKING.md", list, string(out))

	cases := exec.Command("go", "test", "-tags", "vm", "-vet=off", "-list", ".", "./test/cases")
	cases.Dir = root
	names, err := cases.Output()
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(list, func(c command) bool { return strings.Contains(c.text, "LPATCH_CASES=") })
	if i < 0 {
		t.Fatal("HACKING.md runs no case")
	}
	name := regexp.MustCompile(`LPATCH_CASES='\^(\w+)\$'.* -run TestCases `).FindStringSubmatch(list[i].text)
	if name == nil || !slices.Contains(strings.Fields(string(names)), "Test"+name[1]) {
		t.Errorf("HACKING.md:%d: %s\nselects no case of test/cases", list[i].line, list[i].text)
	}
}
