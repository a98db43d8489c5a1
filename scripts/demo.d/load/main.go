// SPDX-License-Identifier: GPL-2.0

// Command load is the client of scripts/demo: it keeps a Redis server busy, counts every answer, and asks it the
// question that a security fix answers differently.
//
//	load run  [-addr A] [-clients N] [-pause D] SOCKET	work until SIGTERM; whoever connects to SOCKET gets the counts
//	load stats SOCKET					print the counts: requests errors resets slowest-µs
//	load ask  [-addr A] PATCH				restore the corrupt payload in PATCH's regression test
//
// ask exits with 0 if the server accepted the payload, 1 if it refused it, 2 if it did anything else.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	status, err := run(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		status = 2
	}
	os.Exit(status)
}

func run(args []string) (int, error) {
	if len(args) == 0 {
		return 0, errors.New("usage: load run|stats|ask [OPTION]... ARGUMENT")
	}
	flags := flag.NewFlagSet("load "+args[0], flag.ContinueOnError)
	addr := flags.String("addr", "127.0.0.1:6379", "`ADDRESS` of the server")
	clients := flags.Int("clients", 10, "`NUMBER` of connections")
	pause := flags.Duration("pause", 2*time.Millisecond, "`TIME` that a client rests after each round of requests")
	if err := flags.Parse(args[1:]); err != nil {
		return 0, err
	}
	if flags.NArg() != 1 {
		return 0, fmt.Errorf("%s takes one argument", args[0])
	}
	arg := flags.Arg(0)

	switch args[0] {
	case "run":
		return 0, work(*addr, arg, *clients, *pause)
	case "stats":
		return 0, printStats(arg)
	case "ask":
		return ask(*addr, arg)
	default:
		return 0, fmt.Errorf("no such command: %s", args[0])
	}
}

// work keeps the server busy until SIGTERM and prints the counts at the end.
func work(addr, socket string, clients int, pause time.Duration) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	c := &counts{}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	defer listener.Close()
	go serveStats(listener, c)

	runClients(ctx, c, addr, clients, pause)
	fmt.Println(c.snapshot())
	return nil
}

func serveStats(listener net.Listener, c *counts) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return // closed: the work is done
		}
		fmt.Fprintln(conn, c.snapshot())
		conn.Close()
	}
}

func printStats(socket string) error {
	conn, err := net.Dial("unix", socket)
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = io.Copy(os.Stdout, conn)
	return err
}
