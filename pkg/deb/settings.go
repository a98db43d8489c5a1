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

// Settings returns the settings of apt of this machine that concern the connection to its mirrors, as an apt.conf file:
// proxies, certificates, validity dates and so on. apt in the root of another system needs the same settings.
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

// settings selects the lines that concern the connection. Programs that detect a proxy exist only on this machine; see
// detected.
func settings(dump string) string {
	var b strings.Builder
	for line := range strings.Lines(dump) {
		if wanted().MatchString(line) && !strings.Contains(line, "Auto-Detect") && !strings.Contains(line, "AutoDetect") {
			b.WriteString(line)
		}
	}
	return b.String()
}

// detected returns the proxy that apt reports: "Using proxy 'http://proxy:3142' for URL …".
func detected(said string) string {
	_, rest, _ := strings.Cut(said, "Using proxy '")
	proxy, _, ok := strings.Cut(rest, "'")
	if !ok || proxy == "" {
		return ""
	}
	return `Acquire::http::Proxy "` + proxy + "\";\n"
}

// named matches files that settings refer to.
var named = lazyregexp.New(`(?m)^Acquire::https::.*(?:CAInfo|SslCert|SslKey|CrlFile) "(/.*)";$`)

var signedBy = lazyregexp.New(`signed-by=[^ \]]+`)

// moved returns lines of sources and settings in which the paths of files are relocated to another root.
func moved(list, settings string, files []string, root string) (newList, newSettings string) {
	path := func(file string) string {
		if slices.Contains(files, file) {
			return root + file
		}
		return file
	}
	newList = signedBy().ReplaceAllStringFunc(list, func(option string) string {
		keys := strings.Split(strings.TrimPrefix(option, "signed-by="), ",")
		for i := range keys {
			keys[i] = path(keys[i])
		}
		return "signed-by=" + strings.Join(keys, ",")
	})
	newSettings = named().ReplaceAllStringFunc(settings, func(line string) string {
		file := named().FindStringSubmatch(line)[1]
		return strings.Replace(line, `"`+file+`"`, `"`+path(file)+`"`, 1)
	})
	return newList, newSettings
}

// isSecret reports whether a file is not world-readable.
func isSecret(mode fs.FileMode) bool { return mode&0o004 == 0 }

func isOpen(mode fs.FileMode) bool { return !isSecret(mode) }

func isAny(fs.FileMode) bool { return true }

// copyFiles copies files that apt of this machine uses to the same paths in a root: keys, passwords for mirrors,
// certificates, if wanted accepts their mode. It returns the copied paths.
func copyFiles(root string, keys []string, settings string, wanted func(fs.FileMode) bool) ([]string, error) {
	files := append(slices.Clone(keys), "/etc/apt/auth.conf", "/etc/ssl/certs/ca-certificates.crt")
	more, err := filepath.Glob("/etc/apt/auth.conf.d/*")
	if err != nil {
		return nil, err
	}
	files = append(files, more...)
	for _, m := range named().FindAllStringSubmatch(settings, -1) {
		files = append(files, m[1])
	}
	var copied []string
	for _, file := range files {
		data, err := os.ReadFile(file)
		switch {
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission): // apt of an unprivileged user does not use files of root
			continue
		case err != nil:
			return nil, err
		}
		st, err := os.Stat(file)
		if err != nil {
			return nil, err
		}
		if !wanted(st.Mode()) {
			continue
		}
		to := filepath.Join(root, file)
		if err := errors.Join(os.MkdirAll(filepath.Dir(to), 0o755), os.WriteFile(to, data, st.Mode().Perm())); err != nil {
			return nil, err
		}
		copied = append(copied, file)
	}
	return copied, nil
}
