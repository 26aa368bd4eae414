package mns

import (
	"errors"
	"fmt"
	"net/http"
)

// wireError is an error as the service answers it.
type wireError struct {
	status  int
	code    string
	message string
}

func (e *wireError) Error() string { return e.code + ": " + e.message }

// Codes, statuses and texts are those of
// https://www.alibabacloud.com/help/doc-detail/27501.html, odd spellings
// included: SDKs compare the codes.
var (
	errAccessDenied         = &wireError{http.StatusForbidden, "AccessDenied", "The OwnerId that your Access Key Id associated to is forbidden for this operation."}
	errInvalidAccessKeyID   = &wireError{http.StatusForbidden, "InvalidAccessKeyId", "The AccessKey Id you provided is not exist."}
	errSignature            = &wireError{http.StatusForbidden, "SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided. Check your key and signing method."}
	errInvalidAuthorization = &wireError{http.StatusBadRequest, "InvalidAuthorizationHeader", "The Authorization header format is invalid."}
	errMissingAuthorization = &wireError{http.StatusBadRequest, "MissingAuthorizationHeader", "Authorization header is required."}
	errInvalidDate          = &wireError{http.StatusBadRequest, "InvalidDateHeader", "The Date header format is invalid."}
	errMissingDate          = &wireError{http.StatusBadRequest, "MissingDateHeader", "Date header is required."}
	errMissingVersion       = &wireError{http.StatusBadRequest, "MissingVersionHeader", "x-mns-version header is required."}
	errTimeExpired          = &wireError{http.StatusRequestTimeout, "TimeExpired", "The http request you sent is expired."}
	errDigest               = &wireError{http.StatusBadRequest, "InvalidDegist", "The Content-MD5 you specified is invalid."}
	errRequestURL           = &wireError{http.StatusBadRequest, "InvalidRequestURL", "Http request URL format invalid."}
	errMalformedXML         = &wireError{http.StatusBadRequest, "MalformedXML", "The XML you provided was not well-formed."}
	errInternal             = &wireError{http.StatusInternalServerError, "InternalServerError", "Internal error."}

	errQueueName             = &wireError{http.StatusBadRequest, "InvalidQueueName", "The queue name you provided is invalid. QueueName should start with alphabet and contain only alphabet, digit or -."}
	errQueueNameLength       = &wireError{http.StatusBadRequest, "QueueNameLengthError", fmt.Sprintf("The length of queue name should between 1 and %d.", maxName)}
	errQueueNotExist         = &wireError{http.StatusNotFound, "QueueNotExist", "The queue name you provided is not exist."}
	errQueueExists           = &wireError{http.StatusConflict, "QueueAlreadyExist", "The queue you want to create is already exist."}
	errMessageNotExist       = &wireError{http.StatusNotFound, "MessageNotExist", "Message not exist."}
	errReceiptHandle         = &wireError{http.StatusBadRequest, "ReceiptHandleError", "The receipt handle you provide is not valid."}
	errMissingReceiptHandle  = &wireError{http.StatusBadRequest, "MissingReceiptHandle", "ReceiptHandle is required."}
	errMissingVisibility     = &wireError{http.StatusBadRequest, "MissingVisibilityTimeout", "VisibilityTimeout is required."}
	errTopicName             = &wireError{http.StatusBadRequest, "TopicNameInvalid", "The topic name you provided is invalid. TopicName should start with alphabet or digit and contain only alphabet, digit or -."}
	errTopicNameLength       = &wireError{http.StatusBadRequest, "TopicNameLengthError", fmt.Sprintf("The length of topic name should between 1 and %d.", maxName)}
	errTopicNotExist         = &wireError{http.StatusNotFound, "TopicNotExist", "The topic name you provided is not exist."}
	errTopicExists           = &wireError{http.StatusConflict, "TopicAlreadyExist", "The topic you want to create is already exist."}
	errSubscriptionName      = &wireError{http.StatusBadRequest, "SubsriptionNameInvalid", "The subscription name you provided is invalid. SubscriptionName should start with alphabet or digit and contain only alphabet, digit or -."}
	errSubscriptionLength    = &wireError{http.StatusBadRequest, "SubscriptionNameLengthError", fmt.Sprintf("The length of subscription name should between 1 and %d.", maxName)}
	errSubscriptionExists    = &wireError{http.StatusConflict, "SubscriptionAlreadyExist", "The subscription you want to create is already exist."}
	errSubscriberNotExist    = &wireError{http.StatusNotFound, "SubscriberNotExist", "The subscription name you provided is not exist."}
	errEndpoint              = &wireError{http.StatusBadRequest, "EndpointInvalid", "The endpoint you provided is invalid."}
	errNoBody                = invalidArgument("The XML you provided did not validate against our published schema, cause by MessageBody.")
	errBatchSize             = between("Messages", 1, maxBatch, "messages")
	errBatchBytes            = between("Messages", 1, maxMessageSize, "bytes")
	errSubscriptionsPerTopic = invalidArgument(fmt.Sprintf("A topic can have at most %d subscriptions.", maxSubscriptions))
)

func invalidArgument(text string) *wireError {
	return &wireError{http.StatusBadRequest, "InvalidArgument", text}
}

func between(what string, low, high int64, unit string) *wireError {
	return invalidArgument(fmt.Sprintf("The value of %s should between %d and %d %s.", what, low, high, unit))
}

// schema says that element has no value that the schema allows.
func schema(element string) *wireError {
	return invalidArgument("The XML you provided did not validate against our published schema, cause by " + element + ".")
}

func invalidQueryString(item string) *wireError {
	return &wireError{http.StatusBadRequest, "InvalidQueryString", fmt.Sprintf("Http request URL contains invalid querystring item %q.", item)}
}

func notImplemented(what string) *wireError {
	return &wireError{http.StatusNotImplemented, "NotImplemented", what + " is not implemented by this stand-in."}
}

// asWireError turns any error into one that can be answered.
func asWireError(err error) *wireError {
	var e *wireError
	if errors.As(err, &e) {
		return e
	}
	return &wireError{errInternal.status, errInternal.code, "Internal error: " + err.Error()}
}
