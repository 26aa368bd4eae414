// Package ecs is the ECS (2014-05-26) of the stand-in cloud, as far as it
// exports images: regions, images, ExportImage and the tasks that it starts.
//
// An export is real. It reads the disk files of an images folder (package
// image) and writes to OSS over HTTP, with credentials of the role that the
// caller names, the objects that ECS writes:
//
//	[<prefix>_]<imageId>_system.<suffix>
//	[<prefix>_]<imageId>_data_<xvdX>.<suffix>
//
// RAW is packed, as .raw.tar.gz; VHD, QCOW2, VDI and VMDK are bare files. They are
// made while they are uploaded, and stored nowhere else.
//
// Tasks are kept on disk. A task that was running when the service closed goes
// on after the next Open with the disk that it was at, from its beginning. The
// file is not synced after every change: it survives a killed process, not a
// power cut.
//
// Where documents are silent the service takes the reading that is harder for
// its callers: a task lists the object of a disk only once that disk has ended,
// and what a failed or canceled task had finished stays in the bucket.
package ecs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"ecs-image-export/local/boltfile"
	"ecs-image-export/local/ecs/image"
	"ecs-image-export/local/identity"
	"ecs-image-export/local/rpc"

	"go.etcd.io/bbolt"
)

// Config is what the service is made of. Zero values of the numbers mean the
// defaults named here.
type Config struct {
	Dir        string // of the task store
	Images     string // folder of images, see package image
	AccountID  string
	Region     string
	Identities identity.Source
	Roles      identity.Roles
	// OSSEndpoint is the URL of OSS, such as http://127.0.0.1:9081.
	OSSEndpoint string
	// Endpoint is the host that DescribeRegions names; blank means the real one.
	Endpoint string

	// FormatRegions are the regions that export to more formats than RAW. By
	// default those of the documents and those where the vendor's own tests do.
	FormatRegions []string

	// Speed divides the time that an export takes; 1 by default.
	Speed float64
	// PerGiB and Least are how long the export of a disk takes at speed 1: so
	// much per GiB of its size, and at least so much. 20 s and 5 s by default.
	// Copying the bytes may take longer.
	PerGiB, Least time.Duration

	// Concurrent is how many tasks run at once; others wait. 2 by default.
	Concurrent int
	// ConcurrentQuota is how many tasks may run or wait at once, and
	// WeeklyQuota how many may be started from Monday to Sunday (UTC+8; Speed
	// shortens the week), failed and canceled ones too. The cloud publishes no
	// figures: 0 means no limit.
	ConcurrentQuota, WeeklyQuota int
	// MaxDataDisks and MaxDataDiskGiB are the limits in the text of
	// InvalidImage.DiskAmountOrSize: 4 and 500 by default. MaxSystemDiskGiB is
	// published nowhere: 0 means no limit.
	MaxDataDisks, MaxDataDiskGiB, MaxSystemDiskGiB int
	// Retention is how long an ended task can be described, at speed 1. The
	// cloud publishes no figure: 0 means for ever.
	Retention time.Duration

	Now func() time.Time // of tasks and quotas; nil means time.Now
	Log *slog.Logger     // failed exports; nil means nowhere
}

// Service is the stand-in's ECS, an http.Handler.
type Service struct {
	Config
	folder *image.Folder
	db     *bbolt.DB
	rpc    *rpc.Service
	http   *http.Client // to OSS

	ctx   context.Context // ends when the service closes
	close context.CancelCauseFunc
	work  sync.WaitGroup

	mu      sync.Mutex
	tasks   []*task // in the order in which they were accepted
	byID    map[string]*task
	running map[string]*run
}

// errClosing is the cause of a stop that must leave tasks as they are.
var errClosing = errors.New("the service is closing")

