package main

import (
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"ecs-image-export/shared/export"
)

// stateName and formatName are described by the lists in the domain.
type (
	stateName  string
	formatName string
)

// Schema is part of huma.SchemaProvider.
func (stateName) Schema(huma.Registry) *huma.Schema {
	var ends []string
	for _, s := range export.States {
		if s.Terminal() {
			ends = append(ends, string(s))
		}
	}
	return enumeration(export.States, "Where the export is. The ends are "+strings.Join(ends, ", ")+".")
}

// Schema is part of huma.SchemaProvider.
func (formatName) Schema(huma.Registry) *huma.Schema {
	return enumeration(export.Formats, "The format of the disk images. raw comes packed, as .raw.tar.gz.")
}

func enumeration[T ~string](values []T, description string) *huma.Schema {
	s := &huma.Schema{Type: huma.TypeString, Description: description}
	for _, v := range values {
		s.Enum = append(s.Enum, string(v))
	}
	return s
}

// ExportSummary is an export as a list shows it. Its name is exported because
// huma describes no embedded field that is not.
type ExportSummary struct {
	ID          string       `json:"id" example:"7kq3m9x2q4r8w" doc:"13 characters; later exports have smaller ids."`
	State       stateName    `json:"state"`
	ImageID     string       `json:"imageId" example:"m-bp1g7004ksh0oeuco4ng"`
	ImageName   string       `json:"imageName"`
	RegionID    string       `json:"regionId" example:"cn-hangzhou"`
	Format      formatName   `json:"format,omitempty"`
	Bucket      string       `json:"bucket" doc:"Where the disk objects go."`
	OSSPrefix   string       `json:"ossPrefix" example:"Demo7kq3m9x2q4r8w" doc:"The prefix of the order and the id: the names of the disk objects begin with it."`
	RoleName    string       `json:"roleName" doc:"The role that ECS writes to the bucket as."`
	RequestedBy string       `json:"requestedBy,omitempty" example:"ci@example.com" doc:"Subject of the token that it was asked for with."`
	TaskID      *string      `json:"taskId" doc:"The ECS task; null until it is known."`
	CreatedAt   time.Time    `json:"createdAt"`
	UpdatedAt   time.Time    `json:"updatedAt"`
	Failure     *failure     `json:"failure,omitempty" doc:"Why the export failed."`
	Queue       *queuePlace  `json:"queue,omitempty" doc:"Why a queued export waits, and where."`
	Disks       []exportDisk `json:"disks" doc:"The disks of the image."`
}

// exportDisk is one disk. What describes its object is there once it has landed.
type exportDisk struct {
	Role         string     `json:"role" enum:"system,data"`
	Device       string     `json:"device" example:"/dev/xvdb"`
	SizeGiB      int        `json:"sizeGiB" doc:"Size of the disk, not of its object."`
	Key          string     `json:"key,omitempty" doc:"Key of the disk's object in the bucket."`
	Size         *int64     `json:"size,omitempty" doc:"Size of the object, in bytes."`
	CRC64        string     `json:"crc64,omitempty" example:"9304160122358186529" doc:"CRC-64 (ECMA-182) of the object, decimal, as OSS gives it. A string, because JSON numbers are not exact at this size."`
	ETag         string     `json:"etag,omitempty"`
	CataloguedAt *time.Time `json:"cataloguedAt,omitempty" doc:"When the object was recorded."`
}

type failure struct {
	Code      string `json:"code" example:"WeeklyQuotaExceed.ExportImage" doc:"The code of ECS where ECS refused, else one of this system."`
	Message   string `json:"message"`
	RequestID string `json:"requestId,omitempty" doc:"Of the call that was refused."`
	Remedy    string `json:"remedy,omitempty" doc:"What to do about it, for the documented codes of ECS; where it is missing the message says so itself."`
}

// exportDetail is an export as it is shown by itself.
type exportDetail struct {
	ExportSummary
	Progress              *int           `json:"progress" minimum:"0" maximum:"100" doc:"Percent of the copying done, as ECS counts it; null where it is not known."`
	EstimatedCompletionAt *time.Time     `json:"estimatedCompletionAt" doc:"When the copying will be done if it goes on as it did so far; null where it is not known."`
	History               []historyEntry `json:"history" doc:"What happened, the oldest first."`
}

type historyEntry struct {
	Seq     int       `json:"seq" minimum:"1" doc:"The event about this change has the id of the export, a slash, and this for its id."`
	Time    time.Time `json:"time"`
	State   stateName `json:"state"`
	Reason  string    `json:"reason,omitempty"`
	TaskID  string    `json:"taskId,omitempty" doc:"The task, where it became known."`
	Disk    string    `json:"disk,omitempty" example:"/dev/xvdb" doc:"The device whose object landed."`
	Failure *failure  `json:"failure,omitempty"`
}

func summarize(x export.Export) ExportSummary {
	r := x.Request
	sum := ExportSummary{
		ID: x.ID, State: stateName(x.State), ImageID: r.ImageID, ImageName: r.ImageName, RegionID: r.RegionID,
		Format: formatName(r.Format), Bucket: r.Bucket, OSSPrefix: r.OSSPrefix, RoleName: r.RoleName, RequestedBy: r.RequestedBy,
		CreatedAt: x.CreatedAt, UpdatedAt: x.UpdatedAt, Failure: failureOf(x.Failure), Disks: []exportDisk{},
	}
	if x.Task.ID != "" {
		sum.TaskID = &x.Task.ID
	}
	for _, d := range r.Disks {
		disk := exportDisk{Role: string(d.Role), Device: d.Device, SizeGiB: d.SizeGiB}
		if o, ok := x.Landed[d.Device]; ok {
			disk.Key, disk.Size, disk.CRC64, disk.ETag, disk.CataloguedAt = o.Key, &o.Size, o.CRC64, o.ETag, catalogued(x, d.Device)
		}
		sum.Disks = append(sum.Disks, disk)
	}
	return sum
}

// catalogued is when the object that a disk has now was recorded.
func catalogued(x export.Export, device string) *time.Time {
	for _, l := range slices.Backward(x.Lines) {
		if l.Disk != nil && l.Disk.Device == device {
			return &l.Time
		}
	}
	return nil
}

func describe(x export.Export, sum ExportSummary, p progress) exportDetail {
	detail := exportDetail{
		ExportSummary: sum, Progress: p.percent, EstimatedCompletionAt: p.end, History: []historyEntry{},
	}
	for _, l := range x.Lines {
		if x.Quiet(l) && l.Seq < x.Seq() {
			continue // one of many tries from the queue that changed nothing
		}
		entry := historyEntry{Seq: l.Seq, Time: l.Time, State: stateName(l.State), Reason: l.Reason, Failure: failureOf(l.Failure)}
		if l.Task != nil {
			entry.TaskID = l.Task.ID
		}
		if l.Disk != nil {
			entry.Disk = l.Disk.Device
		}
		detail.History = append(detail.History, entry)
	}
	return detail
}

func failureOf(f *export.Failure) *failure {
	if f == nil {
		return nil
	}
	return &failure{Code: f.Code, Message: f.Message, RequestID: f.RequestID, Remedy: f.Remedy()}
}
