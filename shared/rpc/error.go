package rpc

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// Error is why a call failed. It holds no secret: neither the URL of the
// request nor its parameters.
type Error struct {
	Product string // as in Config, such as "Ecs"; blank where nobody was called
	Action  string
	// Code, Message and RequestID are the service's, empty if it gave none.
	Code, Message, RequestID string
	Status                   int // of HTTP; 0 if there was no answer
	// Err is the cause where the service did not answer, or not readably.
	Err  error
	kind kind
}

type kind int

const (
	// unclear: the request may have been carried out.
	unclear kind = iota
	// refused: the service said no; nothing was done.
	refused
	// notSent: the request never left.
	notSent
)

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Action)
	if e.Status != 0 {
		fmt.Fprintf(&b, ": status %d", e.Status)
	}
	if e.Code != "" {
		b.WriteString(" " + e.Code)
	}
	if e.Message != "" {
		b.WriteString(": " + e.Message)
	}
	if e.Err != nil {
		b.WriteString(": " + e.Err.Error())
	}
	if e.RequestID != "" {
		b.WriteString(" (request " + e.RequestID + ")")
	}
	return b.String()
}

// Unwrap returns the cause, among them context.Canceled and
// context.DeadlineExceeded.
func (e *Error) Unwrap() error { return e.Err }

// Refused returns the service's refusal, and true if err is one: a 4xx answer or
// 501, after which nothing was done. 408 is none, nor is SignatureNonceUsed.
func Refused(err error) (*Error, bool) {
	var e *Error
	if errors.As(err, &e) && e.kind == refused {
		return e, true
	}
	return nil, false
}

// NotSent says that err is a call whose request surely never reached the
// service: no credentials, no connection.
func NotSent(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.kind == notSent
}

// Ambiguous says that err is a call that may have been carried out all the
// same: it timed out, the connection broke, the service answered 5xx or
// something unreadable.
func Ambiguous(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.kind == unclear
}

// Throttled says that err is a refusal for too many calls in a short time.
func Throttled(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.throttled()
}

// Answer says who gave which answer: the action of ECS, or RAM or STS. It is for
// export.Explain.
func (e *Error) Answer() (where, code string, status int) {
	if strings.EqualFold(e.Product, "Ram") || strings.EqualFold(e.Product, "Sts") {
		return strings.ToUpper(e.Product), e.Code, e.Status
	}
	return e.Action, e.Code, e.Status
}

func (e *Error) throttled() bool {
	return e.Status == http.StatusTooManyRequests || strings.HasPrefix(e.Code, "Throttling") || e.Code == "Rejected.Throttling"
}

// passing says that another try may succeed.
func (e *Error) passing() bool {
	return e.kind != refused || e.throttled() || e.Code == "OperationConflict"
}

// refusal reads an answer that is not 2xx. Its fields are taken as they come:
// some gateways answer HTML, some give numbers for strings.
func refusal(product, action string, status int, body []byte) *Error {
	e := &Error{Product: product, Action: action, Status: status, kind: refused}
	// 501 says that the service does not have the action.
	if status < 400 || status == http.StatusRequestTimeout || status >= 500 && status != http.StatusNotImplemented {
		e.kind = unclear
	}
	var fields map[string]json.RawMessage
	if json.Unmarshal(body, &fields) != nil {
		e.Message = shorten(string(body))
		return e
	}
	e.Code, e.Message, e.RequestID = text(fields["Code"]), text(fields["Message"]), text(fields["RequestId"])
	if e.Code == "SignatureNonceUsed" {
		// The request came twice, for each try has a nonce of its own: what became
		// of the first is not known.
		e.kind = unclear
	}
	// A gateway repeats the string that it signed, token and all.
	if signed, _, found := strings.Cut(e.Message, "server string to sign is:"); found {
		e.Message = strings.TrimSpace(signed)
	}
	e.Message = shorten(e.Message)
	return e
}

func text(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	return string(raw)
}

func requestID(body []byte) string {
	var fields struct {
		RequestID json.RawMessage `json:"RequestId"`
	}
	if json.Unmarshal(body, &fields) != nil || fields.RequestID == nil {
		return ""
	}
	return text(fields.RequestID)
}

func shorten(s string) string {
	const longest = 500
	s = strings.TrimSpace(strings.ToValidUTF8(s, "?"))
	if len(s) > longest {
		return strings.ToValidUTF8(s[:longest], "") + "… (" + strconv.Itoa(len(s)) + " bytes)"
	}
	return s
}
