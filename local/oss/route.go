package oss

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// operation is one operation of the API. Its handler writes the answer, or
// returns an error before it has written anything.
type operation struct {
	name string
	// action is what a policy must allow on the addressed resource; "" where
	// the handler checks by itself.
	action string
	do     func(*Service, http.ResponseWriter, *request) error
}

// ServeHTTP answers one call of the API.
func (s *Service) ServeHTTP(w http.ResponseWriter, hr *http.Request) {
	started := s.cfg.Now()
	id := newRequestID(started)
	h := w.Header()
	h.Set("Server", "AliyunOSS")
	h["x-oss-request-id"] = []string{id}
	r, e := newRequest(hr, id, started, s.isBucket)
	if e == nil {
		e = s.serve(w, r)
	}
	if e == nil {
		return
	}
	h["x-oss-server-time"] = []string{s.serverTime(r)}
	writeError(w, r, e)
	drain(r)
}

func (s *Service) serve(w http.ResponseWriter, r *request) *Error {
	if r.bucket != "" && !bucketName.MatchString(r.bucket) {
		return errInvalidBucketName.with("BucketName", r.bucket)
	}
	op, e := route(r)
	if e != nil {
		return e
	}
	if e := s.authenticate(r); e != nil {
		return e
	}
	if e := s.checkOwner(r.bucket, op.name); e != nil {
		return e
	}
	if op.action != "" {
		if e := s.authorize(r, op.action, r.resource(s.cfg.AccountID)); e != nil {
			return e
		}
	}
	if err := op.do(s, w, r); err != nil {
		return asError(err)
	}
	return nil
}

// asError makes any error one that can be answered.
func asError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return &errIncompleteBody
	}
	return errInternal.say("We encountered an internal error: %v", err)
}

// serverTime is how long a call has taken, in milliseconds.
func (s *Service) serverTime(r *request) string {
	return strconv.FormatInt(s.cfg.Now().Sub(r.started).Milliseconds(), 10)
}

// drain reads a little of a refused body, so that a client that is still
// sending sees the answer and not a broken connection. A client that waits for
// 100 Continue does not send.
func drain(r *request) {
	if r.Header.Get("Expect") == "" && r.Body != nil {
		_, _ = io.CopyN(io.Discard, r.Body, 16<<20)
	}
}

// ok answers 200 without a body.
func (s *Service) ok(w http.ResponseWriter, r *request) error {
	return s.status(w, r, http.StatusOK)
}

func (s *Service) status(w http.ResponseWriter, r *request, code int) error {
	h := w.Header()
	h["x-oss-server-time"] = []string{s.serverTime(r)}
	if code != http.StatusNoContent && h.Get("Content-Length") == "" {
		h.Set("Content-Length", "0")
	}
	w.WriteHeader(code)
	return nil
}

// route finds the operation that a request asks for.
func route(r *request) (operation, *Error) {
	level := objectOperations
	switch {
	case r.bucket == "":
		level = serviceOperations
	case r.key == "":
		level = bucketOperations
	}
	if r.Method == http.MethodOptions {
		return operation{}, &Error{Status: 403, Code: "AccessForbidden", Message: "CORSResponse: CORS is not enabled for this bucket."}
	}
	if name := missingName(r); name != "" {
		return operation{}, notImplemented(fmt.Sprintf("%s ?%s on a %s", r.Method, name, levelName(r)))
	}
	methods, ok := level[r.Method]
	if !ok {
		return operation{}, errMethodNotAllowed.with("Method", r.Method).with("ResourceType", levelName(r))
	}
	for _, c := range methods {
		if c.when(r) {
			return c.operation, nil
		}
	}
	return operation{}, errMethodNotAllowed.with("Method", r.Method).with("ResourceType", levelName(r))
}

func levelName(r *request) string {
	switch {
	case r.bucket == "":
		return "SERVICE"
	case r.key == "":
		return "BUCKET"
	}
	return "OBJECT"
}

// candidate is an operation and when it is meant. The first that fits wins.
type candidate struct {
	when func(*request) bool
	operation
}

