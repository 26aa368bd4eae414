package ecs

import (
	"errors"
	"fmt"
	"strings"

	"ecs-image-export/shared/rpc"
)

// What a service code means to this project. The error that comes with one also
// holds the *rpc.Error with the code itself.
var (
	// ErrImageNotFound: the account has no such image in the region.
	ErrImageNotFound = errors.New("image not found")
	// ErrTaskNotFound: ECS does not know the task, or not any more.
	ErrTaskNotFound = errors.New("task not found")
	// ErrImageIsExporting: a task for the image is running, maybe one of ours
	// whose answer was lost.
	ErrImageIsExporting = errors.New("image is being exported")
	// ErrConcurrentQuota: too many exports run; one may start when another ends.
	ErrConcurrentQuota = fmt.Errorf("concurrent exports: %w", ErrQuota)
	// ErrWeeklyQuota: no export may start before the next week.
	ErrWeeklyQuota = fmt.Errorf("weekly exports: %w", ErrQuota)
	// ErrQuota is either quota.
	ErrQuota = errors.New("quota exceeded")
	// ErrThrottled: too many calls in a short time, or another operation under way:
	// the same call may pass before long.
	ErrThrottled = errors.New("throttled")
	// ErrImageNotAvailable: the image is not in status Available.
	ErrImageNotAvailable = errors.New("image is not available")
	// ErrImageNotExportable: an image of this kind is never exported, such as
	// one of the Marketplace, with encrypted disks, or Windows Server.
	ErrImageNotExportable = errors.New("image cannot be exported")
	// ErrBucket: the bucket does not exist in the region or cannot be written.
	ErrBucket = errors.New("bucket cannot be exported to")
	// ErrRole: ECS may not write to OSS for this account.
	ErrRole = errors.New("ECS has no role to write to OSS")
	// ErrForbidden: our own credentials may not make the call.
	ErrForbidden = errors.New("not permitted")
)

var meanings = map[string]error{
	"InvalidImageId.NotFound":                    ErrImageNotFound,
	"InvalidTaskId.NotFound":                     ErrTaskNotFound,
	"OperationConflict":                          ErrThrottled,
	"ImageIsExporting":                           ErrImageIsExporting,
	"ConcurrentQuotaExceed.ExportImage":          ErrConcurrentQuota,
	"WeeklyQuotaExceed.ExportImage":              ErrWeeklyQuota,
	"IncorrectImageStatus":                       ErrImageNotAvailable,
	"ImageNotSupported":                          ErrImageNotExportable,
	"InvalidImageLicense.NotSupported":           ErrImageNotExportable,
	"InvalidImageCategory.NotSupported":          ErrImageNotExportable,
	"InvalidImage.DiskAmountOrSize":              ErrImageNotExportable,
	"OperationDenied":                            ErrImageNotExportable,
	"InvalidOSSBucket.NotFound":                  ErrBucket,
	"InvalidOSSBucket.NotMatched":                ErrBucket,
	"InvalidOSSBucket.EncryptUnsupported":        ErrBucket,
	"NoSetRoletoECSServiceAcount":                ErrRole, // sic
	"InvalidOSS.NotAuthorized":                   ErrRole,
	"Forbidden.RAM":                              ErrForbidden,
	"Forbidden.AccessKeyDisabled":                ErrForbidden,
	"InvalidAccessKeyId.NotFound":                ErrForbidden,
	"InvalidSecurityToken.Expired":               ErrForbidden,
	"InvalidSecurityToken.MismatchWithAccessKey": ErrForbidden,
}

// explain joins an error with what its code means. It is the only place that
// looks at codes.
func explain(err error) error {
	var e *rpc.Error
	if !errors.As(err, &e) {
		return err
	}
	if rpc.Throttled(err) {
		return fmt.Errorf("%w: %w", ErrThrottled, err)
	}
	if meaning := meanings[e.Code]; meaning != nil {
		return fmt.Errorf("%w: %w", meaning, err)
	}
	// The same code with more behind a dot, as in OperationDenied.ImageExporting.
	if family, _, dotted := strings.Cut(e.Code, "."); dotted && family == "Forbidden" {
		return fmt.Errorf("%w: %w", ErrForbidden, err)
	}
	return err
}

// Refusal returns what ECS said, and true, if err is a definite no: nothing was
// started. False means that the call may have been carried out, or never left.
func Refusal(err error) (*rpc.Error, bool) { return rpc.Refused(err) }
