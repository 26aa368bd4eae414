//go:build !linux

package fc

import (
	"os"
	"os/exec"
)

// detach does nothing here: only Linux ties a process's life to that of its
// parent, so elsewhere a stand-in that is killed by SIGKILL leaves its function
// processes behind, looping on a closed port. A normal end leaves none.
func detach(*exec.Cmd) {}

func kill(p *os.Process) { _ = p.Kill() }

func peakMemory(*os.ProcessState) float64 { return 0 }