func always(*request) bool { return true }

func sub(names ...string) func(*request) bool {
	return func(r *request) bool {
		for _, n := range names {
			if !r.has(n) {
				return false
			}
		}
		return true
	}
}

func copying(r *request) bool { return r.Header.Get("X-Oss-Copy-Source") != "" }

func partCopying(r *request) bool {
	return r.has("uploadId") && r.has("partNumber") && copying(r)
}

// missingName is what a request asks for that is not built, or "".
func missingName(r *request) string {
	for _, p := range r.query {
		if unbuilt[p.name] || r.key == "" && p.value == "" && !known(p.name) {
			return p.name
		}
	}
	if r.Header.Get("X-Oss-Callback") != "" {
		return "callback"
	}
	return ""
}

// known tells whether a query parameter of a bucket or the service may be empty.
// Any other one that is empty is taken for a subresource: a DELETE of it must
// not delete the bucket.
func known(name string) bool {
	return subresources[name] || listParameters[name] || strings.HasPrefix(name, "x-oss-")
}

var listParameters = map[string]bool{
	"delimiter": true, "encoding-type": true, "fetch-owner": true, "key-marker": true, "list-type": true,
	"marker": true, "max-keys": true, "max-uploads": true, "prefix": true, "start-after": true,
	"tag-key": true, "tag-value": true, "upload-id-marker": true,
}

var unbuilt = func() map[string]bool {
	m := map[string]bool{}
	for name := range subresources {
		m[name] = true
	}
	// These are built, or only change how an operation answers.
	for _, name := range []string{
		"acl", "append", "bucketInfo", "continuation-token", "delete", "encryption", "lifecycle", "location",
		"objectMeta", "partNumber", "position", "response-cache-control", "response-content-disposition",
		"response-content-encoding", "response-content-language", "response-content-type", "response-expires",
		"security-token", "sequential", "stat", "symlink", "tagging", "uploadId", "uploads", "versionId", "versioning",
	} {
		delete(m, name)
	}
	for _, name := range []string{"x-oss-process", "x-oss-async-process", "cleanRestoredObject", "objectWorm", "retention", "legalHold", "overwriteConfig", "regions"} {
		m[name] = true
	}
	return m
}()

var serviceOperations = map[string][]candidate{
	"GET": {{always, operation{"ListBuckets", "oss:ListBuckets", (*Service).listBuckets}}},
}

var bucketOperations = map[string][]candidate{
	"GET": {
		{sub("bucketInfo"), operation{"GetBucketInfo", "oss:GetBucketInfo", (*Service).getBucketInfo}},
		{sub("location"), operation{"GetBucketLocation", "oss:GetBucketLocation", (*Service).getBucketLocation}},
		{sub("stat"), operation{"GetBucketStat", "oss:GetBucketStat", (*Service).getBucketStat}},
		{sub("acl"), operation{"GetBucketAcl", "oss:GetBucketAcl", (*Service).getBucketACL}},
		{sub("versioning"), operation{"GetBucketVersioning", "oss:GetBucketVersioning", (*Service).getBucketVersioning}},
		{sub("lifecycle"), operation{"GetBucketLifecycle", "oss:GetBucketLifecycle", (*Service).getBucketLifecycle}},
		{sub("encryption"), operation{"GetBucketEncryption", "oss:GetBucketEncryption", (*Service).getBucketEncryption}},
		{sub("uploads"), operation{"ListMultipartUploads", "oss:ListMultipartUploads", (*Service).listUploads}},
		{sub("tagging"), unbuiltAs("GetBucketTags")},
		{func(r *request) bool { return r.param("list-type") == "2" }, operation{"ListObjectsV2", "oss:ListObjects", (*Service).listObjectsV2}},
		{always, operation{"ListObjects", "oss:ListObjects", (*Service).listObjects}},
	},
	"HEAD": {{always, operation{"HeadBucket", "oss:GetBucketInfo", (*Service).headBucket}}},
	"PUT": {
		{sub("acl"), operation{"PutBucketAcl", "oss:PutBucketAcl", (*Service).putBucketACL}},
		{sub("versioning"), operation{"PutBucketVersioning", "oss:PutBucketVersioning", (*Service).putBucketVersioning}},
		{sub("lifecycle"), operation{"PutBucketLifecycle", "oss:PutBucketLifecycle", (*Service).putBucketLifecycle}},
		{sub("encryption"), operation{"PutBucketEncryption", "oss:PutBucketEncryption", (*Service).putBucketEncryption}},
		{sub("tagging"), unbuiltAs("PutBucketTags")},
		{always, operation{"PutBucket", "oss:PutBucket", (*Service).putBucket}},
	},
	"POST": {
		{sub("delete"), operation{"DeleteMultipleObjects", "", (*Service).deleteMultiple}},
		{always, operation{"PostObject", "", (*Service).postObject}},
	},
	"DELETE": {
		{sub("lifecycle"), operation{"DeleteBucketLifecycle", "oss:DeleteBucketLifecycle", (*Service).deleteBucketLifecycle}},
		{sub("encryption"), operation{"DeleteBucketEncryption", "oss:DeleteBucketEncryption", (*Service).deleteBucketEncryption}},
		{sub("tagging"), unbuiltAs("DeleteBucketTags")},
		{always, operation{"DeleteBucket", "oss:DeleteBucket", (*Service).deleteBucket}},
	},
}

