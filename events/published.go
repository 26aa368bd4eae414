package events

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// What subscribers of the topic receive is a CloudEvents 1.0 message in
// structured JSON; asyncapi.yaml describes it for them. The types below are its
// data. What follows TypePrefix in a type is also the tag of the message.
const (
	// TypePrefix and the new state make the type of a state change:
	// "image-export.completed".
	TypePrefix = "image-export."
	// TypeDisk announces one disk object that landed, TypeUnmanaged an object
	// that somebody exported without this system.
	TypeDisk      = TypePrefix + "disk"
	TypeUnmanaged = TypePrefix + "unmanaged"
)

// StateChange is the data of an event "image-export.<state>".
type StateChange struct {
	ID        string    `json:"id"`
	State     string    `json:"state"`
	Time      time.Time `json:"time"`
	ImageID   string    `json:"imageId"`
	ImageName string    `json:"imageName,omitempty"`
	RegionID  string    `json:"regionId,omitempty"`
	Format    string    `json:"format,omitempty"`
	Bucket    string    `json:"bucket,omitempty"`
	OSSPrefix string    `json:"ossPrefix,omitempty"`
	// RequestedBy is the subject of the token that the export was asked for with.
	RequestedBy string `json:"requestedBy,omitempty"`
	TaskID      string `json:"taskId,omitempty"`
	Disks       []Disk `json:"disks"`
	// ManifestKey is the manifest's key in the bucket, in "completed" only.
	ManifestKey string   `json:"manifestKey,omitempty"`
	Failure     *Failure `json:"failure,omitempty"`
	Reason      string   `json:"reason,omitempty"`
}

// Disk is one disk of an export. What describes its object is there once the
// object has landed.
type Disk struct {
	Role     string     `json:"role"` // "system" or "data"
	Device   string     `json:"device"`
	SizeGiB  int        `json:"sizeGiB"`
	Key      string     `json:"key,omitempty"`
	Size     int64      `json:"size,omitempty"` // bytes
	ETag     string     `json:"etag,omitempty"`
	CRC64    string     `json:"crc64,omitempty"` // ECMA-182, decimal
	LandedAt *time.Time `json:"landedAt,omitempty"`
}

// Failure is why an export failed: a documented code of ECS, or one of ours.
type Failure struct {
	Code      string `json:"code"`
	Message   string `json:"message"`
	RequestID string `json:"requestId,omitempty"`
}

// DiskLanded is the data of an event "image-export.disk".
type DiskLanded struct {
	ID          string    `json:"id"`
	Time        time.Time `json:"time"`
	ImageID     string    `json:"imageId"`
	Bucket      string    `json:"bucket"`
	Format      string    `json:"format"`
	RequestedBy string    `json:"requestedBy,omitempty"`
	Disk        Disk      `json:"disk"`
	// Remaining is how many disks of the image have not landed yet.
	Remaining int `json:"remaining"`
}

// Unmanaged is the data of an event "image-export.unmanaged": a disk object
// that ECS wrote for somebody else, such as a user of the console.
type Unmanaged struct {
	Bucket   string    `json:"bucket"`
	Key      string    `json:"key"`
	ImageID  string    `json:"imageId"`
	Role     string    `json:"role"`
	Device   string    `json:"device,omitempty"` // "xvdb"; not known of a system disk
	Format   string    `json:"format"`
	Size     int64     `json:"size"` // bytes
	ETag     string    `json:"etag"`
	CRC64    string    `json:"crc64"`
	LandedAt time.Time `json:"landedAt"`
}

// Nudge is a message of the task queue: look at this export. The export's log
// is the truth; the rest of the message are hints.
type Nudge struct {
	ID string `json:"id"`
	// Seq is the last line that the sender knew of.
	Seq int `json:"seq"`
	// TaskID saves the receiver a look into the log before it asks ECS.
	TaskID string `json:"taskId,omitempty"`
	// Next is when the message is due. A message that is older than the look
	// planned in the export's records is out of date; without Next it always is.
	Next time.Time `json:"next"`
}

// ParseNudge decodes a message of the task queue. It returns an error for
// anything but one JSON object that names an export. Fields that it does not
// know are ignored, so that two versions of the functions can run side by side.
// Whether the id has the form of one is for the caller to check.
func ParseNudge(body string) (Nudge, error) {
	var n Nudge
	if err := json.Unmarshal([]byte(body), &n); err != nil {
		return Nudge{}, fmt.Errorf("parse nudge: %w", err)
	}
	switch {
	case n.ID == "":
		return Nudge{}, errors.New("parse nudge: id is missing")
	case n.Seq < 0:
		return Nudge{}, fmt.Errorf("parse nudge: seq is %d: it must not be below 0", n.Seq)
	}
	return n, nil
}
