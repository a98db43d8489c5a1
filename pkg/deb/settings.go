// SPDX-License-Identifier: GPL-2.0

package deb

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"lpatch/pkg/lazyregexp"
)

// Settings returns what apt of this machine is told of the way to its mirrors, as a file of apt's settings: proxies, what to
// make of certificates and dates, and so on. In the root of another system, apt needs the same.
func Settings(ctx context.Context) (string, error) {
	dump, err := output(ctx, "apt-config", "dump", "--no-empty", "--format", `%F "%v";%n`)
	if err != nil {
		return "", err
	}
	text := settings(string(dump))
	if strings.Contains(string(dump), "Acquire::http::Proxy-Auto-Detect") || strings.Contains(string(dump), "Acquire::http::ProxyAutoDetect") {
		out, err := output(ctx, "/usr/lib/apt/apt-helper", "auto-detect-proxy", "http://debian.example/")
		if err != nil {
			return "", err
		}
		text += detected(string(out))
	}
	return text, nil
}

var wanted = lazyregexp.New(`(?i)^Acquire::(https?::|Retries|Check-Valid-Until|Check-Date|ForceIPv[46])`)

// settings picks the lines that concern the way. A program that finds a proxy is one of this machine: see detected.
func settings(dump string) string {
	var b strings.Builder
	for line := range strings.Lines(dump) {
		if wanted().MatchString(line) && !strings.Contains(line, "Auto-Detect") && !strings.Contains(line, "AutoDetect") {
			b.WriteString(line)
		}
	}
	return b.String()
}

// detected reads which proxy apt says it uses: "Using proxy 'http://proxy:3142' for URL …".
func detected(said string) string {
	_, rest, _ := strings.Cut(said, "Using proxy '")
	proxy, _, ok := strings.Cut(rest, "'")
	if !ok || proxy == "" {
		return ""
	}
	return `Acquire::http::Proxy "` + proxy + "\";\n"
}

// named are files that settings name.
var named = lazyregexp.New(`(?m)^Acquire::https::.*(?:CAInfo|SslCert|SslKey|CrlFile) "(/.*)";$`)

// copyFiles copies files that apt of this machine uses to the same places in a root, unless it has its own there: keys,
// passwords for mirrors, certificates.
func copyFiles(root string, keys []string, settings string) error {
	files := append(slices.Clone(keys), "/etc/apt/auth.conf", "/etc/ssl/certs/ca-certificates.crt")
	more, err := filepath.Glob("/etc/apt/auth.conf.d/*")
	if err != nil {
		return err
	}
	files = append(files, more...)
	for _, m := range named().FindAllStringSubmatch(settings, -1) {
		files = append(files, m[1])
	}
	for _, file := range files {
		if err := copyFile(file, filepath.Join(root, file)); err != nil {
			return err
		}
	}
	return nil
}

// copyFile copies one, with its mode, if there is one and nothing at its new place.
func copyFile(from, to string) error {
	st, err := os.Stat(from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if _, err := os.Lstat(to); err == nil {
		return nil
	}
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return os.WriteFile(to, data, st.Mode().Perm())
}
