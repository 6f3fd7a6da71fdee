//go:build !linux

package main

// threadID returns the id of the thread that runs the caller, and whether it is known here.
func threadID() (id int, known bool) { return 0, false }
