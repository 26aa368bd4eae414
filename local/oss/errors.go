package oss

import (
	"bytes"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"net/http"
	"strconv"
)

// Error is an error as OSS answers it. The codes and messages are those of
// https://help.aliyun.com/zh/oss/user-guide/error-handling; EC is the finer
// code of the newer error pages and is empty where none is known.
type Error struct {
	Status  int
	Code    string
	Message string
	EC      string
	// Details are further elements of the answer, in order: name, value, …
	Details []string
	// Header holds further headers of the answer, name to value.
	Header map[string]string
}

func (e *Error) Error() string { return e.Code + ": " + e.Message }

// with returns a copy of e with one more element.
func (e Error) with(name, value string) *Error {
	e.Details = append(append([]string(nil), e.Details...), name, value)
	return &e
}

// say returns a copy of e with another message.
func (e Error) say(format string, args ...any) *Error {
	e.Message = fmt.Sprintf(format, args...)
	return &e
}

var (
	errNoSuchBucket         = Error{Status: 404, Code: "NoSuchBucket", Message: "The specified bucket does not exist.", EC: "0015-00000101"}
	errNoSuchKey            = Error{Status: 404, Code: "NoSuchKey", Message: "The specified key does not exist.", EC: "0026-00000001"}
	errNoSuchVersion        = Error{Status: 404, Code: "NoSuchVersion", Message: "The specified version does not exist."}
	errNoSuchUpload         = Error{Status: 404, Code: "NoSuchUpload", Message: "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.", EC: "0042-00000002"}
	errNoSuchLifecycle      = Error{Status: 404, Code: "NoSuchLifecycle", Message: "No Row found in Lifecycle Table."}
	errNoSuchEncryption     = Error{Status: 404, Code: "NoSuchServerSideEncryptionRule", Message: "The server side encryption configuration is not found."}
	errSymlinkTarget        = Error{Status: 404, Code: "SymlinkTargetNotExist", Message: "The target object the symlink refers to does not exist."}
	errInvalidTarget        = Error{Status: 400, Code: "InvalidTargetType", Message: "The target type of the symlink is invalid."}
	errNotSymlink           = Error{Status: 400, Code: "NotSymlink", Message: "The specified object is not a symlink."}
	errBucketExists         = Error{Status: 409, Code: "BucketAlreadyExists", Message: "The requested bucket name is not available. The bucket namespace is shared by all users of the system. Please select a different name and try again.", EC: "0015-00000104"}
	errBucketNotEmpty       = Error{Status: 409, Code: "BucketNotEmpty", Message: "The bucket you tried to delete is not empty.", EC: "0015-00000301"}
	errInvalidBucketName    = Error{Status: 400, Code: "InvalidBucketName", Message: "The specified bucket is not valid.", EC: "0015-00000001"}
	errTooManyBuckets       = Error{Status: 400, Code: "TooManyBuckets", Message: "You have attempted to create more buckets than allowed."}
	errInvalidObjectName    = Error{Status: 400, Code: "InvalidObjectName", Message: "The specified object is not valid.", EC: "0016-00000001"}
	errFileExists           = Error{Status: 409, Code: "FileAlreadyExists", Message: "The object you specified already exists and can not be overwritten.", EC: "0026-00000002"}
	errPosition             = Error{Status: 409, Code: "PositionNotEqualToLength", Message: "Position is not equal to file length", EC: "0026-00000016"}
	errNotAppendable        = Error{Status: 409, Code: "ObjectNotAppendable", Message: "The object is not appendable", EC: "0026-00000015"}
	errPrecondition         = Error{Status: 412, Code: "PreconditionFailed", Message: "At least one of the pre-conditions you specified did not hold.", EC: "0026-00000010"}
	errNotModified          = Error{Status: 304, Code: "NotModified", Message: "Not Modified"}
	errInvalidRange         = Error{Status: 416, Code: "InvalidRange", Message: "The requested range cannot be satisfied."}
	errInvalidDigest        = Error{Status: 400, Code: "InvalidDigest", Message: "The Content-MD5 you specified was invalid.", EC: "0016-00000513"}
	errInvalidArgument      = Error{Status: 400, Code: "InvalidArgument", Message: "The argument is invalid."}
	errMalformedXML         = Error{Status: 400, Code: "MalformedXML", Message: "The XML you provided was not well-formed or did not validate against our published schema.", EC: "0016-00000511"}
	errInvalidPart          = Error{Status: 400, Code: "InvalidPart", Message: "One or more of the specified parts could not be found or the specified entity tag might not have matched the part's entity tag.", EC: "0042-00000101"}
	errInvalidPartOrder     = Error{Status: 400, Code: "InvalidPartOrder", Message: "The list of parts was not in ascending order. Parts list must specified in order by part number.", EC: "0042-00000102"}
	errEntityTooSmall       = Error{Status: 400, Code: "EntityTooSmall", Message: "Your proposed upload smaller than the minimum allowed size."}
	errEntityTooLarge       = Error{Status: 400, Code: "EntityTooLarge", Message: "Your proposed upload exceeds the maximum allowed size.", EC: "0017-00000101"}
	errMissingLength        = Error{Status: 411, Code: "MissingContentLength", Message: "You must provide the Content-Length HTTP header."}
	errIncompleteBody       = Error{Status: 400, Code: "IncompleteBody", Message: "You did not provide the number of bytes specified by the Content-Length HTTP header."}
	errMissingArgument      = Error{Status: 400, Code: "MissingArgument", Message: "Missing Some Required Arguments."}
	errInvalidTag           = Error{Status: 400, Code: "InvalidTag", Message: "The TagKey or TagValue you have provided is invalid."}
	errInvalidEncryption    = Error{Status: 400, Code: "InvalidEncryptionAlgorithmError", Message: "The Encryption request you specified is not valid. Supported value: AES256/KMS/SM4."}
	errInvalidClass         = Error{Status: 400, Code: "InvalidStorageClass", Message: "The storage class you specified is not valid."}
	errInvalidACL           = Error{Status: 400, Code: "InvalidArgument", Message: "no such bucket access control exists"}
	errObjectState          = Error{Status: 403, Code: "InvalidObjectState", Message: "The operation is not valid for the object's state.", EC: "0026-00000008"}
	errMethodNotAllowed     = Error{Status: 405, Code: "MethodNotAllowed", Message: "The specified method is not allowed against this resource."}
	errAccessDenied         = Error{Status: 403, Code: "AccessDenied", Message: "AccessDenied", EC: "0003-00000001"}
	errInvalidAccessKey     = Error{Status: 403, Code: "InvalidAccessKeyId", Message: "The OSS Access Key Id you provided does not exist in our records.", EC: "0002-00000902"}
	errInvalidToken         = Error{Status: 403, Code: "InvalidSecurityToken", Message: "The security token you provided is invalid.", EC: "0002-00000901"}
	errExpiredToken         = Error{Status: 403, Code: "SecurityTokenExpired", Message: "The security token you provided has expired.", EC: "0002-00000903"}
	errSignature            = Error{Status: 403, Code: "SignatureDoesNotMatch", Message: "The request signature we calculated does not match the signature you provided. Check your key and signing method.", EC: "0002-00000040"}
	errSkewed               = Error{Status: 403, Code: "RequestTimeTooSkewed", Message: "The difference between the request time and the current time is too large.", EC: "0002-00000504"}
	errNoDate               = Error{Status: 403, Code: "AccessDenied", Message: "OSS authentication requires a valid Date.", EC: "0002-00000503"}
	errBadDate              = Error{Status: 400, Code: "InvalidArgument", Message: "The Date or x-oss-date header in the request is invalid.", EC: "0002-00000502"}
	errV1Refused            = Error{Status: 403, Code: "AccessDenied", Message: "V1 signature is not supported for this request, please use V4 signature.", EC: "0002-00000080"}
	errSecondLevel          = Error{Status: 403, Code: "SecondLevelDomainForbidden", Message: "The bucket you are attempting to access must be addressed using OSS third level domain."}
	errHeaderNotImplemented = Error{Status: 400, Code: "NotImplemented", Message: "A header you provided implies functionality that is not implemented.", EC: "0017-00000245"}
	errInternal             = Error{Status: 500, Code: "InternalError", Message: "We encountered an internal error. Please try again."}
)

