package main

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"regexp"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"golang.org/x/sync/errgroup"

	"ecs-image-export/shared/ecs"
	"ecs-image-export/shared/export"
	"ecs-image-export/shared/oss"
)

// checkOrder is an exportOrder whose every part is judged rather than described,
// so that what is wrong with it is a finding and not a refusal.
type checkOrder struct {
	ImageID  string `json:"imageId" minLength:"1" example:"m-bp1g7004ksh0oeuco4ng" doc:"The image."`
	Bucket   string `json:"bucket,omitempty" example:"image-exports" doc:"The bucket; the first of the deployment's by default."`
	Prefix   string `json:"prefix,omitempty" example:"Demo" doc:"What the names of the disk objects begin with."`
	Format   string `json:"format,omitempty" example:"raw" doc:"raw, vhd, qcow2, vdi or vmdk; the deployment's choice by default."`
	RoleName string `json:"roleName,omitempty" example:"AliyunECSImageExportDefaultRole" doc:"The role that ECS writes to the bucket as; the deployment's choice by default. Any but that one and AliyunECSImageExportDefaultRole takes the scope exports:write as well, because the findings tell what is in its policies."`
}

// checkReport says what would become of an order.
type checkReport struct {
	Verdict   verdict      `json:"verdict"`
	ImageID   string       `json:"imageId"`
	ImageName string       `json:"imageName,omitempty"`
	RegionID  string       `json:"regionId"`
	Bucket    string       `json:"bucket"`
	Format    string       `json:"format"`
	RoleName  string       `json:"roleName"`
	Disks     []exportDisk `json:"disks" doc:"The disks of the image: one object each."`
	Findings  []brokenRule `json:"findings" doc:"Every rule that the order breaks, the gravest first."`
	Fees      *feeEstimate `json:"fees,omitempty" doc:"What the export would cost in OSS if its disks are full and don't compress, which is about the most. ECS charges nothing for it."`
}

// feeEstimate is export.Fees, described.
type feeEstimate struct {
	Currency     string   `json:"currency" example:"CNY" doc:"ISO 4217."`
	Date         string   `json:"date" example:"2018-01-03" doc:"Of the deployment's price list."`
	For          string   `json:"for" doc:"Which list that is. Its prices are taken whatever the region and the redundancy of the bucket."`
	Bytes        int64    `json:"bytes" doc:"What is stored and downloaded."`
	StorageClass string   `json:"storageClass" example:"Standard" doc:"Of the bucket; Standard where the bucket could not be looked at."`
	StorageMonth *float64 `json:"storageMonth,omitempty" doc:"For a month of storage; missing where the list has no price for the storage class. What is deleted sooner than the class allows is charged for longer than it is there."`
	Requests     float64  `json:"requests" doc:"For the requests that write the objects, as many as it may take, and those that read each once."`
	Download     float64  `json:"download" doc:"For the traffic of downloading everything once over the internet; within the region it is free. Retrieving objects of another class than Standard costs extra, which is not in it."`
}

type verdict string

// Schema is part of huma.SchemaProvider.
func (verdict) Schema(huma.Registry) *huma.Schema {
	return enumeration([]export.Verdict{export.Ready, export.Queues, export.Refused},
		"What POST /exports would do: submit it at once, queue it, or refuse it.")
}

// brokenRule is an export.Finding, described.
type brokenRule struct {
	Rule     string          `json:"rule" example:"data-disk-size" doc:"Which rule it is. Does not change between versions; docs/rules.md lists all."`
	Severity export.Severity `json:"severity" enum:"error,wait,warning,notice" doc:"An error refuses the order, wait queues it, warning and notice let it pass."`
	Field    string          `json:"field" example:"imageId" doc:"The field of the order that it is about."`
	Found    string          `json:"found" doc:"What is so, in a sentence."`
	Limit    string          `json:"limit" doc:"What should be."`
	Remedy   string          `json:"remedy" doc:"What to do about it, in a sentence."`
	Code     string          `json:"code,omitempty" example:"InvalidImage.DiskAmountOrSize" doc:"What ECS would answer, where that is documented."`
	Page     string          `json:"page" doc:"The vendor's page that the rule is from."`
	Inferred string          `json:"inferred,omitempty" doc:"What of this is a conclusion of this system's rather than documented."`
}

