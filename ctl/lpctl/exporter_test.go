// SPDX-License-Identifier: GPL-2.0

package main

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"regexp"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

var exporterAddress = regexp.MustCompile(`address=(127\.0\.0\.1:\d+)`)

// cmdScrape prints what Prometheus's node exporter has at /metrics of the text files in a directory, but for their times:
// scrape DIR.
func cmdScrape(ts *testscript.TestScript, _ bool, args []string) {
	cmd := exec.Command("prometheus-node-exporter", "--collector.disable-defaults", "--collector.textfile", "--collector.textfile.directory="+ts.MkAbs(args[0]),
		"--web.listen-address=127.0.0.1:0", "--web.disable-exporter-metrics")
	stderr, err := cmd.StderrPipe()
	ts.Check(err)
	if err := cmd.Start(); err != nil {
		ts.Fatalf("%v (scripts/deps installs what it needs)", err)
	}
	defer func() { _, _ = cmd.Process.Kill(), cmd.Wait() }()
	said := ""
	for lines := bufio.NewScanner(stderr); lines.Scan(); {
		said += lines.Text() + "\n"
		if m := exporterAddress.FindStringSubmatch(lines.Text()); m != nil {
			fmt.Fprint(ts.Stdout(), scraped(ts, "http://"+m[1]+"/metrics"))
			return
		}
	}
	ts.Fatalf("the exporter does not listen:\n%s", said)
}

// scraped are the lines at an address that are of lpatch, or say whether the files could be read.
func scraped(ts *testscript.TestScript, url string) string {
	resp, err := http.Get(url)
	ts.Check(err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	ts.Check(err)
	if resp.StatusCode != http.StatusOK {
		ts.Fatalf("%s: %s\n%s", url, resp.Status, text)
	}
	lines := slices.Collect(strings.Lines(string(text)))
	lines = slices.DeleteFunc(lines, func(l string) bool {
		return strings.HasPrefix(l, "#") || !strings.HasPrefix(l, "lpatch_") && !strings.HasPrefix(l, "node_textfile_scrape_error")
	})
	return strings.Join(lines, "")
}
