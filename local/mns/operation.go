package mns

import (
	"net/http"
	"slices"
)

// operations are the operations that route finds, a batch and what it is a batch
// of by their own names.
var operations = []string{
	"BatchDeleteMessage", "BatchPeekMessage", "BatchReceiveMessage", "BatchSendMessage", "ChangeMessageVisibility",
	"CreateQueue", "CreateTopic", "DeleteMessage", "DeleteQueue", "DeleteTopic", "GetQueueAttributes",
	"GetSubscriptionAttributes", "GetTopicAttributes", "ListQueue", "ListSubscriptionByTopic", "ListTopic",
	"OpenService", "PeekMessage", "PublishMessage", "ReceiveMessage", "SendMessage", "SetQueueAttributes",
	"SetSubscriptionAttributes", "SetTopicAttributes", "Subscribe", "Unsubscribe",
}

// Operations names the operations that the service has.
func (s *Service) Operations() []string { return slices.Clone(operations) }

// Operation returns the names of the operation that a call asks for, whoever
// makes it: a send is SendMessage and BatchSendMessage, since only its body tells
// the two apart.
func (s *Service) Operation(r *http.Request) []string {
	t, err := parseTarget(r.RequestURI)
	if err != nil {
		return nil
	}
	req := &request{target: t, http: r}
	if r.ContentLength != 0 {
		req.body = []byte{0} // route asks only whether there is one
	}
	op, err := s.route(req)
	if err != nil {
		return nil
	}
	return op.actions
}

// Documented returns the status and the message of a code. None has two.
func (s *Service) Documented(code string, _ int) (status int, message string) {
	for _, e := range documented {
		if e.code == code {
			return e.status, e.message
		}
	}
	return 0, ""
}

// Refuse answers a call with an error.
func (s *Service) Refuse(w http.ResponseWriter, r *http.Request, status int, code, message string) {
	writeError(w, r, newRequestID(), &wireError{status, code, message})
}

// documented are the errors that the documents list. The last ones are never
// answered by themselves.
var documented = []*wireError{
	errAccessDenied, errInvalidAccessKeyID, errSignature, errInvalidAuthorization, errMissingAuthorization, errInvalidDate,
	errMissingDate, errMissingVersion, errTimeExpired, errDigest, errRequestURL, errMalformedXML, errInternal,
	errQueueName, errQueueNameLength, errQueueNotExist, errQueueExists, errMessageNotExist, errReceiptHandle,
	errMissingReceiptHandle, errMissingVisibility, errTopicName, errTopicNameLength, errTopicNotExist, errTopicExists,
	errSubscriptionName, errSubscriptionLength, errSubscriptionExists, errSubscriberNotExist, errEndpoint, errNoBody,
	invalidQueryString(""),
	{http.StatusInternalServerError, "InternalError", "Internal error."},
	{http.StatusBadRequest, "QpsLimitExceeded", "The request rate is over the limit."},
	{http.StatusBadRequest, "QueueDeletedRecently", "The queue was deleted recently; try again later."},
}
