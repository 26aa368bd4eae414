package ecs

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"ecs-image-export/local/ecs/image"
	"ecs-image-export/local/rpc"
)

// DefaultRole is the role that ECS takes when a caller names none.
const DefaultRole = "AliyunECSImageExportDefaultRole"

// The documented refusals of ExportImage.
var (
	errPrefix         = refusal(http.StatusBadRequest, "InvalidOSSPrefix.Malformed", "The specified OSSPrefix format is wrongly formed.")
	errFormat         = refusal(http.StatusBadRequest, "InvalidImageFormat.Malformed", "The specified Image Format is wrongly formed.")
	errFormatRegion   = refusal(http.StatusBadRequest, "InvalidImageFormat.RegionNotSupported", "The specified image format is not supported in current region.")
	errImage          = refusal(http.StatusNotFound, "InvalidImageId.NotFound", "The specified ImageId does not exist.")
	errStatus         = refusal(http.StatusBadRequest, "IncorrectImageStatus", "The specified Image is not available.")
	errCategory       = refusal(http.StatusForbidden, "InvalidImageCategory.NotSupported", "The specified image category is not supported.")
	errLicense        = refusal(http.StatusForbidden, "InvalidImageLicense.NotSupported", "The license of the specified image does not allow it to be exported.")
	errMarket         = refusal(http.StatusForbidden, "ImageNotSupported", "The specified image from the image market, do not support export image.")
	errEncrypted      = refusal(http.StatusBadRequest, "ImageNotSupported", "The specified Image contains encrypted snapshots, do not support export.")
	errSystemSize     = refusal(http.StatusBadRequest, "InvalidImage.DiskAmountOrSize", "The diskSize of the image exceeds the maximum size.")
	errExporting      = refusal(http.StatusForbidden, "ImageIsExporting", "The specified Image is being exported. You can use the DescribeTasks API to check the status of existing tasks.")
	errNoRole         = refusal(http.StatusForbidden, "NoSetRoletoECSServiceAcount", "ECS service account Have no right to access your OSS.please attach a role of access your oss to ECS service account.")
	errBucket         = refusal(http.StatusBadRequest, "InvalidOSSBucket.NotFound", "The specified OSS bucket does not exist in this region.")
	errBucketEncrypts = refusal(http.StatusForbidden, "InvalidOSSBucket.EncryptUnsupported", "Accessing objects from encrypted OSS bucket is not supported.")
	errBucketDenied   = refusal(http.StatusForbidden, "InvalidOSS.NotAuthorized", "The specified OSS bucket or object is not allowed to access.")
	errRestore        = refusal(http.StatusBadRequest, "InvalidOSSObject.NeedRestore", "The specified OSS object is a archive object, need restore first.")
	errFailed         = refusal(http.StatusForbidden, "ExportImageFailed", "Exporting image is failed, Please contact the administrator.")
	errConcurrent     = refusal(http.StatusForbidden, "ConcurrentQuotaExceed.ExportImage", "The maximum number of concurrent ongoing tasks has been reached. Try again later.")
	errWeekly         = refusal(http.StatusForbidden, "WeeklyQuotaExceed.ExportImage", "The weekly quota for exported images of this week has been used up.")
)

func refusal(status int, code, message string) *rpc.Error {
	return &rpc.Error{Status: status, Code: code, Message: message}
}

var prefixPattern = regexp.MustCompile(`^[0-9A-Za-z]{1,30}$`)

// exportImage checks, in the order from the cheapest to the dearest, everything
// that the cloud documents and that can be known here, and queues a task.
func (s *Service) exportImage(_ context.Context, r *rpc.Request) (any, error) {
	if err := s.inRegion(r, "ImageId", "OSSBucket"); err != nil {
		return nil, err
	}
	prefix := r.Get("OSSPrefix")
	if prefix != "" && !prefixPattern.MatchString(prefix) {
		return nil, errPrefix
	}
	dry, err := r.Bool("DryRun")
	if err != nil {
		return nil, err
	}
	format, err := s.format(r.Get("ImageFormat"))
	if err != nil {
		return nil, err
	}
	img, ok := s.folder.Image(r.Get("ImageId"))
	if !ok {
		return nil, errImage
	}
	if refused := s.refuseImage(img); refused != nil {
		return nil, refused
	}
	if img.Status != "Available" {
		return nil, errStatus
	}
	t := newTask(img, r.Get("OSSBucket"), prefix, r.Get("RoleName"), format)
	// Before the bucket is asked too: a busy image costs no call.
	if err := s.admissible(t); err != nil {
		return nil, err
	}
	if err := s.checkBucket(t); err != nil {
		return nil, err
	}
	if dry {
		return nil, errDryRun
	}
	if err := s.accept(t); err != nil {
		return nil, err
	}
	return struct {
		RegionID string `json:"RegionId"`
		TaskID   string `json:"TaskId"`
	}{s.Region, t.ID}, nil
}

// refuseImage judges what an image is, whatever its status.
func (s *Service) refuseImage(img image.Image) *rpc.Error {
	data := 0
	for _, m := range img.Disks() {
		if m.Type == "data" {
			data++
		}
	}
	switch {
	case img.ImageOwnerAlias != "self":
		return errCategory
	case img.ProductCode != "":
		// An image made from a marketplace image keeps the product's code.
		return errMarket
	case img.Windows():
		return errLicense
	case img.Encrypted():
		return errEncrypted
	case data > s.MaxDataDisks:
		return s.tooLarge()
	}
	for _, m := range img.Disks() {
		if m.Type == "data" && m.SizeGiB() > s.MaxDataDiskGiB {
			return s.tooLarge()
		}
		if m.Type == "system" && s.MaxSystemDiskGiB > 0 && m.SizeGiB() > s.MaxSystemDiskGiB {
			return errSystemSize
		}
	}
	return nil
}

func (s *Service) tooLarge() *rpc.Error {
	return refusal(http.StatusBadRequest, "InvalidImage.DiskAmountOrSize",
		fmt.Sprintf("The image exceeds the limit: at most %d data disk snapshots, each of at most %d GiB.", s.MaxDataDisks, s.MaxDataDiskGiB))
}

// objectName is the key that ECS gives to a disk: [<prefix>_]<imageId>_system and
// [<prefix>_]<imageId>_data_<xvdX>, with the suffix of the format.
func objectName(prefix, imageID, format string, m image.Mapping) string {
	name := imageID + "_system"
	if m.Type == "data" {
		name = imageID + "_data_" + strings.TrimPrefix(m.Device, "/dev/")
	}
	if prefix != "" {
		name = prefix + "_" + name
	}
	return name + formats[format].suffix
}
