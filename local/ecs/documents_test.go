package ecs_test

import (
	"fmt"
	"testing"
)

// documented are the refusals that the pages of the operations list which are
// built here, with the message of each that has one without a blank to fill in.
var documented = map[string][]struct {
	status        int
	code, message string
}{
	"ExportImage": {
		{400, "MissingParameter", `An input parameter "RegionId" that is mandatory for processing the request is not supplied.`},
		{400, "InvalidImageName.Malformed", "The specified Image name is wrongly formed."},
		{400, "InvalidOSSPrefix.Malformed", "The specified OSSPrefix format is wrongly formed."},
		{400, "InvalidRegionId.NotFound", "The specified RegionId does not exist."},
		{400, "InvalidRegion.NotSupport", "The specified region does not support image import or export."},
		{400, "IncorrectImageStatus", "The specified Image is not available."},
		{400, "InvalidImageFormat.Malformed", "The specified Image Format is wrongly formed."},
		{400, "InvalidImageFormat.RegionNotSupported", "The specified image format is not supported in current region."},
		{400, "InvalidOSSBucket.NotFound", "The specified OSS bucket does not exist in this region."},
		{400, "InvalidOSSBucket.NotMatched", ""},
		{400, "OperationDenied", "The specified image contains the snapshot of the data disk,does not support this operation."},
		{400, "InvalidImage.DiskAmountOrSize", "The diskSize of the image exceeds the maximum size."},
		{400, "InvalidOSSObject.NeedRestore", "The specified OSS object is a archive object, need restore first."},
		{403, "ImageNotSupported", "The specified image from the image market, do not support export image."},
		{400, "ImageNotSupported", "The specified Image contains encrypted snapshots, do not support export."},
		{403, "ImageIsExporting", "The specified Image is being exported. You can use the DescribeTasks API to check the status of existing tasks."},
		{403, "ExportImageFailed", "Exporting image is failed, Please contact the administrator."},
		{403, "UserNotInTheWhiteList", "The user is not in the white list of exporting image."},
		{403, "NoSetRoletoECSServiceAcount", "ECS service account Have no right to access your OSS.please attach a role of access your oss to ECS service account."},
		{403, "InvalidOSS.NotAuthorized", "The specified OSS bucket or object is not allowed to access."},
		{403, "ConcurrentQuotaExceed.ExportImage", ""},
		{403, "WeeklyQuotaExceed.ExportImage", ""},
		{403, "InvalidImageLicense.NotSupported", ""},
		{403, "InvalidImageCategory.NotSupported", "The specified image category is not supported."},
		{403, "InvalidOSSBucket.EncryptUnsupported", "Accessing objects from encrypted OSS bucket is not supported."},
		{404, "InvalidImageId.NotFound", "The specified ImageId does not exist."},
	},
	"DescribeTasks, DescribeTaskAttribute and CancelTask": {
		{400, "InvalidTaskId.NotFound", `The specified "TaskId" is not found.`},
		{403, "InvalidTaskId.TaskActionNotSupport", "The specified task action not support."},
		{403, "InvalidTaskId.IncorrectTaskStatus", "The specified task status is not invalid."},
		{403, "CancelTaskFailed", "The task is failed to cancel, Please contact the administrator."},
	},
	"DescribeImages": {
		{404, "InvalidRegionId.NotFound", ""},
		{400, "InvalidImageOwnerAlias.ValueNotSupported", ""},
		{400, "InvalidParamter", ""}, // sic
		{400, "InvalidTag.Mismatch", ""},
		{400, "InvalidTagCount", ""},
		{400, "InvalidInstanceType.ValueNotSupported", ""},
		{404, "InvalidFilterKey.NotFound", ""},
		{404, "InvalidUsage", ""},
		{404, "InvalidOSType", ""},
		{404, "InvalidArchitecture", ""},
		{500, "InternalError", ""},
	},
	"any operation": {
		{400, "SignatureNonceUsed", ""},
		{400, "IncompleteSignature", ""},
		{400, "SignatureDoesNotMatch", ""},
		{400, "IllegalTimestamp", ""},
		{400, "UnsupportedParameter", ""},
		{400, "Throttling", ""},
		{400, "Throttling.User", "Request was denied due to user flow control."},
		{400, "Throttling.Api", ""},
		{403, "Forbidden.RAM", ""},
		{403, "Forbidden.AccessKeyDisabled", ""},
		{403, "Forbidden.SubUser", ""},
		{403, "Forbidden.RiskControl", ""},
		{403, "InvalidAction", ""},
		{409, "OperationConflict", ""},
		{503, "ServiceUnavailable", ""},
		{503, "ServiceUnavailable.RegionMaintaining", ""},
	},
}

// TestDocumented wants the service to know every documented code by its name, so
// that a fault can answer it.
func TestDocumented(t *testing.T) {
	t.Parallel()
	c := newCloud(t, "../samples", nil)
	for page, codes := range documented {
		for _, want := range codes {
			status, message := c.ecs.Documented(want.code, want.status)
			if status != want.status || message == "" || want.message != "" && message != want.message {
				t.Errorf("%s: %s is %s, want %s", page, want.code, fmt.Sprint(status, " ", message), fmt.Sprint(want.status, " ", want.message))
			}
		}
	}
}
