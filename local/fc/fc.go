// Package fc is the stand-in's Function Compute: it runs the built functions of
// an s.yaml as processes behind the runtime API that their SDK speaks, serves
// their HTTP triggers and a part of the FC OpenAPI, fires their timers, and
// queues and retries asynchronous invocations.
//
// It promises what the service promises. An asynchronous invocation is on disk
// before it is accepted and runs at least once; an instance handles one request
// at a time; a function that outlives its timeout is killed; no function process
// outlives this one (Linux). It does not freeze idle instances, limit memory or
// CPU, or bill.
package fc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"ecs-image-export/local/faults"
	"ecs-image-export/local/identity"
	"ecs-image-export/local/syaml"
)

// Config says what to run and with whom to talk.
type Config struct {
	// Dir is the folder for the queue and the logs.
	Dir string
	// Root is the folder that the code of s.yaml is relative to.
	Root      string
	Project   *syaml.Project
	AccountID string
	Region    string
	// Identities finds who signed a call, Roles hands out the credentials of the
	// functions' and the triggers' roles.
	Identities identity.Source
	Roles      identity.Roles
	// Faults happen to the events of triggers; nil means that none do.
	Faults *faults.Table
	// Speed divides the periods of timers. Zero means 1.
	Speed float64
	// MaxInstances is how many instances one function may have; further requests
	// wait. Zero means 20.
	MaxInstances int
	// IdleAfter is how long an unused instance is kept. Zero means a minute.
	IdleAfter time.Duration
	// RetryWait is the wait before the first retry of an asynchronous invocation
	// that failed; it doubles with each further one. Zero means a second. The
	// service does not document its own.
	RetryWait time.Duration
	Now       func() time.Time
	// Log receives what a person should know, one line each; nil: nothing.
	Log io.Writer
}

// Service is a running Function Compute. It serves HTTP triggers and the
// OpenAPI.
type Service struct {
	config    Config
	functions []*function
	byName    map[string]*function
	starter   *starter
	queue     *queue

	ctx     context.Context // ends with Close
	cancel  context.CancelFunc
	running sync.WaitGroup
	created time.Time
	logMu   sync.Mutex

	ticks sync.Map // the timers whose last tick has not ended

	closeMu sync.Mutex
	closed  bool
}

// function is one function of the project with what runs it.
type function struct {
	syaml.Function
	arn         string
	dir         string // of the code
	pool        *pool
	log         *functionLog
	credentials *roleCredentials
}

// Open starts the service: timers tick and what was queued before goes on.
// Instances start with the first request.
func Open(c Config) (*Service, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Speed == 0 {
		c.Speed = 1
	}
	if c.MaxInstances == 0 {
		c.MaxInstances = 20
	}
	if c.IdleAfter == 0 {
		c.IdleAfter = time.Minute
	}
	if c.RetryWait == 0 {
		c.RetryWait = time.Second
	}
	if c.Log == nil {
		c.Log = io.Discard
	}
	s := &Service{config: c, byName: map[string]*function{}, created: c.Now()}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	if err := s.supported(); err != nil {
		return nil, err
	}
	root, err := filepath.Abs(c.Root)
	if err != nil {
		return nil, fmt.Errorf("open fc: %w", err)
	}
	logs := filepath.Join(c.Dir, "logs")
	if err := os.MkdirAll(logs, 0o755); err != nil {
		return nil, fmt.Errorf("open fc: %w", err)
	}
	for _, ignored := range c.Project.Ignored {
		s.warn("%s of s.yaml has no effect here", ignored)
	}
	s.starter = newStarter()
	for _, f := range c.Project.Functions {
		fn := &function{
			Function: f,
			arn:      fmt.Sprintf("acs:fc:%s:%s:functions/%s", c.Region, c.AccountID, f.Name),
			dir:      filepath.Join(root, f.Code),
			log:      newFunctionLog(filepath.Join(logs, f.Name+".log"), c.Now),
		}
		for _, ignored := range f.Ignored {
			s.warn("%s: %s of s.yaml has no effect here", f.Name, ignored)
		}
		for _, t := range f.Triggers {
			if t.OSS != nil && t.SourceARN != s.bucketARN(t.OSS.Bucket) {
				s.warn("%s: trigger %s never fires: its source %s is not %s", f.Name, t.Name, t.SourceARN, s.bucketARN(t.OSS.Bucket))
			}
		}
		fn.credentials = &roleCredentials{roles: c.Roles, role: f.Role, session: f.Name, now: c.Now, timeout: f.Timeout}
		limit := c.MaxInstances
		if f.Reserved > 0 {
			limit = min(limit, f.Reserved)
		}
		fn.pool = newPool(limit, c.IdleAfter)
		s.functions = append(s.functions, fn)
		s.byName[f.Name] = fn
	}
	q, err := openQueue(filepath.Join(c.Dir, "fc.db"))
	if err != nil {
		s.starter.close()
		return nil, err
	}
	s.queue = q
	s.running.Go(s.dispatch)
	s.startTimers()
	return s, nil
}