var objectOperations = map[string][]candidate{
	"GET": {
		{sub("acl"), operation{"GetObjectAcl", "oss:GetObjectAcl", (*Service).getObjectACL}},
		{sub("tagging"), operation{"GetObjectTagging", "oss:GetObjectTagging", (*Service).getObjectTagging}},
		{sub("symlink"), operation{"GetSymlink", "oss:GetObject", (*Service).getSymlink}},
		{sub("uploadId"), operation{"ListParts", "oss:ListParts", (*Service).listParts}},
		{sub("objectMeta"), operation{"GetObjectMeta", "oss:GetObject", (*Service).getObjectMeta}},
		{always, operation{"GetObject", "oss:GetObject", (*Service).getObject}},
	},
	"HEAD": {
		{sub("objectMeta"), operation{"GetObjectMeta", "oss:GetObject", (*Service).getObjectMeta}},
		{always, operation{"HeadObject", "oss:GetObject", (*Service).headObject}},
	},
	"PUT": {
		{sub("acl"), operation{"PutObjectAcl", "oss:PutObjectAcl", (*Service).putObjectACL}},
		{sub("tagging"), operation{"PutObjectTagging", "oss:PutObjectTagging", (*Service).putObjectTagging}},
		{sub("symlink"), operation{"PutSymlink", "oss:PutObject", (*Service).putSymlink}},
		{partCopying, operation{"UploadPartCopy", "oss:PutObject", (*Service).uploadPartCopy}},
		{sub("uploadId", "partNumber"), operation{"UploadPart", "oss:PutObject", (*Service).uploadPart}},
		{copying, operation{"CopyObject", "oss:PutObject", (*Service).copyObject}},
		{always, operation{"PutObject", "oss:PutObject", (*Service).putObject}},
	},
	"POST": {
		{sub("append"), operation{"AppendObject", "oss:PutObject", (*Service).appendObject}},
		{sub("uploads"), operation{"InitiateMultipartUpload", "oss:PutObject", (*Service).initiateUpload}},
		{sub("uploadId"), operation{"CompleteMultipartUpload", "oss:PutObject", (*Service).completeUpload}},
	},
	"DELETE": {
		{sub("uploadId"), operation{"AbortMultipartUpload", "oss:AbortMultipartUpload", (*Service).abortUpload}},
		{sub("tagging"), operation{"DeleteObjectTagging", "oss:DeleteObjectTagging", (*Service).deleteObjectTagging}},
		{always, operation{"DeleteObject", "oss:DeleteObject", (*Service).deleteObject}},
	},
}

func unbuiltAs(name string) operation {
	return operation{name: name, do: func(*Service, http.ResponseWriter, *request) error { return notImplemented(name) }}
}
