package ecs

import (
	"net/http"

	"ecs-image-export/local/rpc"
)

// Operations, Operation, Documented and Refuse are those of the RPC service that
// speaks for this one; see there.
func (s *Service) Operations() []string { return s.rpc.Operations() }

// Operation returns the action that a call asks for.
func (s *Service) Operation(r *http.Request) []string { return s.rpc.Operation(r) }

// Documented returns the status and the message of a code; see Documented of package rpc.
func (s *Service) Documented(code string, status int) (int, string) {
	return s.rpc.Documented(code, status)
}

// Refuse answers a call with an error.
func (s *Service) Refuse(w http.ResponseWriter, r *http.Request, status int, code, message string) {
	s.rpc.Refuse(w, r, status, code, message)
}

// refusals are all that the pages of the operations list that are built here, in
// their words, odd spellings included. Those of the first group are never
// answered by themselves: no image, bucket or role brings them about here.
var refusals = []*rpc.Error{
	refusal(http.StatusBadRequest, "InvalidImageName.Malformed", "The specified Image name is wrongly formed."),
	refusal(http.StatusBadRequest, "InvalidRegion.NotSupport", "The specified region does not support image import or export."),
	refusal(http.StatusBadRequest, "InvalidOSSBucket.NotMatched", "The specified OSS bucket is incorrect, it does not match the image."),
	refusal(http.StatusBadRequest, "OperationDenied", "The specified image contains the snapshot of the data disk,does not support this operation."),
	refusal(http.StatusForbidden, "UserNotInTheWhiteList", "The user is not in the white list of exporting image."),
	refusal(http.StatusForbidden, "InvalidTaskId.TaskActionNotSupport", "The specified task action not support."),
	refusal(http.StatusForbidden, "CancelTaskFailed", "The task is failed to cancel, Please contact the administrator."),
	errFailed,

	errPrefix, errFormat, errFormatRegion, errImage, errStatus, errCategory, errLicense, errMarket, errEncrypted,
	errSystemSize, errExporting, errNoRole, errBucket, errBucketEncrypts, errBucketDenied, errRestore, errConcurrent, errWeekly,
	errTask, errTaskStatus, errRegion, errRegionOfImages, errDryRun,
	errOwnerAlias, errOSType, errArchitecture, errUsage, errTagCount, errTagMismatch, errFilterKey, errInstanceType, errParamter,
	missing("RegionId"),
}
