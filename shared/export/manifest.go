package export

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"
)

// ManifestSchema names the version of the manifest's form.
const ManifestSchema = "ecs-image-export/manifest/v1"

// Manifest describes a finished export to whoever finds it in the bucket: what
// was exported, what lies there, and how to get it back. It is computed from
// the log alone, and the same before and after the export completes.
type Manifest struct {
	Schema    string         `json:"schema"`
	ID        string         `json:"id"`
	RegionID  string         `json:"regionId"`
	Bucket    string         `json:"bucket"`
	OSSPrefix string         `json:"ossPrefix"`
	Format    Format         `json:"format"`
	RoleName  string         `json:"roleName"`
	TaskID    string         `json:"taskId"`
	Times     ManifestTimes  `json:"times"`
	Disks     []ManifestDisk `json:"disks"`
	// Fees are reckoned from the bytes of the objects, by the prices of when the
	// export was asked for; nil where the deployment had none.
	Fees  *Fees           `json:"fees,omitempty"`
	Image json.RawMessage `json:"image"` // as DescribeImages gave it when the export was asked for
}

// ManifestTimes are the moments of an export. ECS gives a task's times to the
// minute; zero times are left out.
type ManifestTimes struct {
	RequestedAt    time.Time `json:"requestedAt"`
	SubmittedAt    time.Time `json:"submittedAt,omitzero"`
	TaskCreatedAt  time.Time `json:"taskCreatedAt,omitzero"`
	TaskFinishedAt time.Time `json:"taskFinishedAt,omitzero"`
	ExportedAt     time.Time `json:"exportedAt,omitzero"`
}

// ManifestDisk is one disk and its object.
type ManifestDisk struct {
	Disk
	Key      string    `json:"key"`
	Format   Format    `json:"format"`
	Bytes    int64     `json:"bytes"` // of the object
	CRC64    string    `json:"crc64"` // ECMA-182, decimal, as in x-oss-hash-crc64ecma
	ETag     string    `json:"etag"`
	LandedAt time.Time `json:"landedAt"`
	Commands Commands  `json:"commands"`
}

// Commands are shell commands for a disk, to be run in this order. Unpack is
// empty where the object is the disk image itself.
type Commands struct {
	Download string `json:"download"`
	Check    string `json:"check"`
	Unpack   string `json:"unpack,omitempty"`
	// UnpackMac is Unpack for macOS, whose tar is not GNU tar.
	UnpackMac string `json:"unpackMac,omitempty"`
}

// Manifest computes the export's manifest. It is whole once every disk landed.
func (x Export) Manifest() Manifest {
	r := x.Request
	m := Manifest{
		Schema:    ManifestSchema,
		ID:        x.ID,
		RegionID:  r.RegionID,
		Bucket:    r.Bucket,
		OSSPrefix: r.OSSPrefix,
		Format:    r.Format,
		RoleName:  r.RoleName,
		TaskID:    x.Task.ID,
		Times: ManifestTimes{
			RequestedAt:    x.CreatedAt,
			TaskCreatedAt:  x.Task.CreatedAt,
			TaskFinishedAt: x.Task.FinishedAt,
		},
		Disks: []ManifestDisk{},
		Image: r.Image,
	}
	for _, l := range x.Lines {
		switch {
		case l.State == Exporting && m.Times.SubmittedAt.IsZero():
			m.Times.SubmittedAt = l.Time
		case l.State == Exported && m.Times.ExportedAt.IsZero():
			m.Times.ExportedAt = l.Time
		}
	}
	for _, d := range r.Disks {
		o, ok := x.Landed[d.Device]
		if !ok {
			continue
		}
		format := o.Format(r.Format)
		m.Disks = append(m.Disks, ManifestDisk{
			Disk: d, Key: o.Key, Format: format, Bytes: o.Size, CRC64: o.CRC64, ETag: o.ETag, LandedAt: o.LandedAt,
			Commands: commands(r, o, format),
		})
	}
	if r.Prices != nil {
		var sizes []int64
		for _, d := range m.Disks {
			sizes = append(sizes, d.Bytes)
		}
		fees := FeesOf(*r.Prices, r.StorageClass, sizes...)
		m.Fees = &fees
	}
	return m
}

// JSON encodes the manifest for people: indented, with a newline at the end.
func (m Manifest) JSON() []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // the commands are there to be copied
	e.SetIndent("", "  ")
	if err := e.Encode(m); err != nil {
		// Only an image that is no JSON could do this, and New has read it as
		// JSON.
		panic(fmt.Sprintf("export %s: encode manifest: %v", m.ID, err))
	}
	return b.Bytes()
}

// commands writes out what a person would otherwise look up. ossutil (version 2,
// which takes other arguments than version 1) is the vendor's command line; its
// hash command prints the same CRC-64 as the manifest.
// https://www.alibabacloud.com/help/en/oss/developer-reference/hash-calculate-crc64-or-md5
func commands(r Request, o Landed, format Format) Commands {
	file := o.Key
	c := Commands{
		Download: fmt.Sprintf("ossutil cp oss://%s/%s %s --region %s", r.Bucket, o.Key, file, r.RegionID),
		Check:    fmt.Sprintf("ossutil hash crc64 %s | grep -w %s", file, o.CRC64),
	}
	if format == RAW {
		c.Unpack = "tar -xzf " + file
		c.UnpackMac = "gtar -xzf " + file
	}
	return c
}
