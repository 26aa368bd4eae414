package oss

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"

	sdk "github.com/aliyun/aliyun-oss-go-sdk/oss"
)

// What callers act on. Compare with errors.Is; the text is for people.
var (
	// ErrNotFound: the bucket has no object of this key.
	ErrNotFound = errors.New("no such object")
	// ErrNoBucket: there is no bucket of this name.
	ErrNoBucket = errors.New("no such bucket")
	// ErrExists: create-only found an object of this key.
	ErrExists = errors.New("exists already")
	// ErrPosition: the append lost; the object's length is not the position
	// given. Error.Next holds the length.
	ErrPosition = errors.New("position is not the length")
	// ErrNotAppendable: the object was not made by Append.
	ErrNotAppendable = errors.New("object is not appendable")
	// ErrDenied: the caller may not do that, or its signature, key or token is
	// not accepted.
	ErrDenied = errors.New("access denied")
	// ErrElsewhere: the bucket lies in another region, Error.Region, and has to be
	// asked there. It is ErrDenied too.
	ErrElsewhere = errors.New("bucket is in another region")
	// ErrVersioned: the bucket keeps versions, or kept them once. OSS ignores
	// x-oss-forbid-overwrite there, so create-only overwrites and nothing that
	// relies on it holds. Repeating is no use: the bucket is the wrong one.
	ErrVersioned = errors.New("bucket is versioned: create-only does not hold")
	// ErrTooLarge: the object is larger than Get reads.
	ErrTooLarge = errors.New("object is too large")
	// ErrCorrupt: what was transferred has another CRC-64 than OSS says.
	ErrCorrupt = errors.New("checksum mismatch")
	// ErrInvalid: the request cannot be made: a bad key, bucket name or option.
	// Nothing was sent.
	ErrInvalid = errors.New("invalid request")
	// ErrUnsettled: a write may or may not have taken place. Read to find out.
	ErrUnsettled = errors.New("outcome unknown")
)

// Error is every error of this package but those of New.
type Error struct {
	Op        string // the method, such as "append"
	Bucket    string
	Key       string // blank for what concerns the bucket
	Code      string // of OSS, such as NoSuchKey; blank where none was sent
	Message   string
	RequestID string
	Status    int    // of HTTP; 0 where there was no answer
	Region    string // with ErrElsewhere, such as cn-beijing
	Next      int64  // with ErrPosition, the object's length; -1: not told

	is    []error
	cause error
	// unsent: the request did not leave, so it may be repeated whatever it is.
	unsent bool
}

