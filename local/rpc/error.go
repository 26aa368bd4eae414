package rpc

import (
	"fmt"
	"net/http"
)

// Error is a refusal as the caller gets it.
type Error struct {
	Status        int // HTTP status
	Code, Message string
	// AccessDenied says more about a missing permission; nil for other errors.
	AccessDenied *AccessDenied
}

func (e *Error) Error() string { return fmt.Sprintf("%d %s: %s", e.Status, e.Code, e.Message) }

// AccessDenied is the AccessDeniedDetail that comes with a missing permission.
type AccessDenied struct {
	AuthAction               string
	AuthPrincipalDisplayName string
	AuthPrincipalOwnerID     string `json:"AuthPrincipalOwnerId"`
	AuthPrincipalType        string // AssumedRoleUser, SubUser
	NoPermissionType         string // ImplicitDeny, ExplicitDeny
	PolicyType               string // AccountLevelIdentityBasedPolicy, AssumeRolePolicy, SessionPolicy
}

// The gateway's own refusals, from its public table of error codes.
var (
	errNotFound      = &Error{Status: http.StatusNotFound, Code: "InvalidAction.NotFound", Message: "Specified api is not found, please check your url and method."}
	errMethod        = &Error{Status: http.StatusForbidden, Code: "UnsupportedHTTPMethod", Message: "This http method is not supported."}
	errFormat        = &Error{Status: http.StatusBadRequest, Code: "InvalidParameter.Format", Message: "Specified parameter format is not valid."}
	errBody          = &Error{Status: http.StatusBadRequest, Code: "InvalidParameter", Message: "The request form is not well formed or too large."}
	errKey           = &Error{Status: http.StatusNotFound, Code: "InvalidAccessKeyId.NotFound", Message: "Specified access key is not found."}
	errNonce         = &Error{Status: http.StatusBadRequest, Code: "SignatureNonceUsed", Message: "Specified signature nonce was used already."}
	errTimeFormat    = &Error{Status: http.StatusBadRequest, Code: "InvalidTimeStamp.Format", Message: "Specified time stamp or date value is not well formatted."}
	errTimeExpired   = &Error{Status: http.StatusBadRequest, Code: "InvalidTimeStamp.Expired", Message: "Specified time stamp or date value is expired."}
	errMethodUnknown = &Error{Status: http.StatusBadRequest, Code: "InvalidSignatureMethod", Message: "Specified signature method is not valid."}
	errTokenExpired  = &Error{Status: http.StatusBadRequest, Code: "InvalidSecurityToken.Expired", Message: "Specified SecurityToken is expired."}
	errTokenWrong    = &Error{Status: http.StatusBadRequest, Code: "InvalidSecurityToken.MismatchWithAccessKey", Message: "Specified SecurityToken mismatch with the AccessKey."}
	errIncomplete    = &Error{Status: http.StatusBadRequest, Code: "IncompleteSignature", Message: "The request signature does not conform to Aliyun standards."}
	errContentSHA    = &Error{Status: http.StatusBadRequest, Code: "InvalidContentSha256", Message: "Specified x-acs-content-sha256 does not match the body."}
)

func missing(name string) *Error {
	return &Error{Status: http.StatusBadRequest, Code: "Missing" + name, Message: name + " is mandatory for this action."}
}

func invalid(name string) *Error {
	return &Error{Status: http.StatusBadRequest, Code: "Invalid" + name, Message: "Specified parameter " + name + " is not valid."}
}

// MissingParameter is the refusal of ECS for a parameter that was left out.
func MissingParameter(name string) *Error {
	return &Error{
		Status: http.StatusBadRequest, Code: "MissingParameter",
		Message: fmt.Sprintf("The input parameter %q that is mandatory for processing this request is not supplied.", name),
	}
}

// InvalidParameter is the general refusal of a parameter's value.
func InvalidParameter(name string) *Error {
	return &Error{
		Status: http.StatusBadRequest, Code: "InvalidParameter",
		Message: fmt.Sprintf("The specified value of parameter %q is not valid.", name),
	}
}

// NotImplemented says that the stand-in does not have what the cloud has.
func NotImplemented(what string) *Error {
	return &Error{
		Status: http.StatusNotImplemented, Code: "NotImplemented",
		Message: what + " is not built in this local stand-in.",
	}
}