func brokenRules(findings []export.Finding) []brokenRule {
	rules := make([]brokenRule, len(findings))
	for i, f := range findings {
		rules[i] = brokenRule(f)
	}
	return rules
}

func (s *server) checkOperation(api huma.API) {
	type input struct{ Body checkOrder }
	type output struct{ Body checkReport }
	huma.Register(api, huma.Operation{
		OperationID: "check-export", Method: http.MethodPost, Path: "/exports/check", Tags: []string{"exports"},
		Summary: "Say what would become of an order",
		Description: "Checks the order against every rule and reports all that it breaks, with what to do about each, and what the export would cost. " +
			"Records and submits nothing. POST /exports checks the same. A token with exports:read alone is told about the roles that exports are made with; " +
			"any other takes exports:write as well.",
		DefaultStatus: http.StatusOK, MaxBodyBytes: maxBody + 1, Security: mayRead,
		Errors: []int{
			http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusServiceUnavailable,
		},
	}, func(ctx context.Context, in *input) (*output, error) {
		role := cmp.Or(in.Body.RoleName, s.config.ExportRole)
		if export.RoleName.MatchString(role) && !s.forExports(role) && !callerOf(ctx).may(writeScope) {
			return nil, forbidden(writeScope, readScope, writeScope)
		}
		subject, request, err := s.lookAt(ctx, exportOrder(in.Body))
		if err == nil {
			subject.Account, err = s.account(ctx, request.ImageID)
		}
		if err != nil {
			return nil, unavailable(ctx, "The order could not be checked.", "Send it again.", err)
		}
		findings := export.Check(subject, s.config.limits())
		report := checkReport{
			Verdict: verdict(export.Judge(findings)), ImageID: request.ImageID, ImageName: request.ImageName, RegionID: request.RegionID,
			Bucket: request.Bucket, Format: cmp.Or(string(request.Format), subject.Order.Format), RoleName: request.RoleName,
			Disks: disksOf(request), Findings: brokenRules(findings),
		}
		if len(request.Disks) > 0 {
			sums := feeEstimate(export.EstimateFees(*request.Prices, request.StorageClass, request.Disks))
			report.Fees = &sums
		}
		return &output{report}, nil
	})
}

func disksOf(r export.Request) []exportDisk {
	disks := []exportDisk{}
	for _, d := range r.Disks {
		disks = append(disks, exportDisk{Role: string(d.Role), Device: d.Device, SizeGiB: d.SizeGiB})
	}
	return disks
}

// lookAt finds out what the rules about an order need to know, all but what goes
// on in the account at the moment, and makes the request that would be recorded. The error is
// of a service that could not be asked; what was found by then comes with it.
func (s *server) lookAt(ctx context.Context, o exportOrder) (export.Subject, export.Request, error) {
	subject := export.Subject{Order: export.Order{
		ImageID: o.ImageID, Prefix: o.Prefix,
		Bucket:   cmp.Or(o.Bucket, s.config.ExportBuckets[0]),
		Format:   cmp.Or(o.Format, s.config.DefaultFormat),
		RoleName: cmp.Or(o.RoleName, s.config.ExportRole),
	}}
	order := subject.Order
	request := export.Request{
		ImageID: order.ImageID, RegionID: s.config.Region, Bucket: order.Bucket, RoleName: order.RoleName, Prices: s.prices,
	}
	request.Format, _ = export.ParseFormat(order.Format)
	var group errgroup.Group
	group.Go(func() (err error) {
		subject.Bucket, err = s.bucket(ctx, order.Bucket)
		return err
	})
	group.Go(func() (err error) {
		subject.Image, err = s.image(ctx, &request)
		return err
	})
	group.Go(func() error {
		subject.Permission = s.permission(ctx, order)
		return nil
	})
	err := group.Wait()
	if request.StorageClass = "Standard"; subject.Bucket != nil && subject.Bucket.StorageClass != "" {
		request.StorageClass = subject.Bucket.StorageClass
	}
	return subject, request, err
}

