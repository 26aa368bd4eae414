package export

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// Do is what we do when the cloud answers with a code.
type Do string

// What there is to do.
const (
	// DoRefuse: the order can't be carried out as it is. Nothing was started, and
	// the export fails with the code and its remedy.
	DoRefuse Do = "refuse"
	// DoWait: it passes without anybody doing anything. The call is made again
	// later, an export that was refused so waits in the queue.
	DoWait Do = "wait"
	// DoAdopt: the thing may be done, or be there, already: look, and go on from
	// what is found. This is also for answers after which nobody knows.
	DoAdopt Do = "adopt"
	// DoGiveUp: only a person can mend it, outside of the order: a permission, a
	// bucket, the account. A submission ends with it at once; what runs already is
	// looked at again until MAX_AGE is over.
	DoGiveUp Do = "give up"
)

// The operations and services that the table of codes speaks of. What is listed
// under a service holds for all of its operations that don't list it themselves.
const (
	OpExport  = "ExportImage"
	OpTasks   = "DescribeTasks" // and DescribeTaskAttribute
	OpCancel  = "CancelTask"
	ServiceEC = "ECS"
	ServiceOS = "OSS"
	ServiceMN = "MNS"
	ServiceRA = "RAM"
	ServiceST = "STS"
)

// Code is one answer of the cloud and what it means to us.
type Code struct {
	Where  string // an operation or a service
	Code   string
	Status int // of HTTP; 0 where the documents don't say
	Do     Do
	Means  string // in a sentence
	Remedy string // for a person, in a sentence
	// Limit is what a refused export waits for, where Do is DoWait.
	Limit Limit
}

// CodeOf finds what an answer means. where is one of the constants or another
// operation of ECS; an answer that the table does not know is treated by its HTTP
// status, 0 for no answer at all.
func CodeOf(where, code string, status int) Code {
	for _, w := range lookups(where) {
		if c, ok := find(w, code, status); ok {
			c.Where = where
			return c
		}
		// ECS puts what exactly is throttled or forbidden behind a full stop.
		if family, _, dotted := strings.Cut(code, "."); dotted && w == ServiceEC {
			if c, ok := find(w, family, status); ok {
				c.Where, c.Code = where, code
				return c
			}
		}
	}
	return byClass(where, code, status)
}

// lookups are the parts of the table that hold for where, the closest first. What is
// in front of ECS is in front of RAM and STS too.
func lookups(where string) []string {
	switch where {
	case ServiceOS, ServiceMN:
		return []string{where}
	case "DescribeTaskAttribute":
		return []string{OpTasks, ServiceEC}
	}
	return []string{where, ServiceEC}
}

// Explain finds what an answer means that a client returned as an error. ok is false
// for an error that is of no client. Where one client failed because of another, as
// when no credentials could be had, the other's answer is the reason.
func Explain(err error) (c Code, ok bool) {
	for {
		var answer interface {
			error
			Answer() (where, code string, status int)
		}
		if !errors.As(err, &answer) {
			return c, ok
		}
		c, ok = CodeOf(answer.Answer()), true
		err = errors.Unwrap(answer)
	}
}

// Passes says that the same call may succeed before long, without anybody doing
// anything.
func (c Code) Passes() bool { return c.Do == DoWait || c.Do == DoAdopt }

func find(where, code string, status int) (Code, bool) {
	var found Code
	for _, c := range Codes {
		// One code has two meanings, which the status tells apart.
		if c.Where == where && c.Code == code && (found.Code == "" || c.Status == status) {
			found = c
		}
	}
	return found, found.Code != ""
}

// Remedy is what to do about a failure that a service's code explains, blank for
// any other: the messages of our own say it themselves.
func (f Failure) Remedy() string {
	var remedies []string
	for _, c := range Codes {
		// The log does not keep the status, so a code with two meanings has both
		// remedies.
		if c.Where == OpExport && c.Code == f.Code {
			remedies = append(remedies, c.Remedy)
		}
	}
	if len(remedies) == 0 {
		if c := CodeOf(OpExport, f.Code, 0); c.Do == DoGiveUp {
			return c.Remedy
		}
	}
	return strings.Join(remedies, " Or: ")
}

// byClass treats a code that nobody documented.
func byClass(where, code string, status int) Code {
	c := Code{Where: where, Code: code, Status: status, Do: DoGiveUp}
	switch {
	case status == http.StatusTooManyRequests:
		c.Do, c.Limit = DoWait, CallRate
	case status < 400 || status == http.StatusRequestTimeout || status >= 500 && status != http.StatusNotImplemented:
		c.Do = DoWait
		if where == OpExport {
			c.Do = DoAdopt // it may have begun
		}
	case where == OpExport:
		c.Do = DoRefuse
	}
	if code == "" {
		c.Means = fmt.Sprintf("%s gave no answer that can be read (status %d).", where, status)
		c.Remedy = "If it stays so, look at the service's health in the console and at the network between it and the function."
		return c
	}
	c.Means = fmt.Sprintf("%s answered %s (status %d), which its documents don't list.", where, code, status)
	c.Remedy = fmt.Sprintf("Look it up: https://api.aliyun.com/troubleshoot?q=%s", url.QueryEscape(code))
	return c
}
