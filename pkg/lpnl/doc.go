// SPDX-License-Identifier: GPL-2.0

// Package lpnl implements a client of the kernel module lpatch.ko, which is controlled through the generic netlink family
// "lpatch".
//
// client.go dials and contains the one function through which every request passes; encode.go and decode.go marshal and
// unmarshal messages; error.go turns error replies into Go errors and keeps the sentences of the kernel unchanged; events.go
// receives multicast events; zabi.go is generated from the specification Documentation/netlink/lpatch.yaml.
//
// Other programs may use this package. Within a minor version its exported API only grows: nothing is removed or changed. It
// works with any kernel module of the same minor version.
package lpnl
