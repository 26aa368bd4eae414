// Package faults makes the stand-in's services fail on purpose: a call is
// refused, late, cut off or left without an answer, an event comes twice, late or
// never.
//
// A Table holds what was asked for. Wrap puts it in front of a service that is
// called over HTTP, and Function Compute asks Strike for each event of a trigger.
// Faults count calls and not operations: a client that tries again by itself, as
// Go does with a GET on a connection that was cut, makes another call.
package faults

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Fault is one thing that goes wrong. It stays in its table until that is
// cleared, also when it will not strike again.
type Fault struct {
	// Service is ecs, ram, sts, oss, mns or fc.
	Service string `json:"service"`
	// Action is an operation as the service's documents name it ("ExportImage",
	// "AppendObject"); where a batch has a name of its own, either name means both.
	// Of fc it is the type of the trigger whose event it is: oss, mns_topic or
	// timer. Blank means every one.
	Action string `json:"action,omitempty"`
	When   When   `json:"when,omitzero"`
	What   What   `json:"what"`
}

// When says which of the calls are struck, counted from when the fault was made.
// The zero value is every call.
type When struct {
	// Nth is the first call that is struck; 1 is the next one.
	Nth int `json:"nth,omitempty"`
	// Times is how many calls are struck: by default one with Nth, and as many as
	// come otherwise.
	Times int `json:"times,omitempty"`
	// Probability is the chance of each call, above 0 and up to 1. It does not go
	// with Nth.
	Probability float64 `json:"probability,omitempty"`
}

// What says what happens to a call that is struck. Delay goes with each of the
// others, Status and Message with Code; of the rest there is one at most.
type What struct {
	// Code refuses the call before any work is done, in the service's own format.
	// Status and Message are those of the documents unless they are given.
	Code string `json:"code,omitempty"`
	// Status without Code is an answer of something in front of the service, whose
	// body is not in the service's format.
	Status  int    `json:"status,omitempty"`
	Message string `json:"message,omitempty"`
	// Delay is how long the call waits before anything else happens, in real time,
	// whatever the stand-in's speed. The work is done then even if the caller went
	// away. A late event lets others pass.
	Delay Duration `json:"delay,omitempty"`
	// Drop does the work and cuts the connection instead of answering. Whoever
	// sent an event takes it for undelivered and sends it again.
	Drop bool `json:"drop,omitempty"`
	// Cut cuts the connection before any work is done. An event was not
	// delivered: OSS and MNS send it again, a timer does not.
	Cut bool `json:"cut,omitempty"`
	// Duplicate does the work twice and answers once: a message or an event comes
	// twice.
	Duplicate bool `json:"duplicate,omitempty"`
	// Lose takes an event and never fires.
	Lose bool `json:"lose,omitempty"`
}

// Duration is written as 1.5s or 300ms.
type Duration time.Duration

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf(`what.delay is %q, and has to be a text such as "1.5s" or "300ms"`, text)
	}
	*d = Duration(v)
	return nil
}

// FC is the service whose faults are of events, and TriggerTypes are its actions,
// named as in s.yaml.
const (
	FC       = "fc"
	OSS      = "oss"
	MNSTopic = "mns_topic"
	Timer    = "timer"
)

var triggerTypes = []string{OSS, MNSTopic, Timer}

// effect is one thing that can be done to a call.
type effect struct {
	name  string
	given func(What) bool
	// calls and events tell what it can be done to; actions, of which calls.
	calls, events bool
	actions       map[string][]string // by service; nil: all
	// alone is true if nothing else that is alone goes with it.
	alone bool
}

// effects are all that can be done.
var effects = []effect{
	{name: "code", given: func(w What) bool { return w.Code != "" }, calls: true, alone: true},
	{name: "status", given: func(w What) bool { return w.Status != 0 && w.Code == "" }, calls: true, alone: true},
	{name: "drop", given: func(w What) bool { return w.Drop }, calls: true, events: true, alone: true},
	{name: "cut", given: func(w What) bool { return w.Cut }, calls: true, events: true, alone: true},
	{name: "duplicate", given: func(w What) bool { return w.Duplicate }, calls: true, events: true, alone: true,
		actions: map[string][]string{"mns": {"SendMessage", "BatchSendMessage", "PublishMessage"}}},
	{name: "lose", given: func(w What) bool { return w.Lose }, events: true, alone: true},
	{name: "delay", given: func(w What) bool { return w.Delay != 0 }, calls: true, events: true},
}

// allows tells whether an effect can be done to the calls of a fault, and if not,
// why.
func (e effect) allows(f Fault) string {
	switch {
	case f.Service == FC && !e.events:
		return "what." + e.name + " is of calls, and fc has events: they can come late (delay), twice (duplicate or drop), never (lose), or be sent again (cut)"
	case f.Service != FC && !e.calls:
		return "what." + e.name + " is of events: give it with service fc"
	case f.Service == FC || e.actions == nil || slices.Contains(e.actions[f.Service], f.Action):
		return ""
	}
	return fmt.Sprintf("what.%s is of messages and events: give it with an action of mns (%s) or with service fc", e.name, strings.Join(e.actions["mns"], ", "))
}

func (w What) problems(f Fault) []string {
	var problems, alone []string
	given := 0
	for _, e := range effects {
		if !e.given(w) {
			continue
		}
		given++
		if e.alone {
			alone = append(alone, "what."+e.name)
		}
		if problem := e.allows(f); problem != "" {
			problems = append(problems, problem)
		}
	}
	if given == 0 {
		var names []string
		for _, e := range effects {
			names = append(names, e.name)
		}
		problems = append(problems, "what does nothing: give one of "+strings.Join(names, ", "))
	}
	if len(alone) > 1 {
		problems = append(problems, "only one of "+strings.Join(alone, ", ")+" can happen to a call: make a fault for each, with a when of its own")
	}
	if w.Status != 0 && (w.Status < 400 || w.Status > 599) {
		problems = append(problems, fmt.Sprintf("what.status %d is no error: it is from 400 to 599", w.Status))
	}
	if w.Message != "" && w.Code == "" {
		problems = append(problems, "what.message is shown with a code: give what.code")
	}
	if w.Delay < 0 {
		problems = append(problems, fmt.Sprintf("what.delay %v is below zero", time.Duration(w.Delay)))
	}
	return problems
}

func (w When) problems() []string {
	var problems []string
	if w.Nth < 0 {
		problems = append(problems, fmt.Sprintf("when.nth %d: the next call is 1", w.Nth))
	}
	if w.Times < 0 {
		problems = append(problems, fmt.Sprintf("when.times %d: it is 1 or more", w.Times))
	}
	if w.Probability < 0 || w.Probability > 1 {
		problems = append(problems, fmt.Sprintf("when.probability %v: it is above 0 and up to 1", w.Probability))
	}
	if w.Nth != 0 && w.Probability != 0 {
		problems = append(problems, "when.nth and when.probability do not go together: give one")
	}
	return problems
}

// strikes tells whether a fault that saw so many calls, the one in question
// among them, and struck so many of them, strikes this one.
func (w When) strikes(calls, struck int, random func() float64) bool {
	switch {
	case w.Nth > 0:
		return calls >= w.Nth && calls-w.Nth < max(w.Times, 1)
	case w.Times > 0 && struck >= w.Times:
		return false
	}
	return w.Probability == 0 || random() < w.Probability
}
