package ecs

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"ecs-image-export/shared/rpc"
)

// The statuses of an image. Only an available one can be exported.
const (
	ImageCreating     = "Creating"
	ImageWaiting      = "Waiting"
	ImageAvailable    = "Available"
	ImageUnavailable  = "UnAvailable"
	ImageCreateFailed = "CreateFailed"
	ImageDeprecated   = "Deprecated"
)

// everyStatus asks for images in any status: DescribeImages leaves out all but
// the available ones otherwise.
const everyStatus = ImageCreating + "," + ImageWaiting + "," + ImageAvailable + "," +
	ImageUnavailable + "," + ImageCreateFailed + "," + ImageDeprecated

// Image is an image as DescribeImages describes it.
type Image struct {
	ID, Name, Family string
	Status           string // one of the constants
	Progress         string // of its creation, such as "100%"
	OwnerAlias       string // self for custom images, system, others, marketplace
	OwnerID          string // account id; blank if ECS does not tell
	Public           bool   // published as a community image
	OSType           string // linux, windows
	OSName           string
	Platform         string // such as "Ubuntu" or "Windows Server 2022"
	Architecture     string // x86_64, arm64, i386
	ProductCode      string // not empty for an image of the Marketplace
	Description      string
	SizeGiB          int64 // of the system disk
	CreatedAt        time.Time
	Disks            []Disk
	// Raw is the image's JSON object as ECS sent it.
	Raw json.RawMessage
}

// The roles of a disk.
const (
	SystemDisk = "system"
	DataDisk   = "data"
)

// Disk is a disk of an image.
type Disk struct {
	Role       string // SystemDisk or DataDisk
	Device     string // such as /dev/xvdb
	SizeGiB    int64
	SnapshotID string
	Format     string // often empty
	Encrypted  bool
}

type wireImage struct {
	ImageID            rpc.Text `json:"ImageId"`
	ImageName          rpc.Text
	ImageFamily        rpc.Text
	ImageOwnerAlias    rpc.Text
	ImageOwnerID       rpc.Text `json:"ImageOwnerId"`
	IsPublic           rpc.Bool
	Progress           rpc.Text
	OSType             rpc.Text
	OSName             rpc.Text
	Platform           rpc.Text
	Architecture       rpc.Text
	ProductCode        rpc.Text
	Description        rpc.Text
	Status             rpc.Text
	Size               rpc.Int
	CreationTime       rpc.Time
	DiskDeviceMappings struct {
		DiskDeviceMapping []struct {
			Type       rpc.Text
			Device     rpc.Text
			Size       rpc.Int
			SnapshotID rpc.Text `json:"SnapshotId"`
			Format     rpc.Text
			Encrypted  rpc.Bool
		}
	}
}

// Image describes an image in whatever status. ErrImageNotFound means that there
// is none: DescribeImages answers with an empty list.
func (c *Client) Image(ctx context.Context, id string) (Image, error) {
	var answer struct {
		Images struct{ Image []json.RawMessage }
	}
	err := c.rpc.Call(ctx, "DescribeImages", map[string]string{
		"RegionId": c.region, "ImageId": id, "Status": everyStatus,
	}, &answer, rpc.Read)
	if err != nil {
		return Image{}, explain(err)
	}
	for _, raw := range answer.Images.Image {
		image, err := readImage(raw)
		if err != nil {
			return Image{}, fmt.Errorf("image %s: %w", id, err)
		}
		if image.ID == id {
			return image, nil
		}
	}
	return Image{}, fmt.Errorf("image %s: %w", id, ErrImageNotFound)
}

// MaxImages is how many images one call lists.
const MaxImages = 100

// OwnImages lists custom images of the account in whatever status: page counts
// from 1, and has size of them, MaxImages at most. The total is that of all pages.
func (c *Client) OwnImages(ctx context.Context, page, size int) (images []Image, total int, err error) {
	var answer struct {
		TotalCount rpc.Int
		Images     struct{ Image []json.RawMessage }
	}
	err = c.rpc.Call(ctx, "DescribeImages", map[string]string{
		"RegionId": c.region, "ImageOwnerAlias": "self", "Status": everyStatus,
		"PageNumber": strconv.Itoa(page), "PageSize": strconv.Itoa(size),
	}, &answer, rpc.Read)
	if err != nil {
		return nil, 0, explain(err)
	}
	for i, raw := range answer.Images.Image {
		image, err := readImage(raw)
		if err != nil {
			return nil, 0, fmt.Errorf("image %d of page %d: %w", i+1, page, err)
		}
		images = append(images, image)
	}
	return images, int(answer.TotalCount), nil
}

// owner is an account id. Zero is that of nobody.
func owner(id rpc.Text) string {
	if id == "0" {
		return ""
	}
	return string(id)
}

func readImage(raw json.RawMessage) (Image, error) {
	var w wireImage
	if err := json.Unmarshal(raw, &w); err != nil {
		return Image{}, err
	}
	image := Image{
		ID: string(w.ImageID), Name: string(w.ImageName), Family: string(w.ImageFamily), Status: string(w.Status),
		Progress: string(w.Progress), OwnerAlias: string(w.ImageOwnerAlias), OwnerID: owner(w.ImageOwnerID), Public: bool(w.IsPublic),
		OSType: string(w.OSType), OSName: string(w.OSName),
		Platform: string(w.Platform), Architecture: string(w.Architecture), ProductCode: string(w.ProductCode),
		Description: string(w.Description), SizeGiB: int64(w.Size), CreatedAt: w.CreationTime.Time, Raw: raw,
	}
	for _, d := range w.DiskDeviceMappings.DiskDeviceMapping {
		image.Disks = append(image.Disks, Disk{
			Role: string(d.Type), Device: string(d.Device), SizeGiB: int64(d.Size),
			SnapshotID: string(d.SnapshotID), Format: string(d.Format), Encrypted: bool(d.Encrypted),
		})
	}
	return image, nil
}
