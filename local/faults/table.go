package faults

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
)

// Table holds the faults of one stand-in. Its methods are safe for concurrent
// use.
type Table struct {
	random func() float64
	closed chan struct{}
	close  func()

	mu       sync.Mutex
	services map[string]Service // what is in front of them
	entries  []*Entry
}

// Entry is a fault with what became of it.
type Entry struct {
	Fault
	// Calls is how many calls it could have struck, and Struck how many it did.
	// Where several faults strike the same call, the oldest happens and all count
	// the call.
	Calls  int `json:"calls"`
	Struck int `json:"struck"`
}

// New makes an empty table.
func New() *Table {
	t := &Table{random: rand.Float64, closed: make(chan struct{}), services: map[string]Service{}}
	t.close = sync.OnceFunc(func() { close(t.closed) })
	return t
}

// Close ends the delays that calls are in: their connections are cut.
func (t *Table) Close() { t.close() }

// Wrong is a fault that cannot be made, with everything that is wrong with it.
type Wrong struct {
	Problems []string `json:"problems"`
}

func (e *Wrong) Error() string { return strings.Join(e.Problems, "; ") }

// Add makes a fault, or returns a *Wrong. The status and the message of a code
// are filled in.
func (t *Table) Add(f Fault) (Fault, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	problems := t.check(&f)
	if len(problems) > 0 {
		return f, &Wrong{problems}
	}
	t.entries = append(t.entries, &Entry{Fault: f})
	return f, nil
}

func (t *Table) check(f *Fault) []string {
	service, known := t.services[f.Service]
	if !known && f.Service != FC {
		names := []string{FC}
		for name := range t.services {
			names = append(names, name)
		}
		slices.Sort(names)
		return []string{fmt.Sprintf("service %q is none of %s", f.Service, strings.Join(names, ", "))}
	}
	var problems []string
	actions := triggerTypes
	if known {
		actions = service.Operations()
	}
	if f.Action != "" && !slices.Contains(actions, f.Action) {
		problems = append(problems, fmt.Sprintf("action %q is none of %s's: %s (leave it out for every one)", f.Action, f.Service, strings.Join(actions, ", ")))
	}
	problems = append(problems, f.When.problems()...)
	problems = append(problems, f.What.problems(*f)...)
	if known && f.What.Code != "" && (f.What.Status == 0 || f.What.Message == "") {
		status, message := service.Documented(f.What.Code, f.What.Status)
		if f.What.Status == 0 {
			f.What.Status = status
		}
		if f.What.Message == "" {
			f.What.Message = message
		}
		if f.What.Status == 0 {
			problems = append(problems, fmt.Sprintf("what.code %q is no code that %s documents: correct it, or give its what.status too", f.What.Code, f.Service))
		}
	}
	return problems
}

// List returns all faults, the oldest first.
func (t *Table) List() []Entry {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := []Entry{}
	for _, e := range t.entries {
		out = append(out, *e)
	}
	return out
}

// Clear forgets all faults. What they have begun, such as a delay, goes on.
func (t *Table) Clear() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.entries = nil
}

// Strike counts a call of a service's operation, by all its names, and tells what
// happens to it; ok is false for an ordinary call, and always for a nil Table.
func (t *Table) Strike(service string, names ...string) (what What, ok bool) {
	if t == nil {
		return What{}, false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, e := range t.entries {
		if e.Service != service || e.Action != "" && !slices.Contains(names, e.Action) {
			continue
		}
		e.Calls++
		if !ok && e.When.strikes(e.Calls, e.Struck, t.random) {
			e.Struck++
			what, ok = e.What, true
		}
	}
	return what, ok
}

// idle tells whether a service has no faults.
func (t *Table) idle(service string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return !slices.ContainsFunc(t.entries, func(e *Entry) bool { return e.Service == service })
}
