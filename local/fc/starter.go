package fc

import (
	"os/exec"
	"runtime"
)

// starter starts processes, all from one operating-system thread. Linux kills a
// process that asked for it (Pdeathsig) when the *thread* that started it ends,
// and Go ends threads as it likes, so that one has to be held. It must be closed
// after the last process has ended.
type starter struct {
	work chan startRequest
	done chan struct{}
}

type startRequest struct {
	command *exec.Cmd
	result  chan error
}

func newStarter() *starter {
	s := &starter{work: make(chan startRequest), done: make(chan struct{})}
	go func() {
		defer close(s.done)
		// Never unlocked: the thread ends with this goroutine.
		runtime.LockOSThread()
		for r := range s.work {
			r.result <- r.command.Start()
		}
	}()
	return s
}

func (s *starter) start(c *exec.Cmd) error {
	detach(c)
	r := startRequest{command: c, result: make(chan error, 1)}
	s.work <- r
	return <-r.result
}

func (s *starter) close() {
	close(s.work)
	<-s.done
}
