// Package syaml reads the s.yaml that the deploy tool reads (Serverless Devs
// edition 3, component fc3), so that the stand-in runs what is deployed.
//
// It is stricter than the deploy tool and its published JSON Schema, which let
// a misspelt key and any trigger configuration pass: every key must be known,
// every value of its documented type and within its documented limit, and the
// rules between triggers must hold. Load reports all problems at once, each with
// its place in the file.
//
// Interpolation is the deploy tool's: a scalar that is nothing but ${…} takes
// the value with its type, even in quotes; within other text it becomes text.
// ${env('X', 'default')}, ${vars.a.b}, ${resources.R.props.x}, ${this.props.x},
// ${this.name}, ${this.access} and ${config('AccountID')} are known. What needs
// the cloud or other files (${resources.R.output.x}, ${file(…)}, extend,
// template) is refused by name.
package syaml

import (
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Options say what the file's expressions refer to.
type Options struct {
	// Env looks up an environment variable, as os.LookupEnv does. Nil: none is
	// set, so that every ${env(…)} takes its default.
	Env func(name string) (string, bool)
	// Overrides replaces scalars under vars by their path without "vars.", such
	// as "endpoints.oss". A path that the file does not have is a problem.
	Overrides map[string]string
	// AccountID is the value of ${config('AccountID')}.
	AccountID string
	// Speed divides every duration under vars.intervals and nothing else. Zero
	// means 1. See ScaleIntervals.
	Speed float64
}

// Project is a file that was read, resolved and found valid.
type Project struct {
	Path      string // as given to Load
	Name      string
	Access    string
	Functions []Function // in the order of the file
	// Ignored is what the deploy tool acts on and a stand-in need not know, such
	// as "resource db (component rds)" or "flow".
	Ignored []string
}

// Function is one resource of component fc3.
type Function struct {
	Resource    string // its key under resources
	Line        int    // of that key
	Name        string
	Region      string
	Description string
	Runtime     string
	Handler     string
	Code        string        // as written: a folder or a zip file, relative to the file's folder
	Role        string        // a name or an ARN; blank: none
	MemoryMB    int           // 512 unless given
	CPU         float64       // vCPU; 0.35 unless given or memory differs, then 0: the service chooses
	DiskMB      int           // 512 unless given
	Timeout     time.Duration // 3 s unless given
	Concurrency int           // requests per instance, 1 unless given
	Reserved    int           // concurrencyConfig.reservedConcurrency; 0: none
	Environment map[string]string
	Initializer *Hook
	Async       Async
	Triggers    []Trigger
	// Ignored lists the properties given that have no effect outside the cloud,
	// and triggers of types that only the cloud fires.
	Ignored []string
}

// Hook is a lifecycle hook of an instance.
type Hook struct {
	Handler string
	Timeout time.Duration // 3 s unless given
}

// Async is how asynchronous invocations are retried.
type Async struct {
	Retries   int           // after the first try; 3 unless given
	EventAge  time.Duration // 24 h unless given
	OnSuccess string        // ARN of a destination, or blank
	OnFailure string
}

// Trigger is one trigger. Exactly one of the pointers is set for the types that
// are known here; none for a type that only the cloud fires.
type Trigger struct {
	Name           string
	Line           int
	Type           string
	Description    string
	Qualifier      string // LATEST unless given
	SourceARN      string
	InvocationRole string // the service's default role unless given; blank where none is needed
	HTTP           *HTTPTrigger
	Timer          *TimerTrigger
	OSS            *OSSTrigger
	MNSTopic       *MNSTopicTrigger
}

// HTTPTrigger is the configuration of an HTTP trigger.
type HTTPTrigger struct {
	AuthType string // anonymous, function or jwt
	Methods  []string
}

// TimerTrigger is the configuration of a timer trigger.
type TimerTrigger struct {
	// Cron is "@every" and a number of minutes or hours, or six fields (seconds
	// first) in UTC, or in the zone of a leading CRON_TZ=.
	Cron    string
	Enable  bool
	Payload string
}

// OSSTrigger is the configuration of an OSS trigger.
type OSSTrigger struct {
	Bucket string   // from the source ARN
	Events []string // "oss:ObjectCreated:PutObject"; a last part of * is any
	Prefix string
	Suffix string
}

// MNSTopicTrigger is the configuration of an MNS topic trigger.
type MNSTopicTrigger struct {
	Topic         string // from the source ARN
	ContentFormat string // JSON or STREAM
	Strategy      string // BACKOFF_RETRY or EXPONENTIAL_DECAY_RETRY
	FilterTag     string
}

// Load reads the file at path. A file with problems gives a Problems error that
// holds all of them.
func Load(path string, o Options) (*Project, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read project: %w", err)
	}
	p, err := Parse(filepath.Base(path), data, o)
	if err != nil {
		return nil, err
	}
	p.Path = path
	return p, nil
}

// Parse is Load of a file's content; name stands in messages.
func Parse(name string, data []byte, o Options) (*Project, error) {
	r := &reader{file: name, options: o}
	root := r.parse(data)
	if root == nil {
		return nil, r.problems
	}
	r.prepare(root)
	r.checkTop(root)
	p := r.project(root)
	if len(r.problems) > 0 {
		r.problems.sort()
		return nil, r.problems
	}
	return p, nil
}

// reader goes through one file and gathers its problems.
type reader struct {
	file     string
	options  Options
	problems Problems
	root     *node
}
