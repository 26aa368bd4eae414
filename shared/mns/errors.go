package mns

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
)

// What callers act on. Compare with errors.Is; the text is for people.
var (
	// ErrNoQueue: there is no queue of this name.
	ErrNoQueue = errors.New("no such queue")
	// ErrNoTopic: there is no topic of this name.
	ErrNoTopic = errors.New("no such topic")
	// ErrNoSubscription: the topic has no subscription of this name.
	ErrNoSubscription = errors.New("no such subscription")
	// ErrGone: the receipt handle is no longer good. The message was deleted, or
	// its visibility time-out passed and it has or will have another handle.
	ErrGone = errors.New("message is gone or has another handle")
	// ErrExists: it is there with attributes that cannot be changed.
	ErrExists = errors.New("exists already with other attributes")
	// ErrDenied: the caller may not do that, or its signature, key or token is
	// not accepted.
	ErrDenied = errors.New("access denied")
	// ErrThrottled: too many requests; try later.
	ErrThrottled = errors.New("too many requests")
	// ErrInvalid: the request cannot be made or was refused as it is: a bad name,
	// handle, number or text. Repeating is no use.
	ErrInvalid = errors.New("invalid request")
	// ErrUnsettled: a request that is no query may or may not have been carried out.
	ErrUnsettled = errors.New("outcome unknown")
)

// Error is every error of this package but those of New and BatchError.
type Error struct {
	Op        string // the method, such as "send"
	Resource  string // such as queues/image-export-tasks
	Code      string // of MNS, such as QueueNotExist; blank where none was sent
	Message   string
	RequestID string
	Status    int // of HTTP; 0 where there was no answer

	is     []error
	cause  error
	unsent bool // the request did not leave, so it may be repeated whatever it is
}

func (e *Error) Error() string {
	var s strings.Builder
	fmt.Fprintf(&s, "mns: %s %s", e.Op, e.Resource)
	switch {
	case e.Code != "":
		fmt.Fprintf(&s, ": %d %s: %s", e.Status, e.Code, e.Message)
	case e.Message != "":
		fmt.Fprintf(&s, ": %s", e.Message)
	case e.cause != nil:
		fmt.Fprintf(&s, ": %v", e.cause)
	default:
		fmt.Fprintf(&s, ": status %d", e.Status)
	}
	if e.Is(ErrUnsettled) {
		s.WriteString(" (outcome unknown)")
	}
	if e.RequestID != "" {
		fmt.Fprintf(&s, " (request %s)", e.RequestID)
	}
	return s.String()
}

// Is makes errors.Is find the sentinels.
func (e *Error) Is(target error) bool {
	for _, s := range e.is {
		if s == target {
			return true
		}
	}
	return false
}

// Unwrap returns what happened below: a net error, an error of the context.
func (e *Error) Unwrap() error { return e.cause }

// BatchError tells which parts of a batch failed. The others were carried out.
type BatchError struct {
	Failed []Failure
	Total  int
}

// Failure is one part of a batch, by its place in what the caller gave.
type Failure struct {
	Index int
	Err   error // an *Error
}

func (e *BatchError) Error() string {
	return fmt.Sprintf("mns: %d of %d failed, the first of them: %v", len(e.Failed), e.Total, e.Failed[0].Err)
}

// Unwrap lets errors.Is look at every failure.
func (e *BatchError) Unwrap() []error {
	errs := make([]error, len(e.Failed))
	for i, f := range e.Failed {
		errs[i] = f.Err
	}
	return errs
}

// codes are those that callers act on, of the list at
// https://www.alibabacloud.com/help/doc-detail/27501.htm (SubsriptionNameInvalid is
// spelled so by the service).
var codes = map[string]error{
	"QueueNotExist":               ErrNoQueue,
	"TopicNotExist":               ErrNoTopic,
	"SubscriberNotExist":          ErrNoSubscription,
	"SubscriptionNotExist":        ErrNoSubscription,
	"MessageNotExist":             ErrGone,
	"ReceiptHandleError":          ErrInvalid,
	"QpsLimitExceeded":            ErrThrottled,
	"QueueAlreadyExist":           ErrExists,
	"TopicAlreadyExist":           ErrExists,
	"SubscriptionAlreadyExist":    ErrExists,
	"InvalidArgument":             ErrInvalid,
	"InvalidQueueName":            ErrInvalid,
	"QueueNameLengthError":        ErrInvalid,
	"TopicNameInvalid":            ErrInvalid,
	"TopicNameLengthError":        ErrInvalid,
	"SubsriptionNameInvalid":      ErrInvalid,
	"SubscriptionNameLengthError": ErrInvalid,
	"EndpointInvalid":             ErrInvalid,
	"MalformedXML":                ErrInvalid,
}

func sentinel(code string, status int) error {
	switch s := codes[code]; {
	case s != nil:
		return s
	case status == http.StatusForbidden || status == http.StatusUnauthorized:
		return ErrDenied
	case status == http.StatusTooManyRequests:
		return ErrThrottled
	}
	return nil
}

// Answer says which answer this is, for export.Explain.
func (e *Error) Answer() (where, code string, status int) { return "MNS", e.Code, e.Status }

// settled tells whether an answer means that nothing was done. 501 says that the
// service does not have the operation; a 408 that is not about the time of the
// signature may come of something in front of it.
func settled(status int, code string) bool {
	switch status {
	case http.StatusRequestTimeout:
		return code == "TimeExpired"
	case http.StatusNotImplemented:
		return true
	}
	return status >= 300 && status < 500
}

func dialFailed(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// again tells whether repeating the call may help and does no harm.
func (e *Error) again(idempotent bool) bool {
	if e.unsent || e.Is(ErrThrottled) {
		return true
	}
	return idempotent && !e.Is(ErrInvalid) && (e.Status == 0 || e.Status/100 == 2 || e.Status >= 400 && !settled(e.Status, e.Code))
}
