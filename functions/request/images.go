package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"ecs-image-export/shared/ecs"
	"ecs-image-export/shared/export"
)

type imagesInput struct {
	PageSize  int    `query:"pageSize" minimum:"1" maximum:"100" default:"20" doc:"How many images a page has."`
	PageToken string `query:"pageToken" doc:"nextPageToken of the page before, with the same pageSize."`
}

// imagePage lists images with what stands against the export of each.
type imagePage struct {
	Images        []imageSummary `json:"images" doc:"Custom images of the account in the region, in whatever status."`
	Findings      []brokenRule   `json:"findings" doc:"What stands against the export of any of them to the deployment's bucket, by its role. verdict counts it in."`
	NextPageToken string         `json:"nextPageToken,omitempty" doc:"Where the next page begins; there is none without it."`
}

type imageSummary struct {
	ImageID   string       `json:"imageId" example:"m-bp1g7004ksh0oeuco4ng"`
	ImageName string       `json:"imageName"`
	Status    string       `json:"status" example:"Available"`
	OSName    string       `json:"osName,omitempty"`
	Platform  string       `json:"platform,omitempty" example:"Ubuntu"`
	CreatedAt *time.Time   `json:"createdAt,omitempty"`
	Disks     []exportDisk `json:"disks"`
	Verdict   verdict      `json:"verdict"`
	Findings  []brokenRule `json:"findings" doc:"Every rule about images that this one breaks, the gravest first. Whether it is being exported at the moment is not looked at; POST /exports/check does."`
	Fees      feeEstimate  `json:"fees" doc:"What the export would cost in OSS if its disks are full and don't compress, which is about the most."`
}

func (s *server) imagesOperation(api huma.API) {
	type output struct{ Body imagePage }
	huma.Register(api, huma.Operation{
		OperationID: "list-images", Method: http.MethodGet, Path: "/images", Tags: []string{"images"},
		Summary: "List the account's custom images, with a verdict each", Security: mayRead,
		Errors: []int{http.StatusBadRequest, http.StatusServiceUnavailable},
	}, func(ctx context.Context, in *imagesInput) (*output, error) {
		page, err := s.images(ctx, in)
		return &output{page}, err
	})
}

func (s *server) images(ctx context.Context, in *imagesInput) (imagePage, error) {
	number, ok := pageNumber(in.PageToken, in.PageSize)
	if !ok {
		return imagePage{}, newProblem(http.StatusBadRequest, codeBadToken,
			"The page token is not one of this list. Use nextPageToken as it came, with the same pageSize, or leave it out to begin anew.",
			finding{Location: "query.pageToken", Message: "is not a page token of this list", Value: shorten(in.PageToken)})
	}
	images, total, err := s.tracker.ECS.OwnImages(ctx, number, in.PageSize)
	if err != nil {
		return imagePage{}, unavailable(ctx, "The images can't be listed.", "Try again.", err)
	}
	// Where they would go is looked at once.
	subject, request, err := s.lookAt(ctx, exportOrder{})
	if err != nil {
		return imagePage{}, unavailable(ctx, "The bucket can't be looked at.", "Try again.", err)
	}
	limits := s.config.limits()
	common := export.Check(subject, limits)
	page := imagePage{Images: []imageSummary{}, Findings: brokenRules(common)}
	for _, i := range images {
		page.Images = append(page.Images, s.summarizeImage(i, request.StorageClass, common, limits))
	}
	if number*in.PageSize < total {
		page.NextPageToken = imageToken(number+1, in.PageSize)
	}
	return page, nil
}

func (s *server) summarizeImage(i ecs.Image, class string, common []export.Finding, l export.Limits) imageSummary {
	facts := imageFacts(i)
	findings := export.Check(export.Subject{Order: export.Order{ImageID: i.ID}, Image: &facts}, l)
	request := export.Request{Disks: disks(facts)}
	sum := imageSummary{
		ImageID: i.ID, ImageName: i.Name, Status: i.Status, OSName: i.OSName, Platform: i.Platform, Disks: disksOf(request),
		Verdict: verdict(export.Judge(slices.Concat(findings, common))), Findings: brokenRules(findings),
		Fees: feeEstimate(export.EstimateFees(*s.prices, class, request.Disks)),
	}
	if !i.CreatedAt.IsZero() {
		sum.CreatedAt = &i.CreatedAt
	}
	return sum
}

// ECS counts pages, so a token is the page's number and the size that it counts
// by.
func imageToken(number, size int) string { return fmt.Sprintf("%d.%d", number, size) }

// maxImagePage keeps the number of images before a page within what ECS counts in.
const maxImagePage = 1_000_000

// pageNumber reads a token, blank for the first page.
func pageNumber(token string, size int) (number int, ok bool) {
	if token == "" {
		return 1, true
	}
	first, _, _ := strings.Cut(token, ".")
	number, err := strconv.Atoi(first)
	return number, err == nil && number > 1 && number <= maxImagePage && token == imageToken(number, size)
}
