package main

import (
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// dieWithGoRun asks the kernel to stop this process when its parent is killed,
// if that parent is "go run": whoever kills the command that they typed means
// this process, which go run cannot pass a SIGKILL on to.
func dieWithGoRun() {
	self, err := os.Executable()
	if err != nil || !strings.Contains(self, "/go-build") {
		return
	}
	// SIGTERM is handled: the functions end first.
	_ = unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(syscall.SIGTERM), 0, 0, 0)
}
