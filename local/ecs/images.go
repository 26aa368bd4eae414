package ecs

import (
	"context"
	"net/http"
	"regexp"
	"strings"

	"ecs-image-export/local/ecs/image"
	"ecs-image-export/local/rpc"
)

// page is the part that all lists have. Its numbers count from 1.
type page struct {
	PageNumber int
	PageSize   int
	TotalCount int
	RegionID   string `json:"RegionId"`
}

func (s *Service) page(r *rpc.Request, total int) (page, error) {
	p := page{TotalCount: total, RegionID: s.Region}
	var err error
	if p.PageNumber, err = r.Int("PageNumber", 1, 1, 1<<30); err != nil {
		return p, err
	}
	p.PageSize, err = r.Int("PageSize", 10, 1, 100)
	return p, err
}

// cut returns the items of the page.
func cut[T any](items []T, p page) []T {
	from := min((p.PageNumber-1)*p.PageSize, len(items))
	out := make([]T, 0, p.PageSize)
	return append(out, items[from:min(from+p.PageSize, len(items))]...)
}

func (s *Service) describeImages(_ context.Context, r *rpc.Request) (any, error) {
	if err := r.Require("RegionId"); err != nil {
		return nil, err
	}
	if r.Get("RegionId") != s.Region {
		return nil, errRegionOfImages
	}
	match, err := imageFilter(r)
	if err != nil {
		return nil, err
	}
	found := []image.Image{}
	for _, img := range s.folder.Images() {
		if match(img) {
			found = append(found, img)
		}
	}
	var out struct {
		page
		Images struct{ Image []image.Image }
	}
	if out.page, err = s.page(r, len(found)); err != nil {
		return nil, err
	}
	out.Images.Image = cut(found, out.page)
	dry, err := r.Bool("DryRun")
	if err != nil {
		return nil, err
	}
	if dry {
		return nil, errDryRun
	}
	return out, nil
}

// errDryRun is how ECS says that a dry run passed.
var errDryRun = &rpc.Error{
	Status: http.StatusBadRequest, Code: "DryRunOperation",
	Message: "Request validation has been passed with DryRun flag set.",
}

var familyPattern = regexp.MustCompile(`^\p{L}[\p{L}0-9:_-]{1,127}$`)

func (s *Service) describeImageFromFamily(_ context.Context, r *rpc.Request) (any, error) {
	if err := r.Require("RegionId", "ImageFamily"); err != nil {
		return nil, err
	}
	if r.Get("RegionId") != s.Region {
		return nil, errRegionOfImages
	}
	family := r.Get("ImageFamily")
	lower := strings.ToLower(family)
	if !familyPattern.MatchString(family) || strings.HasPrefix(lower, "acs:") || strings.HasPrefix(lower, "aliyun") ||
		strings.Contains(lower, "http://") || strings.Contains(lower, "https://") {
		return nil, rpc.InvalidParameter("ImageFamily")
	}
	for _, img := range s.folder.Images() { // the newest first
		if img.ImageFamily == family && img.Status == "Available" {
			return struct{ Image image.Image }{img}, nil
		}
	}
	return noContent{}, nil
}
