package mns

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"ecs-image-export/local/identity"
)

// maxRequest bounds a request's body: 64 KiB of text may take six times as much
// when every character is an XML reference.
const maxRequest = 1 << 20

// request is a call that was authenticated.
type request struct {
	target
	http *http.Request
	body []byte
	name string // of the queue or topic
	sub  string // of the subscription
}

// url is the address of a resource of this service, as the caller reaches it.
func (r *request) url(path string) string { return base(r.http) + r.prefix + path }

func base(r *http.Request) string {
	if r.TLS != nil {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

// response is what an operation answers; body is encoded as XML unless nil.
type response struct {
	status   int
	location string
	body     any
}

// operation is one call of the API.
type operation struct {
	// actions are the RAM actions of which one must be allowed. The policy
	// reference gives batch calls the action of the single call, each call's own
	// page gives them one of their own; either is taken.
	actions  []string
	resource string
	do       func(context.Context, *request) (response, error)
}

// ServeHTTP implements http.Handler.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	requestID := newRequestID()
	if !s.enter() {
		writeError(w, r, requestID, errInternal)
		return
	}
	defer s.active.Done()
	if r.URL.Path == certificatePath {
		s.serveCertificate(w, r, requestID)
		return
	}
	res, err := s.serve(r)
	if err != nil {
		var partial *partialFailure
		if !errors.As(err, &partial) {
			writeError(w, r, requestID, asWireError(err))
			return
		}
		res = response{status: partial.status, body: partial.body}
	}
	write(w, requestID, res)
}

func (s *Service) serveCertificate(w http.ResponseWriter, r *http.Request, requestID string) {
	signer, err := s.signer()
	if err != nil {
		writeError(w, r, requestID, errInternal)
		return
	}
	w.Header().Set("Content-Type", "application/x-pem-file")
	w.Write(signer.cert)
}

func (s *Service) serve(r *http.Request) (response, error) {
	t, err := parseTarget(r.RequestURI)
	if err != nil {
		return response{}, err
	}
	id, err := s.authenticate(r, t.signed)
	if err != nil {
		return response{}, err
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxRequest+1))
	if err != nil {
		return response{}, errMalformedXML
	}
	if len(body) > maxRequest {
		return response{}, errBatchBytes
	}
	if err := checkDigest(r.Header.Get("Content-MD5"), body); err != nil {
		return response{}, err
	}
	s.seen.Store(base(r))
	req := &request{target: t, http: r, body: body}
	op, err := s.route(req)
	if err != nil {
		return response{}, err
	}
	if !s.allowed(id, op) {
		return response{}, errAccessDenied
	}
	return op.do(r.Context(), req)
}

func (s *Service) allowed(id *identity.Identity, op operation) bool {
	resource := fmt.Sprintf("acs:mns:%s:%s:%s", s.region, s.accountID, op.resource)
	for _, action := range op.actions {
		if id.Allows("mns:"+action, resource) {
			return true
		}
	}
	return false
}

// route finds the operation of a request and checks the names in it.
// https://help.aliyun.com/en/mns/permission-policies-and-examples has the
// actions and resources.
func (s *Service) route(r *request) (operation, error) {
	p := r.path
	if len(p) > 1 {
		r.name = p[1]
	}
	one := func(resource string, do func(context.Context, *request) (response, error), actions ...string) (operation, error) {
		return operation{actions, resource, do}, nil
	}
	override, err := r.query.flag("metaoverride")
	if err != nil {
		return operation{}, err
	}
	kind, method := p[0], r.http.Method
	switch {
	case kind == "commonbuy" && len(p) == 2 && p[1] == "openservice" && method == http.MethodPost:
		return one("/commonbuy/openservice", s.openService, "OpenService")
	case kind == "queues":
		if len(p) > 1 {
			if err := checkName(r.name, errQueueName, errQueueNameLength, false); err != nil {
				return operation{}, err
			}
		}
		queue := "/queues/" + r.name
		switch {
		case len(p) == 1 && method == http.MethodGet:
			return one("/queues", s.listQueues, "ListQueue")
		case len(p) == 2 && method == http.MethodPut && override:
			return one(queue, s.setQueueAttributes, "SetQueueAttributes")
		case len(p) == 2 && method == http.MethodPut:
			return one(queue, s.createQueue, "CreateQueue")
		case len(p) == 2 && method == http.MethodGet:
			return one(queue, s.getQueueAttributes, "GetQueueAttributes")
		case len(p) == 2 && method == http.MethodDelete:
			return one(queue, s.deleteQueue, "DeleteQueue")
		case len(p) == 3 && p[2] == "messages":
			return s.routeMessages(r, queue+"/messages")
		}
	case kind == "topics":
		if len(p) > 1 {
			if err := checkName(r.name, errTopicName, errTopicNameLength, true); err != nil {
				return operation{}, err
			}
		}
		topic := "/topics/" + r.name
		switch {
		case len(p) == 1 && method == http.MethodGet:
			return one("/topics", s.listTopics, "ListTopic")
		case len(p) == 2 && method == http.MethodPut && override:
			return one(topic, s.setTopicAttributes, "SetTopicAttributes")
		case len(p) == 2 && method == http.MethodPut:
			return one(topic, s.createTopic, "CreateTopic")
		case len(p) == 2 && method == http.MethodGet:
			return one(topic, s.getTopicAttributes, "GetTopicAttributes")
		case len(p) == 2 && method == http.MethodDelete:
			return one(topic, s.deleteTopic, "DeleteTopic")
		case len(p) == 3 && p[2] == "messages" && method == http.MethodPost:
			return one(topic+"/messages", s.publishMessage, "PublishMessage")
		case len(p) == 3 && p[2] == "subscriptions" && method == http.MethodGet:
			return one(topic+"/subscriptions", s.listSubscriptions, "ListSubscriptionByTopic")
		case len(p) == 4 && p[2] == "subscriptions":
			return s.routeSubscription(r, topic+"/subscriptions/"+p[3], override)
		}
	}
	return operation{}, errRequestURL
}

