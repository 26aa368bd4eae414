package oss

import (
	"net/http"
	"slices"
	"time"
)

// Operations names the operations that the service has.
func (s *Service) Operations() []string {
	var names []string
	for _, level := range []map[string][]candidate{serviceOperations, bucketOperations, objectOperations} {
		for _, candidates := range level {
			for _, c := range candidates {
				names = append(names, c.name)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Operation returns the operation that a call asks for, whoever makes it.
func (s *Service) Operation(hr *http.Request) []string {
	r, e := newRequest(hr, "", time.Time{}, s.isBucket)
	if e != nil {
		return nil
	}
	op, e := route(r)
	if e != nil {
		return nil
	}
	return []string{op.name}
}

// Documented returns the status and the message of a code. None has two.
func (s *Service) Documented(code string, _ int) (status int, message string) {
	for _, e := range documented {
		if e.Code == code {
			return e.Status, e.Message
		}
	}
	return 0, ""
}

// Refuse answers a call with an error.
func (s *Service) Refuse(w http.ResponseWriter, hr *http.Request, status int, code, message string) {
	started := s.cfg.Now()
	r, _ := newRequest(hr, newRequestID(started), started, s.isBucket)
	h := w.Header()
	h.Set("Server", "AliyunOSS")
	h["x-oss-request-id"] = []string{r.id}
	h["x-oss-server-time"] = []string{s.serverTime(r)}
	writeError(w, r, &Error{Status: status, Code: code, Message: message})
	drain(r)
}

// documented are the errors that the documents list for the operations that are
// built. The last ones are never answered by themselves: the stand-in is never
// busy.
var documented = []Error{
	errNoSuchBucket, errNoSuchKey, errNoSuchVersion, errNoSuchUpload, errNoSuchLifecycle, errNoSuchEncryption,
	errSymlinkTarget, errInvalidTarget, errNotSymlink, errBucketExists, errBucketNotEmpty, errInvalidBucketName,
	errTooManyBuckets, errInvalidObjectName, errFileExists, errPosition, errNotAppendable, errPrecondition,
	errInvalidRange, errInvalidDigest, errInvalidArgument, errMalformedXML, errInvalidPart, errInvalidPartOrder,
	errEntityTooSmall, errEntityTooLarge, errMissingLength, errIncompleteBody, errMissingArgument, errInvalidTag,
	errInvalidEncryption, errInvalidClass, errObjectState, errMethodNotAllowed, errAccessDenied, errInvalidAccessKey,
	errInvalidToken, errExpiredToken, errSignature, errSkewed, errSecondLevel, errInternal,
	{Status: 400, Code: "RequestTimeout", Message: "Your socket connection to the server was not read from or written to within the timeout period."},
	{Status: 409, Code: "FileImmutable", Message: "The object you specified is immutable."},
	{Status: 400, Code: "InvalidTargetBucketRegion", Message: "The bucket is not in the region of the endpoint."},
	{Status: 501, Code: "NotImplemented", Message: "A header you provided implies functionality that is not implemented."},
	{Status: 429, Code: "QpsLimitExceeded", Message: "Please reduce your request rate."},
	{Status: 503, Code: "ServiceUnavailable", Message: "Thread pool is almost full, please retry later"},
	{Status: 503, Code: "DownloadTrafficRateLimitExceeded", Message: "Please reduce your download request traffic"},
	{Status: 503, Code: "UploadTrafficRateLimitExceeded", Message: "Please reduce your upload request traffic"},
	{Status: 503, Code: "MetaOperationQpsLimitExceeded", Message: "Qps limit for the meta operation is exceeded"},
	{Status: 503, Code: "TotalQpsLimitExceeded", Message: "Max total qps limit is exceeded"},
	{Status: 503, Code: "ActiveRequestLimitExceeded", Message: "Max active request limit is exceeded"},
	{Status: 403, Code: "UserDisable", Message: "UserDisable"},
}
