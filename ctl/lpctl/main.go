// Lpctl patches running programs; Documentation/man/lpctl.8.md says how to use it.
package main

import "os"

// version of the whole project.
const version = "0.1.0"

func main() { os.Exit(run(os.Args, os.Stdout, os.Stderr)) }
