package ecs

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"ecs-image-export/local/ecs/image"

	"go.etcd.io/bbolt"
)

// The states of a task, and of a disk within it where marked.
const (
	waiting    = "Waiting"
	processing = "Processing" // disk too
	finished   = "Finished"
	failed     = "Failed" // disk too
	deleted    = "Deleted"
	success    = "Success" // disk only
)

// task is one accepted export as it is stored. Its fields change under
// Service.mu only.
type task struct {
	Seq      uint64
	ID       string
	ImageID  string
	Bucket   string
	Prefix   string
	Role     string
	Format   string // of formats; blank in a task of before there was a choice
	Status   string
	Created  time.Time
	Finished time.Time // zero until it ended
	Percent  int       // once it ended
	Disks    []disk
}

// disk is one sub-task.
type disk struct {
	Device    string
	SizeGiB   int
	Object    string
	Status    string // blank until its turn
	ErrorCode string
	ErrorMsg  string
	// UploadID is of the multipart upload that holds its unfinished bytes. It
	// stays until the upload is completed or surely gone.
	UploadID string
}

func newTask(img image.Image, bucket, prefix, role, format string) *task {
	if role == "" {
		role = DefaultRole
	}
	t := &task{ImageID: img.ImageID, Bucket: bucket, Prefix: prefix, Role: role, Format: format, Status: waiting}
	disks := slices.Clone(img.Disks())
	slices.SortStableFunc(disks, func(a, b image.Mapping) int {
		switch {
		case a.Type == b.Type:
			return 0
		case a.Type == "system":
			return -1
		}
		return 1
	})
	for _, m := range disks {
		t.Disks = append(t.Disks, disk{Device: m.Device, SizeGiB: m.SizeGiB(), Object: objectName(prefix, img.ImageID, format, m)})
	}
	return t
}

// newTaskID returns an id as the cloud makes them: t-, a mark of the region and
// 17 letters and digits.
func newTaskID() string {
	const digits = "0123456789abcdefghijklmnopqrstuvwxyz"
	var b [17]byte
	rand.Read(b[:]) // never returns an error
	for i := range b {
		b[i] = digits[int(b[i])%len(digits)]
	}
	return "t-bp1" + string(b[:])
}

func (t *task) ended() bool { return t.Status != waiting && t.Status != processing }

var tasksBucket = []byte("tasks")

// save stores a task; the number of a new one comes from the store.
func (s *Service) save(t *task) error {
	err := s.db.Update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucketIfNotExists(tasksBucket)
		if err != nil {
			return err
		}
		if t.Seq == 0 {
			if t.Seq, err = b.NextSequence(); err != nil {
				return err
			}
		}
		value, err := json.Marshal(t)
		if err != nil {
			return err
		}
		return b.Put(binary.BigEndian.AppendUint64(nil, t.Seq), value)
	})
	if err != nil {
		return fmt.Errorf("save task %s: %w", t.ID, err)
	}
	return nil
}

func (s *Service) loadTasks() error {
	return s.db.View(func(tx *bbolt.Tx) error {
		b := tx.Bucket(tasksBucket)
		if b == nil {
			return nil
		}
		return b.ForEach(func(_, value []byte) error {
			t := new(task)
			if err := json.Unmarshal(value, t); err != nil {
				return err
			}
			if t.Format == "" {
				t.Format = raw
			}
			s.tasks = append(s.tasks, t)
			s.byID[t.ID] = t
			return nil
		})
	})
}

// admissible judges a task by the others: one export of an image at a time, and
// the account's quotas.
func (s *Service) admissible(t *task) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.admissibleLocked(t)
}

func (s *Service) admissibleLocked(t *task) error {
	active, week := 0, 0
	monday := s.weekOf(s.Now())
	for _, other := range s.tasks {
		if !other.Created.Before(monday) {
			week++
		}
		if other.ended() {
			continue
		}
		active++
		if other.ImageID == t.ImageID {
			return errExporting
		}
	}
	if s.ConcurrentQuota > 0 && active >= s.ConcurrentQuota {
		return errConcurrent
	}
	if s.WeeklyQuota > 0 && week >= s.WeeklyQuota {
		return errWeekly
	}
	return nil
}

// weekOf returns the start of the quota's week at a time: Monday at midnight in
// UTC+8. At speed N a week lasts the N-th part, as what is waited for elsewhere.
func (s *Service) weekOf(t time.Time) time.Time {
	monday := time.Date(1970, 1, 5, 0, 0, 0, 0, time.FixedZone("UTC+8", 8*60*60))
	return monday.Add(t.Sub(monday).Truncate(s.scaled(7 * 24 * time.Hour)))
}

// accept makes a task of the export, unless another call came first.
func (s *Service) accept(t *task) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.admissibleLocked(t); err != nil {
		return err
	}
	if s.ctx.Err() != nil {
		return errClosing
	}
	t.ID, t.Created = newTaskID(), s.Now().UTC()
	if err := s.save(t); err != nil {
		return err
	}
	s.tasks = append(s.tasks, t)
	s.byID[t.ID] = t
	s.schedule()
	return nil
}