// supported refuses what would silently do something else than the cloud.
func (s *Service) supported() error {
	var errs []error
	for _, f := range s.config.Project.Functions {
		if f.Runtime != "go1" {
			errs = append(errs, fmt.Errorf("function %s: runtime %s is not run here, only go1 is", f.Name, f.Runtime))
		}
		if filepath.IsAbs(f.Code) || f.Code == "" {
			errs = append(errs, fmt.Errorf("function %s: code %q must be a folder relative to s.yaml", f.Name, f.Code))
		}
		if f.Region != s.config.Region {
			errs = append(errs, fmt.Errorf("function %s: region %s of s.yaml is not that of this stand-in, %s", f.Name, f.Region, s.config.Region))
		}
		for event, destination := range map[string]string{"onSuccess": f.Async.OnSuccess, "onFailure": f.Async.OnFailure} {
			if destination != "" && !strings.HasPrefix(destination, "acs:fc:") {
				errs = append(errs, fmt.Errorf("function %s: the %s destination %s is not delivered to here, only functions are",
					f.Name, event, destination))
			}
		}
		for _, t := range f.Triggers {
			if t.HTTP != nil && t.HTTP.AuthType == "jwt" {
				errs = append(errs, fmt.Errorf("function %s: trigger %s: authType jwt is not checked here", f.Name, t.Name))
			}
		}
	}
	return errors.Join(errs...)
}

// ServeHTTP serves the OpenAPI below /2023-03-30/, debugging pages below
// /_local/, and the HTTP triggers everywhere else.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.EscapedPath()
	switch {
	case strings.HasPrefix(path, apiPrefix):
		s.serveAPI(w, r)
	case strings.HasPrefix(path, localPrefix):
		s.serveLocal(w, r)
	default:
		s.serveTrigger(w, r)
	}
}

// Close ends every instance at once and waits until they are gone. Invocations
// under way fail; asynchronous ones run again after the next Open.
func (s *Service) Close() error {
	s.closeMu.Lock()
	if s.closed {
		s.closeMu.Unlock()
		return nil
	}
	s.closed = true
	s.closeMu.Unlock()
	s.cancel()
	for _, f := range s.functions {
		f.pool.close()
	}
	s.running.Wait()
	s.starter.close()
	var errs []error
	for _, f := range s.functions {
		errs = append(errs, f.log.close())
	}
	return errors.Join(append(errs, s.queue.close())...)
}

// warn writes one line for a person.
func (s *Service) warn(format string, args ...any) {
	s.logMu.Lock()
	defer s.logMu.Unlock()
	fmt.Fprintf(s.config.Log, "%s fc: %s\n", s.config.Now().UTC().Format(time.RFC3339), fmt.Sprintf(format, args...))
}
