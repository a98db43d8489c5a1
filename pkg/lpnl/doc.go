// SPDX-License-Identifier: GPL-2.0

// Package lpnl is a client of the kernel module lpatch.ko, over its generic netlink family "lpatch".
//
// client.go dials and has the one function through which every request passes, encode.go and decode.go make and read
// messages, error.go turns what the kernel says into Go errors with its sentences unchanged, events.go listens, and
// zabi.go is generated from the contract, Documentation/netlink/lpatch.yaml.
//
// Other programs may use this package. Within a minor version what it exports is not removed or changed, but added to; a module
// of the same minor version answers it.
package lpnl