// notImplemented is the answer to what the stand-in does not have.
func notImplemented(operation string) *Error {
	return &Error{Status: 501, Code: "NotImplemented", Message: operation + " is not implemented by this stand-in."}
}

// badArgument is the answer to a parameter or header with a value out of its
// range.
func badArgument(name, value, format string, args ...any) *Error {
	return errInvalidArgument.say(format, args...).with("ArgumentName", name).with("ArgumentValue", value)
}

// writeError answers err. OSS gives the body of an answer that must not have
// one in the header x-oss-err.
func writeError(w http.ResponseWriter, r *request, err *Error) {
	h := w.Header()
	for k, v := range err.Header {
		h[k] = []string{v}
	}
	if err.Status == http.StatusNotModified {
		w.WriteHeader(err.Status)
		return
	}
	var b bytes.Buffer
	b.WriteString(xml.Header)
	b.WriteString("<Error>\n")
	element := func(name, value string) {
		fmt.Fprintf(&b, "  <%s>", name)
		_ = xml.EscapeText(&b, []byte(value))
		fmt.Fprintf(&b, "</%s>\n", name)
	}
	element("Code", err.Code)
	element("Message", err.Message)
	element("RequestId", r.id)
	element("HostId", r.Host)
	for i := 0; i+1 < len(err.Details); i += 2 {
		element(err.Details[i], err.Details[i+1])
	}
	if err.EC != "" {
		element("EC", err.EC)
		element("RecommendDoc", "https://api.aliyun.com/troubleshoot?q="+err.EC)
		h.Set("x-oss-ec", err.EC)
	}
	b.WriteString("</Error>\n")
	h.Set("Content-Type", "application/xml")
	if r.Method == http.MethodHead {
		h.Set("x-oss-err", base64.StdEncoding.EncodeToString(b.Bytes()))
		w.WriteHeader(err.Status)
		return
	}
	h.Set("Content-Length", strconv.Itoa(b.Len()))
	w.WriteHeader(err.Status)
	_, _ = w.Write(b.Bytes())
}
