// SPDX-License-Identifier: GPL-2.0

package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
)

// key is where the corrupt stream goes. It is deleted at once: that frees each part of it only once. (To acknowledge
// its entry is what corrupts the server's memory. This program never does.)
const key = "lpatch:demo:corrupt"

// ask sends the payload that a patch brings along in its regression test.
func ask(addr, patch string) (int, error) {
	text, err := os.ReadFile(patch)
	if err != nil {
		return 0, err
	}
	payload, err := findPayload(string(text))
	if err != nil {
		return 0, fmt.Errorf("%s: %w", patch, err)
	}
	c, err := dial(addr)
	if err != nil {
		return 0, err
	}
	defer c.Close()

	fmt.Printf("  > RESTORE %s (%d bytes: one entry, claimed by two consumers)\n", key, len(payload))
	answer, err := c.do("RESTORE", key, "0", payload, "REPLACE")
	var refusal errorReply
	switch {
	case errors.As(err, &refusal):
		fmt.Printf("  < %s\n", refusal)
		if !strings.Contains(string(refusal), "Bad data format") {
			return 2, nil
		}
		return 1, nil
	case err != nil:
		return 0, err
	}
	fmt.Printf("  < %v\n", answer)
	return 0, c.showDamage()
}

// showDamage shows what is wrong with the stream that the server took, and deletes it.
func (c *conn) showDamage() error {
	pending, err := c.do("XPENDING", key, "mygroup")
	if err != nil {
		return err
	}
	// number of entries, first, last, and a list of consumers with the number of entries of each
	list, ok := pending.([]any)
	if !ok || len(list) != 4 {
		return fmt.Errorf("XPENDING: got %v", pending)
	}
	fmt.Printf("  > XPENDING %s mygroup\n  < entries: %v, each by consumer: %v\n", key, list[0], list[3])
	if fmt.Sprint(list[0], list[3]) != "1 [[consumerA 1] [consumerB 1]]" {
		return errors.New("this is not the stream that the payload makes")
	}
	_, err = c.do("DEL", key)
	return err
}

var payloadPattern = regexp.MustCompile(`(?m)^\+.*\bRESTORE mystream 0 "((?:\\x[0-9a-f]{2})+)"`)

// findPayload finds the argument of RESTORE in the test that a patch adds, which is written in Tcl.
func findPayload(patch string) (string, error) {
	match := payloadPattern.FindStringSubmatch(patch)
	if match == nil {
		return "", errors.New("no RESTORE with a payload in it")
	}
	data, err := hex.DecodeString(strings.ReplaceAll(match[1], `\x`, ""))
	return string(data), err
}
