package fc

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"ecs-image-export/local/identity"
)

// startTimeout is how long a new process may take until it asks for work. It is
// not part of the function's timeout.
const startTimeout = 30 * time.Second

// instance is one process of a function and the runtime API that it talks to,
// on a port of its own. It handles one request at a time.
type instance struct {
	id       string
	function *function
	service  *Service
	command  *exec.Cmd
	server   *http.Server
	work     chan *invocation
	exited   chan struct{} // closed once the process has ended

	mu      sync.Mutex
	current *invocation
	resting *time.Timer
}

// startInstance starts a process of f and initializes it where f has an
// initializer. It returns no instance but an outcome when that fails.
func (s *Service) startInstance(f *function, credentials identity.Credentials) (*instance, outcome) {
	executable := filepath.Join(f.dir, f.Handler)
	if info, err := os.Stat(executable); err != nil || info.IsDir() {
		s.warn("%s: there is no executable %s; build the functions first", f.Name, executable)
		return nil, failedAs(unhandledError, "InvalidHandlerName", "Invalid handler '%s'", f.Handler)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, refuse(http.StatusServiceUnavailable, "ServiceUnavailable", "start an instance of %s: %v", f.Name, err)
	}
	i := &instance{id: "c-" + randomHex(8), function: f, service: s,
		work: make(chan *invocation), exited: make(chan struct{})}
	i.server = &http.Server{Handler: http.HandlerFunc(i.serveRuntime)}
	go func() { _ = i.server.Serve(listener) }()

	stdout, stderr := &lineWriter{write: i.line("stdout")}, &lineWriter{write: i.line("stderr")}
	i.command = exec.Command(executable)
	i.command.Dir = f.dir
	i.command.Env = i.environment(listener.Addr().String(), credentials)
	i.command.Stdout, i.command.Stderr = stdout, stderr
	// A process that the function started may hold its output open.
	i.command.WaitDelay = time.Second
	if err := s.starter.start(i.command); err != nil {
		_ = i.server.Close()
		s.warn("%s: start %s: %v", f.Name, executable, err)
		return nil, failedAs(unhandledError, "InvalidHandlerName", "Invalid handler '%s': %v", f.Handler, err)
	}
	s.running.Go(func() {
		_ = i.command.Wait()
		stdout.flush()
		stderr.flush()
		// Only now: the runtime SDK asks again and again, without a pause, for as
		// long as it lives and nobody answers.
		_ = i.server.Close()
		close(i.exited)
	})
	if !f.pool.add(i) {
		i.end()
		return nil, outcome{refused: errClosing}
	}
	if f.Initializer != nil {
		init := &invocation{id: newRequestID(s.config.Now()), step: stepInitialize, timeout: f.Initializer.Timeout,
			credentials: credentials, result: make(chan outcome, 1)}
		if out, _ := i.run(init); out.errorType != "" {
			i.end()
			out.errorType = initializationError
			return nil, out
		}
	}
	return i, outcome{}
}

// environment is all that the process sees: what the service sets and the
// function's own variables, nothing of this process's environment.
func (i *instance) environment(api string, c identity.Credentials) []string {
	f := i.function
	env := []string{
		"PATH=/usr/local/bin:/usr/bin:/bin",
		"HOME=/tmp",
		"TZ=UTC",
		"FC_RUNTIME_API=" + api,
		"FC_FUNC_CODE_PATH=" + f.dir + string(filepath.Separator),
		"FC_ACCOUNT_ID=" + i.service.config.AccountID,
		"FC_REGION=" + i.service.config.Region,
		"FC_FUNCTION_NAME=" + f.Name,
		"FC_FUNCTION_HANDLER=" + f.Handler,
		"FC_FUNCTION_MEMORY_SIZE=" + strconv.Itoa(f.MemoryMB),
		"FC_INSTANCE_ID=" + i.id,
		"FC_VER_ID=LATEST",
	}
	if c.AccessKeyID != "" {
		env = append(env,
			"ALIBABA_CLOUD_ACCESS_KEY_ID="+c.AccessKeyID,
			"ALIBABA_CLOUD_ACCESS_KEY_SECRET="+c.AccessKeySecret,
			"ALIBABA_CLOUD_SECURITY_TOKEN="+c.SecurityToken)
	}
	for name, value := range f.Environment {
		env = append(env, name+"="+value)
	}
	return env
}

// run hands inv to the process and waits for its end. alive is false where the
// instance can't be used again.
func (i *instance) run(inv *invocation) (out outcome, alive bool) {
	started := time.Now()
	starting := time.NewTimer(startTimeout)
	defer starting.Stop()
	select {
	case i.work <- inv:
	case <-i.exited:
		return i.crashed(started), false
	case <-starting.C:
		i.end()
		return failed(unhandledError, "Function instance did not ask for work within %v of its start", startTimeout), false
	}
	started = time.Now()
	timeout := time.NewTimer(inv.timeout)
	defer timeout.Stop()
	select {
	case out = <-inv.result:
		return out, true
	case <-i.exited:
	case <-timeout.C:
		i.end()
		<-i.exited
		select {
		case out = <-inv.result: // just in time
			return out, false
		default:
		}
		return failed(unhandledError, "Function timed out after %d seconds (maxMemoryUsage: %.0fMB)",
			int(inv.timeout.Seconds()), peakMemory(i.command.ProcessState)), false
	}
	select {
	case out = <-inv.result: // its last act
		return out, false
	default:
		return i.crashed(started), false
	}
}

func (i *instance) crashed(started time.Time) outcome {
	<-i.exited
	return failed(unhandledError, "Process exited unexpectedly before completing request (duration: %dms, maxMemoryUsage: %.0fMB)",
		time.Since(started).Milliseconds(), peakMemory(i.command.ProcessState))
}

// end kills the process. It may be called often and from anywhere.
func (i *instance) end() {
	i.mu.Lock()
	if i.resting != nil {
		i.resting.Stop()
	}
	i.mu.Unlock()
	select {
	case <-i.exited: // its id may be another process's by now
	default:
		kill(i.command.Process)
	}
}

func (i *instance) gone() bool {
	select {
	case <-i.exited:
		return true
	default:
		return false
	}
}

// rest starts the time after which an unused instance ends.
func (i *instance) rest(d time.Duration, expire func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.resting = time.AfterFunc(d, expire)
}

// wake stops that time. It returns false for an instance that is gone.
func (i *instance) wake() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.resting.Stop()
	return !i.gone()
}

// line returns what takes the lines of one of the process's outputs.
func (i *instance) line(stream string) func([]byte) {
	return func(text []byte) {
		i.function.log.line(i.id, stream, text)
		i.mu.Lock()
		current := i.current
		i.mu.Unlock()
		if current != nil && current.tail != nil {
			current.tail.line(text)
		}
	}
}

func (i *instance) String() string {
	return fmt.Sprintf("%s %s", i.function.Name, strings.TrimPrefix(i.id, "c-"))
}
