package rpc

import (
	"bytes"
	"io"
	"net/http"
	"slices"
)

// Operations names the actions that the service has.
func (s *Service) Operations() []string {
	names := make([]string, len(s.Actions))
	for i, a := range s.Actions {
		names[i] = a.Name
	}
	slices.Sort(names)
	return names
}

// Operation returns the action that a call asks for, whoever makes it. The call
// can still be served.
func (s *Service) Operation(r *http.Request) []string {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	defer func() { r.Body = restored{io.MultiReader(bytes.NewReader(body), r.Body), r.Body} }()
	if err != nil {
		return nil
	}
	copied := *r
	copied.Body = io.NopCloser(bytes.NewReader(body))
	c, err := read(nil, &copied)
	if err != nil || c.action == "" {
		return nil
	}
	return []string{c.action}
}

// restored is a body whose beginning was read already.
type restored struct {
	io.Reader
	io.Closer
}

// Documented returns the status and the message of a code, of the product's own
// (Refusals) or of those that every product has. A few have more than one meaning:
// it is that of this status, and the first where none has it.
func (s *Service) Documented(code string, status int) (int, string) {
	var found Error
	for _, e := range slices.Concat(s.Refusals, common) {
		if e.Code == code && (found.Code == "" || e.Status == status && found.Status != status) {
			found = *e
		}
	}
	return found.Status, found.Message
}

// Refuse answers a call with an error.
func (s *Service) Refuse(w http.ResponseWriter, r *http.Request, status int, code, message string) {
	s.once.Do(s.index)
	a := &answer{service: s, requestID: newRequestID(), format: formatXML}
	if c, err := read(w, r); err == nil {
		_ = a.setFormat(c) // XML where the format is wrong
	}
	a.fail(w, &Error{Status: status, Code: code, Message: message})
}

// common are the refusals that any action of any product may give.
var common = []*Error{
	errNotFound, errMethod, errFormat, errBody, errKey, errNonce, errTimeFormat, errTimeExpired, errMethodUnknown,
	errTokenExpired, errTokenWrong, errIncomplete, errContentSHA, forbiddenRAM(nil, "", ""),
	{Status: http.StatusBadRequest, Code: "SignatureDoesNotMatch", Message: "Specified signature is not matched with our calculation."},
	{Status: http.StatusBadRequest, Code: "MissingParameter", Message: "The input parameter that is mandatory for processing this request is not supplied."},
	{Status: http.StatusBadRequest, Code: "UnsupportedParameter", Message: "The parameter is not supported."},
	{Status: http.StatusBadRequest, Code: "IllegalTimestamp", Message: "The input parameter Timestamp that is mandatory for processing this request is not supplied."},
	{Status: http.StatusForbidden, Code: "InvalidAction", Message: "The specified action is invalid."},
	{Status: http.StatusBadRequest, Code: "Rejected.Throttling", Message: "Request was denied due to request throttling."},
	{Status: http.StatusForbidden, Code: "Forbidden.AccessKeyDisabled", Message: "The AccessKey is disabled."},
	{Status: http.StatusForbidden, Code: "Forbidden.SubUser", Message: "The specified action is not available for you."},
	{Status: http.StatusForbidden, Code: "Forbidden.RiskControl", Message: "This operation is forbidden by Aliyun Risk Control system."},
	{Status: http.StatusBadRequest, Code: "Throttling", Message: "You have made too many requests within a short time; your request is denied due to request throttling."},
	{Status: http.StatusBadRequest, Code: "Throttling.User", Message: "Request was denied due to user flow control."},
	{Status: http.StatusBadRequest, Code: "Throttling.Api", Message: "Request was denied due to api flow control."},
	{Status: http.StatusConflict, Code: "OperationConflict", Message: "Request was denied due to conflict with a previous request."},
	{Status: http.StatusInternalServerError, Code: "InternalError", Message: "The request processing has failed due to some unknown error."},
	{Status: http.StatusServiceUnavailable, Code: "ServiceUnavailable", Message: "The request has failed due to a temporary failure of the server."},
	{Status: http.StatusServiceUnavailable, Code: "ServiceUnavailable.RegionMaintaining", Message: "The region is under maintenance, please try again later."},
}