// bucket looks at a bucket. One that is not the deployment's is not looked at,
// because nobody should learn here what others have.
func (s *server) bucket(ctx context.Context, name string) (*export.Bucket, error) {
	if !slices.Contains(s.config.ExportBuckets, name) {
		return nil, nil
	}
	info, err := s.tracker.OSS.Bucket(name).Info(ctx)
	switch {
	case errors.Is(err, oss.ErrNoBucket) || errors.Is(err, oss.ErrInvalid):
		return &export.Bucket{Missing: true}, nil
	case errors.Is(err, oss.ErrElsewhere):
		var e *oss.Error
		errors.As(err, &e)
		return &export.Bucket{RegionID: e.Region}, nil
	case errors.Is(err, oss.ErrDenied):
		return &export.Bucket{Denied: true}, nil
	case err != nil:
		return nil, err
	}
	return &export.Bucket{
		RegionID: info.Region, OwnerID: info.OwnerID, StorageClass: info.StorageClass, Encryption: info.Encryption, ACL: info.ACL,
		Unwatched: s.config.unwatched(name),
	}, nil
}

// anyImageID is what the id of some image may look like: those of public images
// are names, such as ubuntu_22_04_x64_20G_alibase_20230515.vhd.
var anyImageID = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z._-]{0,127}$`)

// image looks up the image and puts what it is into the request.
func (s *server) image(ctx context.Context, r *export.Request) (*export.Image, error) {
	if r.ImageID == "" { // of no image in particular, or one that the schema refuses
		return nil, nil
	}
	if !anyImageID.MatchString(r.ImageID) {
		return &export.Image{Missing: true}, nil
	}
	image, err := s.tracker.ECS.Image(ctx, r.ImageID)
	if errors.Is(err, ecs.ErrImageNotFound) {
		return &export.Image{Missing: true}, nil
	}
	if err != nil {
		return nil, err
	}
	facts := imageFacts(image)
	r.ImageName, r.Image, r.Disks = image.Name, image.Raw, disks(facts)
	return &facts, nil
}

// imageFacts is what the rules want to know about an image.
func imageFacts(i ecs.Image) export.Image {
	facts := export.Image{
		ID: i.ID, Name: i.Name, Status: i.Status, Progress: i.Progress,
		OwnerAlias: i.OwnerAlias, OwnerID: i.OwnerID, Public: i.Public, ProductCode: i.ProductCode,
		OSType: i.OSType, OSName: i.OSName, Platform: i.Platform,
	}
	for _, d := range i.Disks {
		facts.Disks = append(facts.Disks, export.ImageDisk{
			Disk:      export.Disk{Role: export.Role(d.Role), Device: d.Device, SizeGiB: int(d.SizeGiB)},
			Encrypted: d.Encrypted, SnapshotID: d.SnapshotID,
		})
	}
	return facts
}

func disks(i export.Image) []export.Disk {
	list := []export.Disk{}
	for _, d := range i.Disks {
		list = append(list, d.Disk)
	}
	return list
}

// accountTimeout bounds the look at what an order has to wait for.
const accountTimeout = 5 * time.Second

// waits is what an order has to wait for, as far as that can be learnt. No order
// fails for want of it: who submits the export learns it too.
func (s *server) waits(ctx context.Context, imageID string) *export.Account {
	ctx, cancel := context.WithTimeout(ctx, accountTimeout)
	defer cancel()
	account, err := s.account(ctx, imageID)
	if err != nil {
		slog.WarnContext(ctx, "what an order waits for", "image", imageID, "error", err)
	}
	return account
}

// account looks at what an order would have to wait for. What it found comes with an
// error too.
func (s *server) account(ctx context.Context, imageID string) (*export.Account, error) {
	var account export.Account
	var group errgroup.Group
	group.Go(func() error {
		queue, err := s.tracker.Records.Queue(ctx)
		for _, w := range queue.Waiting {
			// Those that wait for another image let this one pass.
			if w.ImageID == "" || w.ImageID == imageID {
				account.Waiting++
			}
		}
		if queue.Holds(s.tracker.Now()) {
			account.Hold = queue.Hold
		}
		return err
	})
	group.Go(func() error {
		if !export.ImageID.MatchString(imageID) {
			return nil
		}
		tasks, err := s.tracker.ECS.TasksByImage(ctx, imageID)
		for _, t := range tasks {
			if !export.TaskStatus(t.Status).Ended() {
				account.ImageTask = t.ID
			}
		}
		return err
	})
	return &account, group.Wait()
}