// Open loads the images and the tasks, and goes on with what was interrupted.
func Open(c Config) (*Service, error) {
	s := &Service{Config: c, byID: map[string]*task{}, running: map[string]*run{}}
	s.setDefaults()
	account, err := strconv.ParseInt(c.AccountID, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("account id %q is not a number", c.AccountID)
	}
	if s.folder, err = image.Load(c.Images, account); err != nil {
		return nil, err
	}
	if err := s.checkDisks(); err != nil {
		return nil, errors.Join(err, s.folder.Close())
	}
	if err := s.openStore(); err != nil {
		return nil, errors.Join(err, s.folder.Close())
	}
	s.http = &http.Client{
		Transport:     &http.Transport{MaxIdleConnsPerHost: 8, IdleConnTimeout: time.Minute, ResponseHeaderTimeout: 2 * time.Minute},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	s.ctx, s.close = context.WithCancelCause(context.Background())
	s.rpc = &rpc.Service{
		Product: "Ecs", Version: "2014-05-26", Host: "ecs-" + s.Region + ".aliyuncs.com",
		Identities: s.Identities, Actions: s.actions(), Unbuilt: unbuilt, Refusals: refusals,
	}
	s.resume()
	return s, nil
}

func (s *Service) setDefaults() {
	set := func(field *int, value int) {
		if *field == 0 {
			*field = value
		}
	}
	if s.FormatRegions == nil {
		s.FormatRegions = slices.Concat(DocumentedFormatRegions, testedFormatRegions)
	}
	set(&s.Concurrent, 2)
	set(&s.MaxDataDisks, 4)
	set(&s.MaxDataDiskGiB, 500)
	if s.Speed <= 0 {
		s.Speed = 1
	}
	if s.PerGiB == 0 {
		s.PerGiB = 20 * time.Second
	}
	if s.Least == 0 {
		s.Least = 5 * time.Second
	}
	if s.Now == nil {
		s.Now = time.Now
	}
	if s.Log == nil {
		s.Log = slog.New(slog.DiscardHandler)
	}
}

// checkDisks refuses an images folder with an image that could be asked to be
// exported but has a disk without content.
func (s *Service) checkDisks() error {
	var problems []error
	for _, img := range s.folder.Images() {
		if img.Status != "Available" || s.refuseImage(img) != nil {
			continue
		}
		if len(img.Disks()) == 0 {
			problems = append(problems, fmt.Errorf("image %s in %s has no DiskDeviceMapping; name its disks, or set its Status to UnAvailable", img.ImageID, s.Images))
		}
		for _, m := range img.Disks() {
			if m.File == "" {
				problems = append(problems, fmt.Errorf("image %s in %s: disk %s has no File; name the raw or qcow2 file that holds its content", img.ImageID, s.Images, m.Device))
			}
		}
	}
	return errors.Join(problems...)
}

func (s *Service) openStore() error {
	if err := os.MkdirAll(s.Dir, 0o755); err != nil {
		return fmt.Errorf("open ECS tasks: %w", err)
	}
	path := filepath.Join(s.Dir, "ecs.db")
	db, err := boltfile.Open(path, 0o600, &bbolt.Options{Timeout: 5 * time.Second, NoSync: true})
	if err != nil {
		return fmt.Errorf("open ECS tasks %s (is another stand-in using the folder?): %w", path, err)
	}
	s.db = db
	if err := s.loadTasks(); err != nil {
		return errors.Join(fmt.Errorf("load ECS tasks %s: %w", path, err), db.Close())
	}
	return nil
}

// ServeHTTP answers one API call.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.rpc.ServeHTTP(w, r) }

// Close stops the exports where they are; they go on after the next Open.
func (s *Service) Close() error {
	s.mu.Lock()
	s.close(errClosing)
	s.mu.Unlock()
	s.work.Wait()
	s.http.CloseIdleConnections()
	return errors.Join(s.db.Close(), s.folder.Close())
}

func (s *Service) actions() []rpc.Action {
	anyImage := func(*rpc.Request) string { return s.imageARN("*") }
	return []rpc.Action{
		{Name: "DescribeRegions", Do: s.describeRegions},
		{Name: "DescribeImages", Resource: anyImage, Do: s.describeImages},
		{Name: "DescribeImageFromFamily", Resource: anyImage, Do: s.describeImageFromFamily},
		{Name: "ExportImage", Resource: func(r *rpc.Request) string { return s.imageARN(r.Get("ImageId")) }, Do: s.exportImage},
		{Name: "DescribeTasks", Do: s.describeTasks},
		{Name: "DescribeTaskAttribute", Do: s.describeTaskAttribute},
		{Name: "CancelTask", Do: s.cancelTask},
	}
}

func (s *Service) imageARN(id string) string {
	return "acs:ecs:" + s.Region + ":" + s.AccountID + ":image/" + id
}

// unbuilt are operations on images and what they are made of that the cloud has
// and the stand-in has not.
var unbuilt = []string{
	"AddTags", "CancelCopyImage", "CopyImage", "CopySnapshot", "CreateImage", "CreateImageComponent",
	"CreateImagePipeline", "CreateSnapshot", "DeleteImage", "DeleteSnapshot", "DescribeDisks",
	"DescribeImageSharePermission", "DescribeImageSupportInstanceTypes", "DescribeInstances", "DescribeSnapshots",
	"DescribeTags", "DescribeZones", "ImportImage", "ListTagResources", "ModifyImageAttribute",
	"ModifyImageSharePermission", "RunInstances", "TagResources", "UntagResources",
}

// noContent is the answer that has a RequestId alone.
type noContent struct{}
