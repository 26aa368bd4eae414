// Package rpc speaks the RPC style of Alibaba Cloud's APIs, as ECS, RAM and STS
// use it: one path, an Action parameter, a signed query or form, and answers in
// JSON or XML.
//
// A Service checks what the gateway in front of the real services checks, in
// its words and with its status codes: method, version, action, signature
// (version 1.0 with HMAC-SHA1, and ACS3-HMAC-SHA256), time stamp, nonce,
// security token and the caller's permission. Nonces are kept in memory only, so
// that a restart forgets them.
package rpc

import (
	"context"
	"net/http"
	"net/url"
	"sync"
	"time"

	"ecs-image-export/local/identity"
)

// Service answers the calls of one product. Its fields must not change once it
// serves. Use it by pointer.
type Service struct {
	// Product is the name of the product as its SDKs write it: "Ecs", "Ram",
	// "Sts". In lower case it is the service in the names of permissions.
	Product string
	// Version is the only API version that is answered, such as "2014-05-26".
	Version string
	// Host is the HostId in error bodies, such as "ecs-cn-hangzhou.aliyuncs.com".
	Host       string
	Identities identity.Source
	Actions    []Action
	// Unbuilt names the actions that the real service has and this one has not:
	// they are answered with 501 NotImplemented, all others with 404.
	Unbuilt []string
	// Refusals are the errors that the product's own documents list, for
	// Documented. Where a code is listed twice the first one counts.
	Refusals []*Error
	// Denied makes the error for a caller without permission; nil means the
	// Forbidden.RAM that ECS gives.
	Denied func(r *Request, action, resource string) *Error
	// Now is the clock; nil means time.Now.
	Now func() time.Time

	once    sync.Once
	actions map[string]*Action
	nonces  nonces
}

// Action is one operation of a service. The permission checked before Do runs
// is "<service>:<Name>" on Resource.
type Action struct {
	Name string
	// Resource names what the call acts on, as acs:<service>:…; nil means "*".
	// It runs before Do has checked the parameters.
	Resource func(*Request) string
	// Required names parameters without which the gateway refuses the call
	// before it looks at permissions, with 400 Missing<Name>. ECS checks its own
	// and answers MissingParameter: see Request.Require.
	Required []string
	// Anyone is true if the call needs a right signature but no permission.
	Anyone bool
	// Do carries the call out. What it returns is encoded as the JSON object of
	// the answer; RequestId is added. An error that is not an *Error becomes a
	// 500 InternalError.
	Do func(context.Context, *Request) (any, error)
}

// Request is a call whose signature was right.
type Request struct {
	Action    string
	RequestID string
	Region    string // the parameter RegionId, may be empty
	Params    url.Values
	Caller    *identity.Identity
}

// maxBody is the largest request form that is read, in bytes.
const maxBody = 1 << 20

// ServeHTTP answers one call.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.once.Do(s.index)
	a := &answer{service: s, requestID: newRequestID(), format: formatXML}
	result, err := s.serve(w, r, a)
	if err != nil {
		a.fail(w, err)
		return
	}
	a.succeed(w, result)
}

func (s *Service) index() {
	s.actions = make(map[string]*Action, len(s.Actions))
	for i := range s.Actions {
		s.actions[s.Actions[i].Name] = &s.Actions[i]
	}
	if s.Now == nil {
		s.Now = time.Now
	}
}

// serve goes through a call in the order in which the gateway does: what is
// asked, by whom, and only then whether they may.
func (s *Service) serve(w http.ResponseWriter, r *http.Request, a *answer) (any, error) {
	in, err := read(w, r)
	if err != nil {
		return nil, err
	}
	if err := a.setFormat(in); err != nil {
		return nil, err
	}
	a.action = in.action
	action, err := s.find(r, in)
	if err != nil {
		return nil, err
	}
	caller, err := s.authenticate(in)
	if err != nil {
		return nil, err
	}
	call := &Request{
		Action:    in.action,
		RequestID: a.requestID,
		Region:    in.params.Get("RegionId"),
		Params:    in.params,
		Caller:    caller,
	}
	for _, name := range action.Required {
		if call.Get(name) == "" {
			return nil, missing(name)
		}
	}
	resource := "*"
	if action.Resource != nil {
		resource = action.Resource(call)
	}
	if !action.Anyone {
		if err := s.Permit(call, resource); err != nil {
			return nil, err
		}
	}
	return action.Do(r.Context(), call)
}

func (s *Service) find(r *http.Request, in *call) (*Action, error) {
	if in.version == "" {
		return nil, missing("Version")
	}
	if in.version != s.Version {
		return nil, invalid("Version")
	}
	if in.action == "" {
		return nil, missing("Action")
	}
	action := s.actions[in.action]
	if r.URL.Path != "/" && r.URL.Path != "" || action == nil && !s.unbuilt(in.action) {
		return nil, errNotFound
	}
	if action == nil {
		return nil, NotImplemented(s.Product + " " + in.action)
	}
	return action, nil
}

func (s *Service) unbuilt(action string) bool {
	for _, name := range s.Unbuilt {
		if name == action {
			return true
		}
	}
	return false
}