func (s *Service) routeMessages(r *request, resource string) (operation, error) {
	peek, err := r.query.flag("peekonly")
	if err != nil {
		return operation{}, err
	}
	_, several := r.query["numofmessages"]
	switch r.http.Method {
	case http.MethodPost:
		return operation{[]string{"SendMessage", "BatchSendMessage"}, resource, s.sendMessages}, nil
	case http.MethodGet:
		actions := []string{"ReceiveMessage"}
		if peek {
			actions[0] = "PeekMessage"
		}
		if several {
			actions = append(actions, "Batch"+actions[0])
		}
		if peek {
			return operation{actions, resource, s.peekMessages}, nil
		}
		return operation{actions, resource, s.receiveMessages}, nil
	case http.MethodDelete:
		if _, ok := r.query["receipthandle"]; !ok && len(r.body) > 0 {
			return operation{[]string{"DeleteMessage", "BatchDeleteMessage"}, resource, s.deleteMessages}, nil
		}
		return operation{[]string{"DeleteMessage"}, resource, s.deleteMessage}, nil
	case http.MethodPut:
		return operation{[]string{"ChangeMessageVisibility"}, resource, s.changeVisibility}, nil
	}
	return operation{}, errRequestURL
}

func (s *Service) routeSubscription(r *request, resource string, override bool) (operation, error) {
	r.sub = r.path[3]
	if err := checkName(r.sub, errSubscriptionName, errSubscriptionLength, true); err != nil {
		return operation{}, err
	}
	switch r.http.Method {
	case http.MethodPut:
		if override {
			return operation{[]string{"SetSubscriptionAttributes"}, resource, s.setSubscriptionAttributes}, nil
		}
		return operation{[]string{"Subscribe"}, resource, s.subscribe}, nil
	case http.MethodGet:
		return operation{[]string{"GetSubscriptionAttributes"}, resource, s.getSubscriptionAttributes}, nil
	case http.MethodDelete:
		return operation{[]string{"Unsubscribe"}, resource, s.unsubscribe}, nil
	}
	return operation{}, errRequestURL
}

// openService answers the call that turns the service on, which it is.
func (s *Service) openService(context.Context, *request) (response, error) {
	return response{status: http.StatusOK, body: openServiceXML{OrderID: newRequestID()}}, nil
}

// maxName is the length of a name, in characters.
// https://help.aliyun.com/en/mns/product-overview/limits
const maxName = 120

// checkName wants letters, digits and hyphens, with a letter first (or a digit).
func checkName(name string, invalid, length *wireError, digitFirst bool) error {
	if len(name) < 1 || len(name) > maxName {
		return length
	}
	for i, c := range name {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z':
		case c >= '0' && c <= '9' && (i > 0 || digitFirst):
		case c == '-' && i > 0:
		default:
			return invalid
		}
	}
	return nil
}

func write(w http.ResponseWriter, requestID string, res response) {
	h := w.Header()
	h.Set("x-mns-request-id", requestID)
	h.Set("x-mns-version", apiVersion)
	if res.location != "" {
		h.Set("Location", res.location)
	}
	if res.body == nil {
		if res.status != http.StatusNoContent {
			h.Set("Content-Length", "0")
		}
		w.WriteHeader(res.status)
		return
	}
	b := encodeXML(res.body)
	h.Set("Content-Type", "text/xml;charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(b)))
	w.WriteHeader(res.status)
	w.Write(b)
}

func writeError(w http.ResponseWriter, r *http.Request, requestID string, err *wireError) {
	write(w, requestID, response{status: err.status, body: errorXML{
		Code:      err.code,
		Message:   err.message,
		RequestID: requestID,
		HostID:    base(r),
	}})
}

// newRequestID is 24 upper-case hexadecimal digits, as the service's are.
func newRequestID() string {
	var b [12]byte
	rand.Read(b[:])
	return strings.ToUpper(fmt.Sprintf("%x", b))
}