func (e *Error) Error() string {
	var s strings.Builder
	fmt.Fprintf(&s, "oss: %s %s", e.Op, e.Bucket)
	if e.Key != "" {
		fmt.Fprintf(&s, "/%s", e.Key)
	}
	switch {
	case e.Code != "":
		fmt.Fprintf(&s, ": %d %s: %s", e.Status, e.Code, e.Message)
	case e.cause != nil:
		fmt.Fprintf(&s, ": %v", e.cause)
	case len(e.is) > 0:
		fmt.Fprintf(&s, ": %v", e.is[0])
	default:
		fmt.Fprintf(&s, ": status %d", e.Status)
	}
	if e.Code == "" && e.Message != "" {
		fmt.Fprintf(&s, ": %s", e.Message)
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

// Answer says which answer this is, for export.Explain.
func (e *Error) Answer() (where, code string, status int) {
	if e.Code == "" && e.Is(ErrNotFound) {
		return "OSS", "NoSuchKey", e.Status // HEAD has no body
	}
	return "OSS", e.Code, e.Status
}

// codes are those that callers act on.
var codes = map[string]error{
	"NoSuchKey":                 ErrNotFound,
	"NoSuchBucket":              ErrNoBucket,
	"FileAlreadyExists":         ErrExists,
	"PositionNotEqualToLength":  ErrPosition,
	"ObjectNotAppendable":       ErrNotAppendable,
	"InvalidBucketName":         ErrInvalid,
	"InvalidObjectName":         ErrInvalid,
	"FileImmutable":             ErrDenied,
	"InvalidTargetBucketRegion": ErrInvalid,
}

// call is one operation on a bucket.
type call struct {
	op, bucket, key string
	writes          bool // a lost answer leaves the outcome open
}

// invalid returns the error of an operation that cannot be asked for.
func (c call) invalid(format string, args ...any) *Error {
	return &Error{Op: c.op, Bucket: c.bucket, Key: c.key, Message: fmt.Sprintf(format, args...), Next: -1, is: []error{ErrInvalid}}
}

// error turns what the SDK returned into an *Error.
func (c call) error(err error, header http.Header) *Error {
	e := &Error{Op: c.op, Bucket: c.bucket, Key: c.key, Next: -1, RequestID: header.Get(sdk.HTTPHeaderOssRequestID)}
	var service sdk.ServiceError
	var status sdk.UnexpectedStatusCodeError
	switch {
	case errors.As(err, &service):
		e.Code, e.Message, e.Status, e.RequestID = service.Code, service.Message, service.StatusCode, service.RequestID
		if s := codes[service.Code]; s != nil {
			e.is = append(e.is, s)
		} else if s := byStatus(service.StatusCode, c.key != ""); s != nil {
			e.is = append(e.is, s)
		}
		if e.Region = regionOf(service.Endpoint); e.Region != "" && errors.Is(e, ErrDenied) {
			e.is = append(e.is, ErrElsewhere)
		}
	case errors.As(err, &status):
		e.Status, e.cause = status.Got(), err
	default:
		e.cause = err
	}
	if e.Status == 0 {
		e.Status = statusOf(err)
		e.unsent = dialFailed(err)
	}
	if c.writes && !e.unsent && !settled(e.Status) {
		e.is = append(e.is, ErrUnsettled)
	}
	return e
}

// regionOf reads the region out of the endpoint that OSS says a bucket has:
// oss-cn-beijing.aliyuncs.com, oss-cn-beijing-internal.aliyuncs.com.
func regionOf(endpoint string) string {
	name, domain, _ := strings.Cut(endpoint, ".")
	region, ok := strings.CutPrefix(name, "oss-")
	if !ok || domain != "aliyuncs.com" {
		return ""
	}
	return strings.TrimSuffix(region, "-internal")
}

// byStatus is for answers without a code: HEAD has no body, and not every server
// puts the error into the x-oss-err header.
func byStatus(status int, object bool) error {
	switch {
	case status == http.StatusForbidden || status == http.StatusUnauthorized:
		return ErrDenied
	case status == http.StatusNotFound && object:
		return ErrNotFound
	}
	return nil
}

// settled tells whether an answer of this status means that nothing was changed.
// 501 says that the service does not have the operation; 408 may come of something
// in front of it.
func settled(status int) bool {
	return status >= 300 && status < 500 && status != http.StatusRequestTimeout || status == http.StatusNotImplemented
}

// statusOf reads the status out of the errors that the SDK makes from text.
func statusOf(err error) int {
	var status int
	for _, format := range []string{"status = ", "service returned "} {
		if _, after, ok := strings.Cut(err.Error(), format); ok {
			if n, _ := fmt.Sscanf(after, "%d", &status); n == 1 {
				return status
			}
		}
	}
	return 0
}

func dialFailed(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// passing tells a refusal that passes by itself: too many calls, a body that took
// too long to arrive. Nothing was done.
func (e *Error) passing() bool {
	return e.Status == http.StatusTooManyRequests || e.Code == "RequestTimeout" && settled(e.Status)
}

// again tells whether repeating the call may help and does no harm.
func (e *Error) again(writes bool) bool {
	if e.unsent || e.passing() {
		return true
	}
	if writes || errors.Is(e, ErrInvalid) || errors.Is(e, ErrTooLarge) {
		return false
	}
	return e.Status == 0 || e.Status/100 == 2 || e.Status >= 400 && !settled(e.Status)
}
