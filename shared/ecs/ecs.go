// Package ecs calls the part of ECS (2014-05-26) that exports images: images,
// ExportImage and its tasks.
//
// ExportImage is never tried twice. When it fails, Refusal tells whether ECS
// said no; in every other case a task may have begun.
package ecs

import (
	"context"
	"errors"
	"strings"
	"time"

	"ecs-image-export/shared/rpc"
)

// Version is the API's.
const Version = "2014-05-26"

// Config says which ECS to call and as whom. A blank Endpoint is the real ECS of
// Region; otherwise it is a URL.
type Config struct {
	Region, Endpoint string
	Credentials      rpc.Source
	Timeout          time.Duration // of each request; zero means 10 seconds
}

// Client calls ECS. It is safe for concurrent use.
type Client struct {
	rpc    *rpc.Client
	region string
}

// New checks cfg and returns a client. It makes no request.
func New(cfg Config) (*Client, error) {
	c, err := rpc.New(rpc.Config{
		Product: "Ecs", Version: Version, Endpoint: cfg.Endpoint, Region: cfg.Region,
		Credentials: cfg.Credentials, Timeout: cfg.Timeout,
	})
	if err != nil {
		return nil, err
	}
	return &Client{rpc: c, region: cfg.Region}, nil
}

// ExportRequest is what ExportImage is asked for.
type ExportRequest struct {
	ImageID string
	Bucket  string // in the image's region
	Prefix  string // 1 to 30 letters and digits; blank for none
	Format  string // raw, vhd, qcow2, vdi, vmdk; blank means raw
	Role    string // that ECS writes to the bucket as; blank means ECS's default
}

// ExportImage starts an export and returns the id of its task. It makes one
// request. The error is one of the sentinels where the service's code has one.
func (c *Client) ExportImage(ctx context.Context, r ExportRequest) (string, error) {
	const action = "ExportImage"
	var answer struct {
		RequestID rpc.Text `json:"RequestId"`
		TaskID    rpc.Text `json:"TaskId"`
	}
	err := c.rpc.Call(ctx, action, map[string]string{
		"RegionId": c.region, "ImageId": r.ImageID, "OSSBucket": r.Bucket, "OSSPrefix": r.Prefix,
		"ImageFormat": strings.ToLower(r.Format), "RoleName": r.Role,
	}, &answer)
	if err != nil {
		return "", explain(err)
	}
	if answer.TaskID == "" {
		// A task may have begun: neither a refusal nor a success.
		return "", &rpc.Error{Product: "Ecs", Action: action, Status: 200, RequestID: string(answer.RequestID), Err: errors.New("the answer has no task id")}
	}
	return string(answer.TaskID), nil
}
