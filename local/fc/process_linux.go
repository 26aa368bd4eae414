package fc

import (
	"os"
	"os/exec"
	"syscall"
)

// detach puts a process in a group of its own, so that all of it can be killed
// and a Ctrl-C in a terminal reaches us alone, and has the kernel kill it when
// this process dies, however it dies. Processes that it starts itself are killed
// with the group by Close, but not when this process is killed by SIGKILL.
func detach(c *exec.Cmd) {
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// kill ends a process and its group at once.
func kill(p *os.Process) {
	if syscall.Kill(-p.Pid, syscall.SIGKILL) != nil {
		_ = p.Kill()
	}
}

// peakMemory is the most memory that an ended process used, in MB.
func peakMemory(s *os.ProcessState) float64 {
	usage, ok := s.SysUsage().(*syscall.Rusage)
	if !ok {
		return 0
	}
	return float64(usage.Maxrss) / 1024
}
