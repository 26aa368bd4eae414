package export

const codeConcurrent = "ConcurrentQuotaExceed.ExportImage"

// Remedies that several codes share.
const (
	remedyOperator = "This is a mistake of this system or its deployment, not of the order: show the code and the request id to whoever runs it."
	remedyAgain    = "Nothing has to be done: it is tried again. If it stays so, look at the service's health in the console."
	remedyWaits    = "Nothing has to be done: the export is queued and tried again."
	remedyRights   = "Give the function's role the policy of docs/policies, or run the set-up again."
	remedyRole     = "GET /authorization says what the role lacks and has the link and the policies that mend it."
	remedyTask     = "Nothing has to be done: the task is looked at again, and its end decides."
	remedyThere    = "Nothing has to be done: what is there already is taken."
)

// Codes are the answers of the cloud that its documents list, and what we do
// about each:
//
//	https://www.alibabacloud.com/help/en/ecs/developer-reference/api-ecs-2014-05-26-exportimage
//	https://www.alibabacloud.com/help/en/ecs/developer-reference/api-ecs-2014-05-26-describetasks
//	https://www.alibabacloud.com/help/en/ecs/developer-reference/api-ecs-2014-05-26-canceltask
//	https://www.alibabacloud.com/help/doc-detail/32097.html (OSS)
//	https://www.alibabacloud.com/help/doc-detail/27501.htm (MNS)
var Codes = []Code{
	{OpExport, "MissingParameter", 400, DoGiveUp, "ExportImage was called without a parameter that it needs.", remedyOperator, 0},
	{OpExport, "InvalidImageName.Malformed", 400, DoRefuse, "ECS does not take the name of the image.", "Give the image another name (ModifyImageAttribute).", 0},
	{OpExport, "InvalidOSSPrefix.Malformed", 400, DoRefuse, "ECS does not take the prefix.", "Use letters and digits only.", 0},
	{OpExport, "InvalidRegionId.NotFound", 400, DoGiveUp, "There is no region of this id.", "Correct REGION of the deployment.", 0},
	{OpExport, "InvalidRegion.NotSupport", 400, DoGiveUp, "Images can't be exported in this region.", "Copy the image to a region that has exports (CopyImage), and export it with a deployment there.", 0},
	{OpExport, "IncorrectImageStatus", 400, DoRefuse, "The image is not in status Available.", "Wait until it is, or create it anew.", 0},
	{OpExport, "InvalidImageFormat.Malformed", 400, DoRefuse, "ECS does not know the format.", "Use raw, vhd, qcow2, vdi or vmdk.", 0},
	{OpExport, "InvalidImageFormat.RegionNotSupported", 400, DoRefuse, "The region does not offer the format.", "Export the image as raw, and convert it with qemu-img.", 0},
	{OpExport, "InvalidOSSBucket.NotFound", 400, DoRefuse, "The region has no bucket of this name.", "Create it there, or use another bucket.", 0},
	{OpExport, "InvalidOSSBucket.NotMatched", 400, DoRefuse, "The bucket is not one that ECS can export to.", "Use a bucket of this account in the region of the image.", 0},
	{OpExport, "OperationDenied", 400, DoRefuse, "ECS does not export this image because of its data disks.", "Create an image of the system disk alone.", 0},
	{OpExport, "InvalidImage.DiskAmountOrSize", 400, DoRefuse, "The image has too many data disks, or too large ones.", "Spread the data over more images or smaller disks: POST /exports/check says which and how.", 0},
	{OpExport, "ImageNotSupported", 400, DoRefuse, "The image has encrypted disks.", "Copy their data to disks without encryption, and create the image from those.", 0},
	{OpExport, "InvalidOSSObject.NeedRestore", 400, DoRefuse, "An archived object is in the way.", "Use a bucket of storage class Standard.", 0},
	{OpExport, "ImageNotSupported", 403, DoRefuse, "The image comes from the Marketplace.", "Install the software on an instance of a public image, and create the image from that.", 0},
	{OpExport, CodeImageBusy, 403, DoAdopt, "The image is being exported, by a task of somebody else or by a call of ours whose answer was lost.", remedyWaits, 0},
	{OpExport, "ExportImageFailed", 403, DoGiveUp, "ECS could not begin the export.", "Order it again; if it fails again, open a ticket with the request id.", 0},
	{OpExport, "UserNotInTheWhiteList", 403, DoGiveUp, "The account may not export images.", "Open a ticket with Alibaba Cloud.", 0},
	{OpExport, "NoSetRoletoECSServiceAcount", 403, DoGiveUp, "ECS may not take the role that it is to write to OSS as.", remedyRole, 0},
	{OpExport, "InvalidOSS.NotAuthorized", 403, DoGiveUp, "The role that ECS takes may not write to the bucket.", remedyRole, 0},
	{OpExport, codeConcurrent, 403, DoWait, "As many exports run as the account may have at once.", remedyWaits, ConcurrentTasks},
	{OpExport, codeWeekly, 403, DoWait, "The account has had all the exports of this week.", remedyWaits + " If that is too late, ask Alibaba Cloud for a higher quota.", WeeklyTasks},
	{OpExport, "InvalidImageLicense.NotSupported", 403, DoRefuse, "The licence of the system in the image does not allow its export.", "Copy the files off a running instance instead.", 0},
	{OpExport, "InvalidImageCategory.NotSupported", 403, DoRefuse, "The image is not a custom image of this account.", "Create an instance from it, and a custom image of that.", 0},
	{OpExport, "InvalidOSSBucket.EncryptUnsupported", 403, DoRefuse, "The bucket encrypts its objects.", "Switch its server-side encryption off, or use another bucket.", 0},
	{OpExport, "InvalidImageId.NotFound", 404, DoRefuse, "The account has no such image in this region.", "Check the id; copy the image here first if it is in another region (CopyImage).", 0},

	{OpTasks, "MissingParameter", 400, DoGiveUp, "The call lacks a parameter.", remedyOperator, 0},
	{OpTasks, "InvalidRegionId.NotFound", 400, DoGiveUp, "There is no region of this id.", "Correct REGION of the deployment.", 0},
	{OpTasks, "InvalidTaskId.NotFound", 400, DoAdopt, "ECS does not know the task (any more).", "Nothing has to be done: the disks in the bucket decide.", 0},

	{OpCancel, "MissingParameter", 400, DoGiveUp, "The call lacks a parameter.", remedyOperator, 0},
	{OpCancel, "InvalidRegionId.NotFound", 400, DoGiveUp, "There is no region of this id.", "Correct REGION of the deployment.", 0},
	{OpCancel, "InvalidTaskId.NotFound", 400, DoAdopt, "ECS does not know the task (any more).", "Nothing has to be done: nothing runs, and what it left is removed.", 0},
	{OpCancel, "InvalidTaskId.TaskActionNotSupport", 403, DoWait, "Tasks of this kind can't be canceled.", remedyTask, 0},
	{OpCancel, "InvalidTaskId.IncorrectTaskStatus", 403, DoWait, "The task does not run: it waits for its turn, or has ended.", remedyTask, 0},
	{OpCancel, "CancelTaskFailed", 403, DoWait, "ECS could not cancel the task.", remedyTask, 0},

	{ServiceEC, "Throttling", 400, DoWait, "Too many calls in a short time.", remedyAgain, CallRate},
	{ServiceEC, "Rejected.Throttling", 400, DoWait, "Too many calls in a short time.", remedyAgain, CallRate},
	{ServiceEC, "OperationConflict", 409, DoWait, "Another operation is under way.", remedyAgain, CallRate},
	{ServiceEC, "SignatureNonceUsed", 400, DoAdopt, "A call with this nonce came before: the call was sent twice on its way.", remedyAgain, 0},
	{ServiceEC, "InternalError", 500, DoAdopt, "ECS broke; whether it did its part is not known.", remedyAgain, 0},
	{ServiceEC, "ServiceUnavailable", 503, DoAdopt, "ECS is out of service; whether it did its part is not known.", remedyAgain, 0},
	{ServiceEC, "UnsupportedParameter", 400, DoGiveUp, "ECS does not know a parameter.", remedyOperator, 0},
	{ServiceEC, "InvalidAction", 403, DoGiveUp, "ECS does not know the operation.", remedyOperator, 0},
	{ServiceEC, "IncompleteSignature", 400, DoGiveUp, "ECS does not take the signature.", remedyOperator, 0},
	{ServiceEC, "SignatureDoesNotMatch", 400, DoGiveUp, "ECS does not take the signature.", remedyOperator, 0},
	{ServiceEC, "IllegalTimestamp", 400, DoGiveUp, "The clock of the function is wrong.", remedyOperator, 0},
	{ServiceEC, "InvalidAccessKeyId.NotFound", 400, DoGiveUp, "The key of the function does not exist.", remedyRights, 0},
	{ServiceEC, "InvalidSecurityToken", 400, DoGiveUp, "The credentials of the function are not accepted, or not any more.", remedyRights, 0},
	{ServiceEC, "Forbidden", 403, DoGiveUp, "The function's role, or the account, may not do that.", remedyRights, 0},

	{ServiceRA, "NoPermission", 403, DoGiveUp, "The function's role may not do that in RAM.", remedyRights, 0},
	{ServiceST, "NoPermission", 403, DoGiveUp, "The function's role may not take the role, or that does not trust the account.", remedyRights, 0},
	{ServiceST, "EntityNotExist.Role", 404, DoGiveUp, "The role does not exist (any more).", "Run the set-up again: it makes the role of DOWNLOAD_ROLE_ARN.", 0},

	{ServiceOS, "AccessDenied", 403, DoGiveUp, "The function may not do that to the bucket.", remedyRights, 0},
	{ServiceOS, "InvalidAccessKeyId", 403, DoGiveUp, "The key of the function does not exist.", remedyRights, 0},
	{ServiceOS, "SignatureDoesNotMatch", 403, DoGiveUp, "OSS does not take the signature.", remedyOperator, 0},
	{ServiceOS, "RequestTimeTooSkewed", 403, DoGiveUp, "The clock of the function is wrong.", remedyOperator, 0},
	{ServiceOS, "FileImmutable", 409, DoGiveUp, "A retention policy keeps the object.", "Wait until the retention of the bucket is over, or use a bucket without.", 0},
	{ServiceOS, "InvalidObjectState", 403, DoGiveUp, "The object is archived.", "Restore it (RestoreObject) before reading it.", 0},
	{ServiceOS, "NoSuchBucket", 404, DoGiveUp, "The bucket does not exist (any more).", "Create it in the region, and run the set-up again.", 0},
	{ServiceOS, "InvalidBucketName", 400, DoGiveUp, "This is no name of a bucket.", "Use 3 to 63 lower-case letters, digits and hyphens.", 0},
	{ServiceOS, "BucketAlreadyExists", 409, DoGiveUp, "Another account has a bucket of this name.", "Choose another name.", 0},
	{ServiceOS, "InvalidTargetBucketRegion", 400, DoGiveUp, "The bucket lies in another region.", "Use a bucket in the region of the deployment.", 0},
	{ServiceOS, "NoSuchKey", 404, DoAdopt, "There is no such object (any more).", remedyThere, 0},
	{ServiceOS, "NoSuchUpload", 404, DoAdopt, "The upload has ended.", remedyThere, 0},
	{ServiceOS, "FileAlreadyExists", 409, DoAdopt, "Somebody was first.", remedyThere, 0},
	{ServiceOS, "PositionNotEqualToLength", 409, DoAdopt, "Somebody appended first.", remedyThere, 0},
	{ServiceOS, "ObjectNotAppendable", 409, DoGiveUp, "A record was written by something else.", "Keep everything but this system out of the records bucket; the log of the function names the object.", 0},
	{ServiceOS, "InvalidObjectName", 400, DoGiveUp, "This is no name of an object.", remedyOperator, 0},
	{ServiceOS, "InvalidArgument", 400, DoGiveUp, "OSS does not take a parameter.", remedyOperator, 0},
	{ServiceOS, "InvalidDigest", 400, DoGiveUp, "The checksum does not match the body.", remedyOperator, 0},
	{ServiceOS, "MalformedXML", 400, DoGiveUp, "OSS can't read the body.", remedyOperator, 0},
	{ServiceOS, "EntityTooLarge", 400, DoGiveUp, "The body is too large.", remedyOperator, 0},
	{ServiceOS, "MethodNotAllowed", 405, DoGiveUp, "OSS does not have the operation.", remedyOperator, 0},
	{ServiceOS, "NotImplemented", 501, DoGiveUp, "OSS does not have the operation.", remedyOperator, 0},
	{ServiceOS, "RequestTimeout", 400, DoWait, "The body took too long.", remedyAgain, CallRate},
	{ServiceOS, "InternalError", 500, DoAdopt, "OSS broke; whether it did its part is not known.", remedyAgain, 0},

	{ServiceMN, "AccessDenied", 403, DoGiveUp, "The function may not do that to the queue or the topic.", remedyRights, 0},
	{ServiceMN, "InvalidAccessKeyId", 403, DoGiveUp, "The key of the function does not exist.", remedyRights, 0},
	{ServiceMN, "SignatureDoesNotMatch", 403, DoGiveUp, "MNS does not take the signature.", remedyOperator, 0},
	{ServiceMN, "InvalidAuthorizationHeader", 400, DoGiveUp, "MNS does not take the signature.", remedyOperator, 0},
	{ServiceMN, "MissingAuthorizationHeader", 400, DoGiveUp, "The call has no signature.", remedyOperator, 0},
	{ServiceMN, "InvalidDateHeader", 400, DoGiveUp, "MNS does not take the date.", remedyOperator, 0},
	{ServiceMN, "MissingDateHeader", 400, DoGiveUp, "The call has no date.", remedyOperator, 0},
	{ServiceMN, "MissingVersionHeader", 400, DoGiveUp, "The call has no version.", remedyOperator, 0},
	{ServiceMN, "InvalidDegist", 400, DoGiveUp, "The checksum does not match the body.", remedyOperator, 0}, // sic
	{ServiceMN, "InvalidRequestURL", 400, DoGiveUp, "MNS does not have this path.", remedyOperator, 0},
	{ServiceMN, "InvalidQueryString", 400, DoGiveUp, "MNS does not take the query.", remedyOperator, 0},
	{ServiceMN, "MalformedXML", 400, DoGiveUp, "MNS can't read the body.", remedyOperator, 0},
	{ServiceMN, "InvalidArgument", 400, DoGiveUp, "MNS does not take a value.", remedyOperator, 0},
	{ServiceMN, "MissingReceiptHandle", 400, DoGiveUp, "The call has no receipt handle.", remedyOperator, 0},
	{ServiceMN, "MissingVisibilityTimeout", 400, DoGiveUp, "The call has no visibility time-out.", remedyOperator, 0},
	{ServiceMN, "InvalidQueueName", 400, DoGiveUp, "This is no name of a queue.", "Correct TASK_QUEUE of the deployment.", 0},
	{ServiceMN, "QueueNameLengthError", 400, DoGiveUp, "The name of the queue is too long.", "Correct TASK_QUEUE of the deployment.", 0},
	{ServiceMN, "TopicNameInvalid", 400, DoGiveUp, "This is no name of a topic.", "Correct EVENT_TOPIC of the deployment.", 0},
	{ServiceMN, "TopicNameLengthError", 400, DoGiveUp, "The name of the topic is too long.", "Correct EVENT_TOPIC of the deployment.", 0},
	{ServiceMN, "SubsriptionNameInvalid", 400, DoGiveUp, "This is no name of a subscription.", "Choose another name.", 0}, // sic
	{ServiceMN, "SubscriptionNameLengthError", 400, DoGiveUp, "The name of the subscription is too long.", "Choose another name.", 0},
	{ServiceMN, "EndpointInvalid", 400, DoGiveUp, "MNS does not take the endpoint of the subscription.", "Correct the endpoint.", 0},
	{ServiceMN, "QueueDeletedRecently", 400, DoGiveUp, "A queue of this name was deleted a moment ago.", "Run the set-up again in a minute.", 0},
	{ServiceMN, "QpsLimitExceeded", 400, DoWait, "Too many calls in a short time.", remedyAgain, CallRate},
	{ServiceMN, "ReceiptHandleError", 400, DoGiveUp, "The handle is not one that MNS gave.", remedyOperator, 0},
	{ServiceMN, "MessageNotExist", 404, DoAdopt, "The message is gone, or has another handle by now.", "Nothing has to be done: somebody else has handled it, or it comes again.", 0},
	{ServiceMN, "QueueNotExist", 404, DoGiveUp, "The queue of nudges does not exist (any more).", "Run the set-up again: it makes the queue.", 0},
	{ServiceMN, "TopicNotExist", 404, DoGiveUp, "The topic of events does not exist (any more).", "Run the set-up again: it makes the topic.", 0},
	{ServiceMN, "SubscriberNotExist", 404, DoGiveUp, "The subscription does not exist (any more).", "Subscribe again.", 0},
	{ServiceMN, "TimeExpired", 408, DoGiveUp, "The clock of the function is wrong.", remedyOperator, 0},
	{ServiceMN, "QueueAlreadyExist", 409, DoAdopt, "The queue is there, with other attributes.", remedyThere, 0},
	{ServiceMN, "TopicAlreadyExist", 409, DoAdopt, "The topic is there, with other attributes.", remedyThere, 0},
	{ServiceMN, "SubscriptionAlreadyExist", 409, DoAdopt, "The subscription is there, with other attributes.", remedyThere, 0},
	{ServiceMN, "InternalError", 500, DoAdopt, "MNS broke; whether it did its part is not known.", remedyAgain, 0},
	{ServiceMN, "InternalServerError", 500, DoAdopt, "MNS broke; whether it did its part is not known.", remedyAgain, 0},
}
