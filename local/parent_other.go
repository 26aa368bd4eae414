//go:build !linux

package main

// dieWithGoRun does nothing here: only Linux can tie a process to its parent.
func dieWithGoRun() {}
